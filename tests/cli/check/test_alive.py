"""`tmqtt check --alive`: whether a broker answers, and nothing else."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.cli.programs import Program, broker_that_answers, running_broker
from trio_mqtt import sync

pytestmark = pytest.mark.slow

WELCOME = b"\x20\x03\x00\x00\x00"


def test_a_broker_that_answers_is_alive_and_nobody_else_notices() -> None:
    with running_broker() as (broker, url):
        with (
            sync.open_client(url) as client,
            client.subscribe("#") as messages,
        ):
            with Program("check", "--alive", url) as check:
                assert check.ended() == 0
            check.out.expect(rf"{url} answers \(\d+ ms\)\.\n")
            client.publish("after", qos=1)
            assert next(iter(messages)).topic == "after"
        broker.out.expect(r"tmqtt-check-\w+ disconnected\n")


def test_rules_that_refuse_it_all_are_an_answer(tmp_path: Path) -> None:
    rules = tmp_path / "access.acl"
    rules.write_text("user ann\ntopic readwrite #\n")
    with (
        running_broker("mqtt://127.0.0.1:0", "--access-file", str(rules)) as (_, url),
        Program("check", "--alive", url) as check,
    ):
        assert check.ended() == 0


def test_a_broker_that_hangs_is_not_alive() -> None:
    with running_broker() as (broker, url):
        broker.process.send_signal(signal.SIGSTOP)
        try:
            with Program("check", "--alive", url) as check:
                assert check.ended() == 27
        finally:
            broker.process.send_signal(signal.SIGCONT)
        check.err.expect(rf"Error: {url} has not answered within 5 s\.\n")


def test_one_that_welcomes_and_says_no_more_is_not_alive() -> None:
    with broker_that_answers(WELCOME) as url, Program("check", "--alive", url) as check:
        assert check.ended() != 0


def test_nobody_there_is_not_alive(tmp_path: Path) -> None:
    with Program("check", "--alive", f"unix://{tmp_path}/none") as check:
        assert check.ended() == 1
    assert check.err.text.count("\n") == 1


def test_there_is_nothing_for_json() -> None:
    with Program("check", "--alive", "--json") as check:
        assert check.ended() == 2
    check.err.expect("--alive has nothing that --json could show")
