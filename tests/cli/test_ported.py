"""Jobs written for Mosquitto's commands, words in the wrong place: never silently another thing."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from tmqtt.app import app
from typer.testing import CliRunner

from tests.cli.programs import Program, Run, running_broker


@pytest.mark.slow
def test_h_with_a_word_is_the_host(in_process: Run, in_pipe: tuple[Program, str]) -> None:
    broker, url = in_pipe
    port = url.rpartition(":")[2]
    for number, version in enumerate(("mqttv5", "5", "mqttv311", "311", "mqttv31", "31", "5.0")):
        text = f"ported {number}"
        ended = in_process(
            *("pub", "-h", "127.0.0.1", "-p", port, "-t", "ported", "-m", text, "-V", version)
        )
        assert ended == (0, "", "")
        broker.out.expect(f"→ ported {text}\n")
    ended = in_process(
        *("sub", "-t", "ported", "-h", "127.0.0.1", "-p", port, "-W", "1", "-V", "mqttv311")
    )
    assert ended.code == 27


@pytest.mark.parametrize("command", ["pub", "sub", "request", "replay", "check", "bench pair"])
def test_h_alone_is_help(command: str) -> None:
    for rest in (["-h"], ["-h", "-q", "1"], ["-q", "1", "-h"]):
        if "-q" in rest and command in ("replay", "check", "bench pair"):
            continue
        result = CliRunner().invoke(app, [*command.split(), *rest], prog_name="tmqtt")
        assert result.exit_code == 0
        assert result.stdout.startswith(f"Usage: tmqtt {command} ")


@pytest.mark.parametrize("words", [("-m", "-h"), ("--message", "-h"), ("--message=-h",)])
def test_what_is_another_options_value_stays_it(
    in_process: Run, in_pipe: tuple[Program, str], words: tuple[str, ...]
) -> None:
    broker, url = in_pipe
    topic = f"value/{len(words)}/{len(words[0])}"
    assert in_process("pub", topic, *words, "-b", url).code == 0
    broker.out.expect(f"→ {topic} -h\n")


@pytest.mark.parametrize(
    "words",
    [
        ("sub", "mqtt://broker.example", "test"),
        ("sub", "test", "ws://broker.example:8080/mqtt"),
        ("pub", "mqtts://broker.example", "test"),
        ("request", "MQTT://broker.example"),
    ],
)
def test_an_address_in_place_of_a_topic_is_refused(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, words, prog_name="tmqtt")
    assert result.exit_code == 2
    address = next(word for word in words if "://" in word)
    assert f"'{address}' is the address of a broker, which is given by -b." in result.stderr


def test_a_topic_that_reads_like_an_address_is_one_by_its_option(
    in_process: Run, in_pipe: tuple[Program, str]
) -> None:
    broker, url = in_pipe
    assert in_process("pub", "-t", "tcp://a", "-m", "b", "-b", url).code == 0
    broker.out.expect("→ tcp://a b\n")


def piped(*arguments: str, stdin: int) -> tuple[int, str]:
    with Program("pub", *arguments, stdin=stdin) as pub:
        return pub.ended(), pub.err.text


@pytest.mark.slow
def test_input_that_was_not_asked_for_is_never_lost(
    in_pipe: tuple[Program, str], tmp_path: Path
) -> None:
    broker, url = in_pipe
    for schedule in ((), ("--every", "1s"), ("--count", "3")):
        reading, writing = os.pipe()
        os.write(writing, b"x\n")
        os.close(writing)
        code, said = piped("unasked", *schedule, "-b", url, stdin=reading)
        os.close(reading)
        assert code == 2
        assert "but no message was asked for: -s sends all of it, -l each line" in said
    file = tmp_path / "file"
    file.write_text("x\n")
    with file.open() as opened:
        code, said = piped("unasked", "-b", url, stdin=opened.fileno())
        assert code == 2
    assert "unasked" not in broker.out.text


@pytest.mark.slow
def test_input_in_which_there_is_nothing_changes_nothing(
    in_pipe: tuple[Program, str], tmp_path: Path
) -> None:
    broker, url = in_pipe
    reading, writing = os.pipe()
    os.close(writing)
    assert piped("ended", "-b", url, stdin=reading) == (0, "")
    os.close(reading)
    broker.out.expect("→ ended Hello mqtt")
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open() as empty:
        assert piped("empty", "-b", url, stdin=empty.fileno()) == (0, "")


@pytest.mark.slow
def test_input_that_says_nothing_is_not_waited_for_without_a_word(
    in_pipe: tuple[Program, str],
) -> None:
    """As jobs and services have it, whose input nobody ever writes to or closes."""
    broker, url = in_pipe
    reading, writing = os.pipe()
    code, said = piped("silent", "-b", url, stdin=reading)
    assert code == 0
    assert re.fullmatch(r"Nothing came by standard input: a greeting is sent\. -s or .+\n", said)
    broker.out.expect("→ silent Hello mqtt")
    # What was asked for is not asked of the input.
    assert piped("silent", "said", "-b", url, stdin=reading) == (0, "")
    with Program("pub", "silent", "--every", "10ms", "-b", url, stdin=reading) as pub:
        broker.out.expect("→ silent Hello mqtt", times=3)
        assert pub.stop() == 143
        assert pub.err.text == ""
    os.close(reading)
    os.close(writing)


@pytest.mark.slow
def test_a_ported_job_fails_where_it_cannot_do_its_work() -> None:
    with running_broker() as (broker, url):
        port = url.rpartition(":")[2]
        broker.process.kill()
        broker.process.wait()
        for words in (("-h", "127.0.0.1", "-p", port, "-t", "a", "-m", "b"), ("-L", url)):
            with Program("pub", *words) as pub:
                assert pub.ended() in (1, 2)
                assert re.search(r"\nError: |^Error: ", pub.err.text)
