"""The log of `tmqtt broker`, beside what it shows."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from tests.cli.broker.seen import sees
from tests.cli.programs import Program, publish
from trio_mqtt import sync

pytestmark = pytest.mark.slow

LISTENING = r"Listening at (\S+)\n"


def parts(path: Path) -> list[str]:
    """What a log has of each line, without dates and ports."""
    text = re.sub(r":\d{4,5}\b", ":…", path.read_text())
    return [line.split(" ", 1)[1] for line in text.splitlines()]


@pytest.mark.parametrize("in_terminal", [True, False])
def test_a_log_is_written_beside_what_is_shown(in_terminal: bool, tmp_path: Path) -> None:
    path = tmp_path / "broker.log"
    command = ("broker", "mqtt://127.0.0.1:0", "--log-file", str(path))
    with Program(*command, terminal=in_terminal) as broker:
        url = broker.out.expect(LISTENING)[1]
        with sync.open_client(url, client_id="c1") as client:
            client.publish("t", "secret")
            broker.out.expect("c1 → t secret")
        broker.out.expect("c1 disconnected")
        assert broker.stop() == 0
    assert parts(path) == [
        "info broker: Listening at mqtt://127.0.0.1:…",
        "info connections: 'c1' connected from 127.0.0.1:…, MQTT 5",
        "info connections: 'c1' (127.0.0.1:…) disconnected: it said goodbye",
        "info broker: Shutting down, with 0 clients connected",
    ]


def test_the_log_has_as_much_as_its_level_says(tmp_path: Path) -> None:
    path = tmp_path / "broker.log"
    options = ("--log-file", str(path), "--log-format", "json", "--log-level", "all")
    with Program("broker", "mqtt://127.0.0.1:0", *options) as broker:
        publish(broker.out.expect(LISTENING)[1], "t", "secret", qos=1)
        assert broker.stop() == 0
    found = [json.loads(line) for line in path.read_text().splitlines()]
    (published,) = [one for one in found if one.get("event") == "published"]
    assert published["topic"] == "t"
    assert published["part"] == "messages"
    assert "secret" not in path.read_text()


def test_the_log_is_made_anew_at_sighup(tmp_path: Path) -> None:
    path, moved = tmp_path / "broker.log", tmp_path / "broker.log.1"
    with Program("broker", "mqtt://127.0.0.1:0", "--log-file", str(path)) as broker:
        broker.out.expect(LISTENING)
        path.rename(moved)
        broker.process.send_signal(signal.SIGHUP)
        broker.out.expect("The settings were read again")
        assert broker.stop() == 0
    assert parts(moved) == ["info broker: Listening at mqtt://127.0.0.1:…"]
    assert parts(path)[0] == "info broker: The settings were read again."


@sees("logging.level", "logging.levels", "logging.file")
def test_the_configuration_says_all_of_the_log(tmp_path: Path) -> None:
    settings = tmp_path / "broker.toml"
    settings.write_text(
        '[[listeners]]\nurl = "mqtt://127.0.0.1:0"\n'
        '[logging]\nfile = "own.log"\nlevel = "warning"\n'
        '[logging.levels]\nmessages = "debug"\n'
    )
    with Program("broker", "--config", str(settings)) as broker:
        publish(broker.out.expect(LISTENING)[1], "t", "x", qos=1)
        assert broker.stop() == 0
    (line,) = parts(tmp_path / "own.log")
    assert re.fullmatch(r"debug messages: 'auto-.*' published 1 bytes to 't' at QoS 1", line)


@sees("logging.format")
def test_what_is_logged_to_stderr_is_not_shown_as_well_in_a_pipe() -> None:
    with Program("broker", "mqtt://127.0.0.1:0", "--set", "logging.format=json") as broker:
        url = broker.err.expect(r'"Listening at (\S+)"')[1]
        publish(url, "t", "x", qos=1)
        assert broker.stop() == 0
        assert broker.out.text == ""
        assert all(json.loads(line)["time"] for line in broker.err.text.splitlines())


def test_a_log_that_cannot_be_written_is_told_in_a_sentence() -> None:
    with Program("broker", "--log-file", "/nowhere/x.log") as broker:
        assert broker.ended() == 1
        assert broker.err.text == (
            "Error: The log cannot be written to /nowhere/x.log: No such file or directory.\n"
        )
    with Program("broker", "--set", "logging.level=loud") as broker:
        assert broker.ended() == 2
        assert "loud" in broker.err.text


@pytest.mark.parametrize("in_terminal", [True, False])
def test_with_a_file_of_settings_messages_are_for_who_looks_on(
    in_terminal: bool, tmp_path: Path
) -> None:
    settings = tmp_path / "broker.toml"
    settings.write_text('[[listeners]]\nurl = "mqtt://127.0.0.1:0"\n')
    with Program("broker", "--config", str(settings), terminal=in_terminal) as broker:
        with sync.open_client(broker.out.expect(LISTENING)[1], client_id="c1") as client:
            client.publish("t", "secret", qos=1)
            if in_terminal:
                broker.out.expect("c1 → t secret")
        broker.out.expect("c1 disconnected")
        assert broker.stop() == 0
    assert ("secret" in broker.out.text) is in_terminal


@pytest.mark.parametrize("destination", ["file", "stderr"])
def test_that_anybody_may_connect_is_in_the_log(destination: str, tmp_path: Path) -> None:
    path = tmp_path / "broker.log"
    log = ("--log-file", str(path)) if destination == "file" else ("--log-format", "human")
    command = ("broker", "mqtt://0.0.0.0:0", "--allow-anonymous", *log)
    with Program(*command) as broker:
        said = broker.out if destination == "file" else broker.err
        said.expect(r"nyone who can reach .* may connect, without a password")
        assert broker.stop() == 0
    text = path.read_text() if destination == "file" else broker.err.text
    assert len(re.findall(r"warning broker: Anyone who can reach mqtt://0.0.0.0:", text)) == 1
    assert broker.out.text.count("Anyone who can reach") == 0
    assert broker.out.text.count("anyone who can reach") == (destination == "file")
