"""`sub` takes a share of the messages, and ends what an earlier run has subscribed to."""

from __future__ import annotations

import random

import pytest
from tmqtt.sub.filtering import Selection

from tests.cli.programs import Program, Run, broker_that_answers, publish
from trio_mqtt import Message


def test_a_share_is_taken_at_random() -> None:
    random.seed(1)
    messages = [Message("a", b"%d" % number, 0, False, False, {}) for number in range(10_000)]
    taken = Selection(share=0.1).of(messages)
    assert 900 < len(taken) < 1_100
    assert taken == sorted(taken, key=lambda one: int(one.payload))
    assert len(Selection(share=1.0).of(messages)) == 10_000


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--random-filter", "0"), "'0' is no share of messages: write a percentage"),
        (("--random-filter", "nan"), "'nan' is no share"),
        (("--random-filter", "101"), "'101' is no share"),
        (("--pretty",), "it goes with --json, or with -F"),
        (("-U", "t"), "'t' is to be subscribed to, too"),
        (("-U", "a/#/b"), "The topic filter 'a/#/b'"),
        (("--quiet", "-d"), "--debug and --quiet do not go together"),
    ],
)
def test_what_cannot_be_is_told(in_process: Run, words: tuple[str, ...], sentence: str) -> None:
    ended = in_process("sub", "t", *words)
    assert ended.code in (1, 2)
    assert sentence in ended.err


@pytest.mark.slow
def test_what_an_earlier_run_left_is_ended(in_pipe: tuple[Program, str]) -> None:
    broker, url = in_pipe
    me = ("-i", "leaves", "-b", url)
    with Program("sub", "left/1", "left/2", "-q", "1", "-c", "-E", *me) as sub:
        assert sub.ended() == 0
    with Program("sub", "-U", "left/1", "-U", "none", "-c", *me) as sub:
        assert sub.ended() == 0
        assert sub.err.text == "leaves had no subscription to 'none'.\n"
    publish(url, "left/1", "1")
    publish(url, "left/2", "2", qos=1)
    publish(url, "left/3", "3")
    with Program("sub", "left/3", "-U", "left/2", "-c", "-C", "1", "-v", *me) as sub:
        broker.out.expect("leaves unsubscribed from left/2")
        publish(url, "left/2", "4", qos=1)
        publish(url, "left/3", "5")
        assert sub.ended() == 0
    assert sub.out.text == "left/3 5\n"


def test_with_nothing_to_subscribe_to_a_lost_connection_ends_it(in_process: Run) -> None:
    with broker_that_answers(b"\x20\x03\0\0\0\xe0\x02\x8b\0") as url:  # CONNACK and DISCONNECT
        ended = in_process("sub", "-U", "a", "-b", url)
    assert ended.code == 1
    assert "server shutting down" in ended.err


@pytest.mark.slow
@pytest.mark.parametrize("command", ["pub", "sub"])
def test_quietly_nothing_is_said_of_what_goes_wrong(command: str) -> None:
    with Program(command, "-t", "t", "--quiet", "-b", "mqtt://127.0.0.1:1") as program:
        assert program.ended() == 1
        assert (program.out.text, program.err.text) == ("", "")
    with Program(command, "-t", "t", "--quiet", "-p", "x") as program:  # what was asked for wrongly
        assert program.ended() == 2
        assert "'x' is not" in program.err.text
