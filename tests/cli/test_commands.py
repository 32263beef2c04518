"""The commands as their users run them: in terminals and in pipes, in any order."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.cli.programs import DATE_AND_TIME, Program, running_broker
from tests.ports import free_port
from trio_mqtt import ReasonCode
from trio_mqtt.access import set_password

pytestmark = pytest.mark.slow


def test_three_terminals(on_screen: tuple[Program, str]) -> None:
    broker, url = on_screen
    with Program("sub", "test", "-b", url, terminal=True) as sub:
        sub.out.expect(f"Subscribed to test at {url}")
        before = time.time_ns() // 1_000_000
        with Program("pub", "test", "--every", "50ms", "-b", url, terminal=True) as pub:
            for program in (pub, sub, broker):
                sent = program.out.expect(r"test Hello mqtt (\d{13})\b", times=3)
                assert before <= int(sent[1]) <= time.time_ns() // 1_000_000
            pub.press_ctrl_c()
            assert pub.ended() == 130
        broker.out.expect(r"tmqtt-pub-\w+ disconnected\n")
        sub.press_ctrl_c()
        assert sub.ended() == 130
    broker.out.expect(r"tmqtt-sub-\w+ disconnected\n")
    shown = broker.out.text
    assert "Anyone on this machine may connect." in shown
    assert "To let others in: tmqtt broker mqtt://0.0.0.0 --password-file FILE" in shown
    assert re.search(r"tmqtt-sub-\w+ connected from 127\.0\.0\.1:\d+, MQTT 5\n", shown)
    assert re.search(r"tmqtt-sub-\w+ subscribed to test\n", shown)
    assert re.search(r"2 clients · 1 subscription · ", shown)
    for program in (pub, sub, broker):
        assert b"\x1b[35m" in program.out.data  # in colours
        assert "Traceback" not in program.out.text


def test_in_pipes_payloads_are_raw(in_pipe: tuple[Program, str]) -> None:
    broker, url = in_pipe
    address = {"TMQTT_BROKER": url}
    message = b"\x1b[31m[red]\xff\xe2\x80\xae"
    with (
        Program("sub", "raw/#", environment=address) as payloads,
        Program("sub", "raw/a", "raw/b/+", "-v", "-q", "1", environment=address) as topics,
    ):
        broker.out.expect(r" subscribed to raw/", times=3)
        with Program(
            "pub", "raw/b/\x1b[2J", message, "-v", "-i", "\x1b[5m[b]", environment=address
        ) as pub:
            assert pub.ended() == 0
        with Program("pub", "raw/a", "last", environment=address) as last:
            assert last.ended() == 0
        payloads.out.expect("last\n")
        topics.out.expect("last\n")
        assert payloads.stop() == 143
        assert topics.stop(signal.SIGINT) == 130
    assert pub.out.data == b"raw/b/\x1b[2J " + message + b"\n"
    assert payloads.out.data == message + b"\nlast\n"
    assert topics.out.data == b"raw/b/\x1b[2J " + message + b"\nraw/a last\n"
    broker.out.expect(re.escape(r"\x1b[5m[b] → raw/b/\x1b[2J \x1b[31m[red]\xff\u202e") + "\n")
    assert payloads.err.data == pub.err.data == last.out.data == b""
    assert re.fullmatch(r"2 messages, 18 bytes of payload in \d+\.\d s\.\n", topics.err.text)


def test_any_of_them_may_be_stopped_and_started_again() -> None:
    with (
        running_broker() as (broker, url),
        Program("sub", "test", "-b", url) as sub,
        Program("pub", "test", "--every", "50ms", "-b", url) as pub,
    ):
        sub.out.expect("Hello")
        assert broker.stop(signal.SIGINT) == 0
        assert "disconnected: the broker is shutting down\n" in broker.out.text
        for program in (sub, pub):
            program.err.expect(r"connection: server shutting down\. Trying again\.\n")
        seen = sub.out.text.count("\n")
        with running_broker(url) as (second, _):
            for program in (sub, pub):
                program.err.expect(rf"Connected to {url}\.\n")
            sub.out.expect("Hello", times=seen + 3)
            assert pub.stop() == 143
            with Program("pub", "test", "another", "-b", url) as another:
                assert another.ended() == 0
            sub.out.expect("another\n")
            assert sub.stop() == 143
            assert second.stop() == 0
        assert pub.err.text.count("\n") == sub.err.text.count("\n") == 2


def test_whose_place_another_takes_says_so_once_and_ends() -> None:
    with running_broker() as (broker, url), Program("sub", "a", "-i", "me", "-b", url) as first:
        broker.out.expect("me subscribed to a")
        with Program("sub", "a", "-i", "me", "-b", url):
            assert first.ended() == 1
    assert first.err.text == (
        f"Error: The broker at {url} ended the connection: session taken over"
        " (another client came with the same identifier).\n"
    )


def test_with_wait_the_broker_may_come_last() -> None:
    with (
        running_broker() as (broker, url),
        Program("sub", "test", "-C", "1", "--wait", "-b", url) as sub,
    ):
        broker.out.expect("subscribed to test")
        broker.process.kill()  # without a goodbye
        sub.err.expect("Trying again")
        with (
            Program("sub", "test", "-C", "1", "-w", "-b", url) as late,
            Program("pub", "test", "there", "-w", "-r", "-b", url) as pub,
        ):
            for program in (late, pub):
                program.err.expect(rf"Waiting for a broker at {url} \(connection refused\)\.")
            with running_broker(url):
                assert pub.ended() == late.ended() == sub.ended() == 0
                assert late.out.data == sub.out.data == b"there\n"


def test_counts_end_both_commands(in_pipe: tuple[Program, str]) -> None:
    broker, url = in_pipe
    with Program("sub", "n", "--count", "3", "-q", "2", "-b", url) as sub:
        broker.out.expect(r"subscribed to n \(QoS 2\)")
        with Program(
            "pub", "n", "one", "--count", "2", "--every", "1ms", "-q", "2", "-v", "-b", url
        ) as pub:
            assert pub.ended() == 0
        with Program("pub", "n", "--count", "5", "-v", "-b", url, "-V", "3.1") as hasty:
            assert hasty.ended() == 0
        assert pub.out.data == b"n one\nn one\n"
        assert hasty.out.data.count(b"Hello mqtt") == 5
        assert sub.ended() == 0
        assert re.fullmatch(rb"one\none\nHello mqtt \d+\n", sub.out.data)
    broker.out.expect(r"MQTT 3\.1\n")


def test_the_broker_keeps_a_retained_message_and_shows_whose_it_was(
    in_pipe: tuple[Program, str],
) -> None:
    broker, url = in_pipe
    with Program(
        "pub", "r", "kept", "-r", "-q", "1", "-i", "me", "-u", "ann", "-P", "x",
        "-V", "3.1.1", "-b", url,
    ) as pub:  # fmt: skip
        assert pub.ended() == 0
    broker.out.expect(r"me connected from \S+, MQTT 3\.1\.1, user ann\n")
    broker.out.expect(r"me → r kept \(QoS 1, retained\)\n")
    with Program("sub", "r", "-C", "1", "-b", url, terminal=True) as sub:
        assert sub.ended() == 0
        assert re.search(r"\d\d:\d\d:\d\d r kept \(retained\)\n", sub.out.text)


def test_a_terminal_shows_what_is_in_a_message_literally(on_screen: tuple[Program, str]) -> None:
    broker, url = on_screen
    hostile = "\x1b[2J\x1b]0;title\x07[red]x[/] \u202eabc"
    literal = r"\x1b[2J\x1b]0;title\x07[red]x[/] \u202eabc"
    with Program("sub", hostile, "-b", url, terminal=True) as sub:
        broker.out.expect("subscribed to " + re.escape(literal) + "\n")
        with Program(
            "pub", hostile, f"{hostile}\n\r", "-i", hostile, "-b", url, terminal=True
        ) as pub:
            for program in (pub, sub, broker):
                program.out.expect(re.escape(rf"{literal} {literal}\n\r") + "\n")
            assert pub.ended() == 0
        broker.out.expect(re.escape(literal) + " disconnected")
        for program in (pub, sub, broker):
            assert b"\x1b[2J" not in program.out.data
            assert b"\x1b]" not in program.out.data
            assert "\u202e" not in program.out.text


def test_colours_can_be_switched_off(in_pipe: tuple[Program, str]) -> None:
    _, url = in_pipe
    with (
        Program("pub", "a", "b", "-b", url, terminal=True, environment={"NO_COLOR": "1"}) as one,
        Program("pub", "a", "b", "-b", url, terminal=True, environment={"TERM": "dumb"}) as two,
    ):
        for pub in (one, two):
            assert pub.ended() == 0
            assert not re.search(rb"\x1b\[[0-9;]*3[0-9]", pub.out.data)
            assert re.search(r"\d a b\n", pub.out.text)


def test_a_reader_that_goes_away_ends_the_subscriber_quietly(in_pipe: tuple[Program, str]) -> None:
    broker, url = in_pipe
    reading, writing = os.pipe()
    with Program("sub", "x", "-i", "unread", "-b", url, stdout=writing) as sub:
        os.close(writing)
        broker.out.expect("unread subscribed to x")
        os.close(reading)
        with Program("pub", "x", "-b", url) as pub:  # where a pipe's end is not told at once
            assert pub.ended() == 0
        assert sub.ended() == 0
        assert sub.err.data == b""
    broker.out.expect("unread disconnected")


def test_a_closed_standard_output_is_not_taken_for_a_connection(
    in_pipe: tuple[Program, str],
) -> None:
    broker, url = in_pipe
    with Program("pub", "x", "whole", "-i", "mute", "-b", url, stdout=None) as pub:
        assert pub.ended() == 0
    broker.out.expect("mute → x whole\n")
    broker.out.expect("mute disconnected\n")


def test_the_broker_says_who_may_connect_and_listens_at_all_urls() -> None:
    with running_broker("mqtt://[::1]:0", "mqtt://0.0.0.0:0", "--allow-anonymous") as (
        broker,
        inner,
    ):
        outer = broker.out.expect(r"Listening at (mqtt://0\.0\.0\.0:\d+)\n")[1]
        assert re.fullmatch(
            rf"{DATE_AND_TIME}Listening at {re.escape(inner)}\n"
            rf"{DATE_AND_TIME}Anyone on this machine may connect\.\n"
            rf"{DATE_AND_TIME}Listening at {re.escape(outer)}\n"
            rf"{DATE_AND_TIME}Warning: anyone who can reach this address may connect,"
            r" without a password\. --password-file FILE changes that\.\n"
            rf"{DATE_AND_TIME}Sessions and retained messages end with it:"
            r" --data DIR keeps them\.\n",
            broker.out.text,
        )
        port = outer.rpartition(":")[2]
        with (
            Program("pub", "a", "-i", "six", "-b", inner) as six,
            Program("pub", "a", "-i", "four", "-b", f"mqtt://127.0.0.1:{port}") as four,
        ):
            assert six.ended() == four.ended() == 0
        broker.out.expect(r"six connected from \[::1\]:\d+,")
        broker.out.expect(r"four connected from 127\.0\.0\.1:\d+,")
        assert broker.stop(signal.SIGINT) == 0


def test_a_listener_for_others_must_say_who_may_connect() -> None:
    with Program("broker", "mqtt://0.0.0.0:0") as broker:
        assert broker.ended() == 1
    broker.err.expect(
        r"Error: Anybody who can reach mqtt://0\.0\.0\.0:0 could connect to this broker\..*"
        r"--password-file FILE.*--allow-anonymous"
    )


def test_a_broker_with_passwords_reads_them_again_when_told(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    set_password(path, "alice", b"right", create=True)
    with running_broker("mqtt://0.0.0.0:0", "--password-file", str(path)) as (broker, url):
        broker.out.expect("Clients may connect with a user name and a password\\.\n")
        port = url.rpartition(":")[2]
        for password, code in (("right", 0), ("wrong", ReasonCode.BAD_USER_NAME_OR_PASSWORD)):
            with Program("pub", "a", "-b", f"mqtt://alice:{password}@127.0.0.1:{port}") as pub:
                assert pub.ended() == code
        path.write_text("nonsense")
        broker.process.send_signal(signal.SIGHUP)
        broker.err.expect(rf"{DATE_AND_TIME}Error: Line 1 of .*The settings stay as they were\.")
        with Program("pub", "a", "-b", f"mqtt://alice:right@127.0.0.1:{port}") as pub:
            assert pub.ended() == 0
        assert broker.stop() == 0


def test_a_quiet_broker_prints_nothing() -> None:
    url = f"mqtt://127.0.0.1:{free_port()}"
    with Program("broker", "--quiet", url) as quiet:
        with Program("pub", "a", "--wait", "-b", url) as pub:
            assert pub.ended() == 0
        assert quiet.stop() == 0
        assert quiet.out.data == quiet.err.data == b""
