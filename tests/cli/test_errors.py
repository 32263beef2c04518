"""What goes wrong ends in one sentence and an exit code, never in a traceback."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Protocol

import pytest
from tmqtt.app import app
from typer.testing import CliRunner

from tests.cli.programs import Program, Run, broker_that_answers


@pytest.fixture(scope="module")
def unused() -> Iterator[str]:
    """An address where nothing listens, for as long as the tests run."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"mqtt://127.0.0.1:{bound.getsockname()[1]}"


class ErrorOf(Protocol):
    """Runs `tmqtt` to its end, and gives the sentence that it says."""

    def __call__(self, *arguments: str, code: int = 1) -> str: ...


@pytest.fixture
def error_of(in_process: Run) -> ErrorOf:
    def run(*arguments: str, code: int = 1) -> str:
        ended = in_process(*arguments)
        assert ended.code == code
        assert ended.out == ""
        found = re.fullmatch(r"Error: (.+)\n", ended.err)
        assert found, ended.err
        return found[1]

    return run


@pytest.mark.slow
def test_an_error_of_a_process(unused: str) -> None:
    with Program("pub", "a", "b", "-b", unused) as pub:
        assert pub.ended() == 1
        assert pub.out.data == b""
        assert re.fullmatch(r"Error: No broker answers at .+ --broker\.\n", pub.err.text)


@pytest.mark.parametrize(
    "command", [("pub", "a", "b"), ("pub", "a", "--every", "1s"), ("sub", "a")]
)
def test_no_broker(error_of: ErrorOf, command: tuple[str, ...], unused: str) -> None:
    assert error_of(*command, "-b", unused.replace("//", "//me:secret@")) == (
        f"No broker answers at {unused} (connection refused):"
        " start one with `tmqtt broker`, or name another with --broker."
    )


def test_an_unknown_host(error_of: ErrorOf) -> None:
    assert re.fullmatch(
        r"The host 'nosuch\.invalid' of mqtt://nosuch\.invalid:1883 cannot be found \(.+\)\."
        r" Check the name and the network\.",
        error_of("sub", "a", "-b", "mqtt://nosuch.invalid"),
    )


def test_a_port_in_use(error_of: ErrorOf) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        sentence = error_of("broker", "mqtt://127.0.0.1:0", f"mqtt://127.0.0.1:{port}")
        assert sentence.startswith(f"Port {port} of 127.0.0.1 is in use")
        assert "Stop it, or choose another port" in sentence


@pytest.mark.parametrize("command", [("broker",), ("pub", "a", "-b"), ("sub", "a", "-b")])
def test_what_is_not_an_address(error_of: ErrorOf, command: tuple[str, ...]) -> None:
    assert "An address reads mqtt://HOST" in error_of(*command, "http://localhost")


def test_what_is_not_a_topic(error_of: ErrorOf) -> None:
    assert error_of("pub", "a/#") == (
        "The topic 'a/#' holds a wildcard character: a message goes to one topic,"
        " for example home/kitchen."
    )


def test_what_is_not_a_filter(error_of: ErrorOf) -> None:
    assert error_of("sub", "fine", "a/#/b").startswith(
        "The topic filter 'a/#/b' has '#' elsewhere than alone in its last level: filters read"
    )


@pytest.mark.parametrize(
    ("options", "answer", "code", "reason"),
    [
        ((), b"\x20\x03\x00\x87\x00", 135, "not authorized"),
        (("-V", "5"), b"\x20\x03\x00\x86\x00", 134, "bad user name or password"),
        (("-V", "3.1"), b"\x20\x02\x00\x02", 2, "client identifier not valid"),
        (("-V", "3.1.1"), b"\x20\x02\x00\x05", 5, "not authorized"),
        (("-V", "5"), b"\x20\x03\x00\x84\x00", 132, "unsupported protocol version"),
    ],
)
def test_a_refusal_by_the_broker_is_the_exit_code(
    error_of: ErrorOf, options: tuple[str, ...], answer: bytes, code: int, reason: str
) -> None:
    with broker_that_answers(answer) as url:
        sentence = error_of("pub", "a", "-b", url, *options, code=code)
        assert sentence.startswith(f"The broker at {url} refused the connection: {reason}")


def test_a_broker_that_knows_only_mqtt_3_is_spoken_to_so() -> None:
    with (
        broker_that_answers(b"\x20\x02\x00\x01", b"\x20\x02\x00\x00") as url,
        Program("pub", "a", "b", "-v", "-b", url) as pub,
    ):
        assert pub.ended() == 0
        assert pub.out.data == b"a b\n"
        assert pub.err.data == b""


def test_a_broker_that_speaks_something_else(error_of: ErrorOf) -> None:
    with broker_that_answers(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        assert url in error_of("sub", "a", "-b", url)


def test_what_a_broker_says_is_escaped(error_of: ErrorOf) -> None:
    text = b"\x1b[2J\n!"
    reason = b"\x1f" + len(text).to_bytes(2, "big") + text
    body = b"\x00\x87" + bytes([len(reason)]) + reason
    with broker_that_answers(b"\x20" + bytes([len(body)]) + body) as url:
        assert r"\x1b[2J\n!" in error_of("pub", "a", "-b", url, code=135)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("pub", "a", "--every", "3"), "'3' is not a duration: write a number and a unit"),
        (("pub", "a", "--every", "0s"), "'0s' is too short: the shortest duration is 1ms."),
        (("pub", "a", "-q", "3"), "there is no QoS '3': write 0, 1 or 2."),
        (("pub", "a", "--count", "0"), "'0' is not a number of messages: write 1 or more."),
        (("sub", "a", "-C", "some"), "'some' is not a number of messages: write 1 or more."),
        (("sub", "a", "-V", "4"), "there is no MQTT '4' here: write 3.1, 3.1.1 or 5."),
        (("sub",), "Missing argument 'FILTER': the topics to show, such as test or 'home/#'."),
        (("pub",), "Missing argument 'TOPIC': where to publish, such as test or home/lamp."),
        (("sub", "a", "-u", "ann", "-P"), "requires an argument. PASSWORD: Password; - asks for"),
        (("sub", "a", "--port"), "PORT: The broker's port."),
        (("pub", "a", "--retain=x"), "Option '--retain' does not take a value."),
        (("pub", "a", "--retian"), "No such option: --retian"),
        (("publish", "a"), "No such command 'publish'."),
    ],
)
def test_wrong_options_are_usage_errors(arguments: tuple[str, ...], sentence: str) -> None:
    result = CliRunner().invoke(app, arguments, prog_name="tmqtt")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert sentence in result.stderr
    assert result.stderr.startswith("Usage: tmqtt ")
    assert all(character.isascii() for character in result.stderr)  # no boxes


def test_the_module_is_the_command_and_wrong_options_exit_2() -> None:
    with Program("sub", "-y") as program:
        assert program.ended() == 2
        assert program.err.text.endswith("Error: No such option: -y\n")


@pytest.mark.parametrize("command", ["broker", "pub", "sub"])
def test_help_is_plain_and_names_the_options(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], prog_name="tmqtt")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: tmqtt {command} [OPTIONS]")
    assert result.stdout.isascii()


def test_the_version_is_that_of_the_distribution_and_its_kind() -> None:
    result = CliRunner().invoke(app, ["--version"], prog_name="tmqtt")
    assert re.fullmatch(r"tmqtt \d+\.\d+\.\d+\S* \((compiled|pure Python)\)\n", result.stdout)


@pytest.mark.parametrize("command", [["top"], ["check"], ["bench", "pair"]])
def test_two_brokers_are_one_too_many(in_process: Run, command: list[str]) -> None:
    ended = in_process(*command, "mqtt://one.example", "-b", "mqtt://two.example")
    assert ended.code == 2
    assert "'mqtt://one.example' is a second broker beside 'mqtt://two.example'" in " ".join(
        ended.err.split()
    )
