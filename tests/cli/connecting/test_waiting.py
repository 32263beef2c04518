"""Before the broker is there: who waits for it, who does not, how long, and what they say."""

from __future__ import annotations

import os
import pty
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.programs import Program, Run, Stream, broker_that_answers, running_broker, screen
from tests.ports import free_port

pytestmark = pytest.mark.slow


@contextmanager
def unused_address() -> Iterator[tuple[str, socket.socket]]:
    """An address at which nothing listens, and what keeps it so until it is closed."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", free_port()))
        yield f"mqtt://127.0.0.1:{bound.getsockname()[1]}", bound


@contextmanager
def silent_port() -> Iterator[str]:
    """An address at which somebody listens, but nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"mqtt://127.0.0.1:{server.getsockname()[1]}"


def test_in_terminals_the_three_may_start_in_any_order() -> None:
    with (
        unused_address() as (url, bound),
        Program("sub", "test", "-C", "2", "-b", url, terminal=True, columns=100) as sub,
        Program("pub", "test", "--every", "50ms", "-b", url, terminal=True, columns=100) as pub,
    ):
        for program in (sub, pub):
            program.out.expect(rf"Waiting for a broker at {url} \(connection refused, \d+ attempts")
            lines = [line for line in screen(program.out.data, 100) if line]
            assert len(lines) == 1  # drawn anew in its place
        bound.close()
        with running_broker(url):
            for program in (sub, pub):
                program.out.expect(rf"Connected to {url}\.\n")
            sub.out.expect("test Hello mqtt", times=2)
            assert sub.ended() == 0
            assert pub.stop() == 143
    for program in (sub, pub):
        assert "Waiting" not in "\n".join(screen(program.out.data, 100))  # it is true no more
        assert "Traceback" not in program.out.text


def test_where_only_stderr_is_a_terminal_somebody_watches_too() -> None:
    """`tmqtt sub test | tee log`: it waits, and says so where the person sees it."""
    keyboard, inner = pty.openpty()
    person = Stream(keyboard)
    with unused_address() as (url, _), Program("sub", "a", "-b", url, stderr=inner) as sub:
        os.close(inner)
        person.expect(rf"Waiting for a broker at {url} \(connection refused, \d+ attempts")
        assert sub.stop() == 143
        assert sub.out.data == b""
    person.finish()


def test_nobody_watches_so_scripts_get_their_exit_code(in_process: Run) -> None:
    with unused_address() as (url, _):
        for command in (("sub", "a"), ("pub", "a", "--every", "1s"), ("pub", "a", "-l")):
            assert in_process(*command, "-b", url).code == 1


def test_one_message_does_not_wait_unasked(in_terminal: Run) -> None:
    with unused_address() as (url, _):
        ended = in_terminal("pub", "a", "b", "-b", url)
        assert ended.code == 1
        assert ended.out.startswith(f"Error: No broker answers at {url} (connection refused)")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("-b", "mqtt://nosuch.invalid"), 1, "The host 'nosuch.invalid'"),
        (("-b", "{refusing}"), 134, "bad user name or password"),
    ],
)
@pytest.mark.parametrize("command", [("sub", "a"), ("pub", "a", "--every", "1s")])
def test_what_the_person_has_got_wrong_is_told_at_once(
    in_terminal: Run, command: tuple[str, ...], options: tuple[str, ...], code: int, said: str
) -> None:
    with broker_that_answers(b"\x20\x03\x00\x86\x00") as refusing:
        options = tuple(option.replace("{refusing}", refusing) for option in options)
        ended = in_terminal(*command, *options)
    assert ended.code == code
    assert said in ended.out
    assert "Waiting" not in ended.out


@pytest.mark.parametrize(
    "command",
    [
        ("sub", "a", "-W", "500ms"),
        ("sub", "a", "-w", "-W", "500ms"),
        ("pub", "a", "b", "-w", "--for", "500ms"),
        ("pub", "a", "b", "-w", "--for", "500ms", "--count", "1"),
        ("pub", "a", "--every", "100ms", "-w", "--for", "500ms"),
        ("request", "a", "-w", "--timeout", "500ms"),
        ("request", "a", "-w", "-n", "2", "--timeout", "500ms"),
    ],
)
@pytest.mark.parametrize("broker", ["unused", "silent"])
def test_the_time_is_over_while_connecting(
    request: pytest.FixtureRequest, command: tuple[str, ...], broker: str
) -> None:
    with unused_address() as (unused, _), silent_port() as silent:
        url = unused if broker == "unused" else silent
        # What waits unasked needs a terminal, to which it would be the same.
        run: Run = request.getfixturevalue("in_process" if "-w" in command else "in_terminal")
        ended = run(*command, "-b", url, "--connect-timeout", "1m")
    assert ended.code == 27
    last = ended.err.replace("\r", "").splitlines()[-1]
    assert last.endswith(f"Error: The 0.5 s are over: no broker answered at {url}.")


def test_the_time_is_over_while_the_broker_is_gone() -> None:
    with (
        running_broker() as (broker, url),
        Program("pub", "a", "x", "--every", "10ms", "-q", "1", "--for", "5s", "-b", url) as pub,
    ):
        broker.out.expect("→ a x")
        broker.process.kill()
        assert pub.ended() == 27
        assert re.search(r"\nError: The 5 s are over, and the broker has not taken", pub.err.text)


def test_lines_that_do_not_come_are_waited_for_until_the_time_is_over(
    in_pipe: tuple[Program, str],
) -> None:
    _, url = in_pipe
    reading, writing = os.pipe()
    with Program("pub", "late", "-l", "--for", "4s", "-b", url, stdin=reading) as pub:
        os.close(reading)
        assert pub.ended() == 0  # nothing is lost: what comes later was not asked for
        os.close(writing)
    assert re.fullmatch("", pub.err.text)


@pytest.mark.parametrize(
    ("command", "proxy", "broker", "text"),
    [
        (("pub", "t", "-m", "m"), "ftp://h", "mqtt://localhost", "'ftp://h' is no proxy"),
        (("sub", "t"), "http://h", "unix:///run/x", "to which no proxy leads"),
    ],
)
def test_a_proxy_that_cannot_be_is_a_sentence(
    in_process: Run, command: tuple[str, ...], proxy: str, broker: str, text: str
) -> None:
    ended = in_process(*command, "-b", broker, "--proxy", proxy)
    assert ended.code in (1, 2)
    assert text in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", [("pub", "t", "-m", "m"), ("sub", "t"), ("check",)])
@pytest.mark.parametrize("answer", [b"HTTP/1.1 403 No\r\n\r\n", b"SSH-2.0\r\n", b"\x05\xff"])
def test_a_proxy_that_lies_or_refuses_is_named(
    in_process: Run, command: tuple[str, ...], answer: bytes
) -> None:
    with broker_that_answers(*[answer] * 4) as url:
        proxy = url.replace("mqtt://", "http://")
        ended = in_process(*command, "-b", "mqtt://localhost:1", "--proxy", proxy)
    assert ended.code == 1
    assert proxy in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("urls", ["", "mqtt://a,mqtt://", "mqtt://a,other://b"])
def test_servers_that_are_none_are_a_sentence(in_process: Run, urls: str) -> None:
    for command in (["pub", "t", "-m", "m"], ["sub", "t", "-W", "60s"]):
        ended = in_process(*command, "-b", urls)
        assert ended.code in (1, 2)
        assert "mqtt://HOST:PORT" in ended.err
        assert "Traceback" not in ended.err


def test_one_broker_is_checked_at_a_time(in_process: Run) -> None:
    ended = in_process("check", "mqtt://a,mqtt://b")
    assert ended.code == 2
    assert "One broker is checked at a time" in ended.err


def test_the_first_of_several_servers_that_answers_is_taken(in_process: Run) -> None:
    with unused_address() as (unused, _), running_broker() as (_, url):
        for command in (["pub", "a", "-m", "b", "-q", "1"], ["pub", "a", "-m", "b", "-w"]):
            ended = in_process(*command, "-b", f"{unused},{url}")
            assert (ended.code, "Traceback" in ended.err) == (0, False), ended.err
        ended = in_process("pub", "a", "-m", "b", "-b", f"{unused},{unused}")
    assert ended.code == 1
    assert "None of 2 servers can be used." in ended.err
