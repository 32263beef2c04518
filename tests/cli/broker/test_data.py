"""`tmqtt broker --data`: what is there again when the broker is."""

from __future__ import annotations

import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.programs import Program, publish
from trio_mqtt import sync

pytestmark = pytest.mark.slow


@contextmanager
def broker_with(folder: Path | str, *options: str) -> Iterator[tuple[Program, str]]:
    """A broker that keeps its state in a folder, and its address."""
    with Program("broker", "mqtt://127.0.0.1:0", "--data", str(folder), *options) as broker:
        yield broker, broker.out.expect(r"Listening at (\S+)\n")[1]


def leave_something(url: str) -> None:
    """A session with three messages that wait, and two retained messages."""
    with (
        sync.open_client(url, client_id="away", session_expiry_interval=3600) as client,
        client.subscribe("to/#", qos=1, unsubscribe=False),
    ):
        pass
    for number in range(3):
        publish(url, f"to/{number}", f"waits {number}", qos=1)
    for number in range(2):
        publish(url, f"kept/{number}", f"stays {number}", qos=1, retain=True)


def check_that_it_is_there(url: str) -> None:
    with sync.open_client(
        url, client_id="away", clean_start=False, session_expiry_interval=3600
    ) as client:
        with client.subscribe("to/#", qos=1) as messages:
            assert [next(messages).text for _ in range(3)] == [f"waits {n}" for n in range(3)]
        with client.subscribe("kept/#", qos=1) as messages:
            assert {next(messages).text for _ in range(2)} == {"stays 0", "stays 1"}


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("durability", ["fsync", "commit"])
def test_what_was_acknowledged_is_there_again(
    tmp_path: Path, end: signal.Signals, durability: str
) -> None:
    folder = tmp_path / "new" / "data"
    options = ("--durability", durability)
    with broker_with(folder, *options) as (broker, url):
        leave_something(url)
        assert broker.stop(end) == (-end if end == signal.SIGKILL else 0)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "broker.sqlite3").stat().st_mode) == 0o600
    with broker_with(folder, *options) as (broker, url):
        check_that_it_is_there(url)
        assert broker.stop() == 0
        assert broker.err.text == ""


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--durability", "fsync"], 2, "--durability fsync needs a folder"),
        (["--durability", "memory", "--data", "."], 2, "--durability memory keeps nothing"),
        (["--durability", "fast", "--data", "."], 2, "not one of 'fsync', 'commit', 'memory'"),
        (["--data", __file__], 2, "test_data.py is not a folder."),
        (["--data", ""], 2, "an empty name is not a folder."),
        (["--data", "/proc/no/such"], 1, "/proc/no/such/broker.sqlite3 cannot be opened"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(
    options: list[str], code: int, sentence: str
) -> None:
    with Program("broker", "mqtt://127.0.0.1:0", *options) as broker:
        assert broker.ended() == code
        assert sentence in broker.err.text
        assert broker.err.text.count("Error: ") == 1
        assert broker.out.text == ""


def test_a_second_broker_in_the_folder_is_refused(tmp_path: Path) -> None:
    with broker_with(tmp_path) as (broker, url):
        with Program("broker", "mqtt://127.0.0.1:0", "--data", str(tmp_path)) as second:
            assert second.ended() == 1
            assert "is in use by another broker. " in second.err.text
            assert second.err.text.count("\n") == 1
        publish(url, "still", "here", qos=1, retain=True)
        assert broker.stop() == 0


def test_nothing_is_kept_without_a_folder() -> None:
    for _ in range(2):
        with Program("broker", "mqtt://127.0.0.1:0", "--durability", "memory") as broker:
            url = broker.out.expect(r"Listening at (\S+)\n")[1]
            with sync.open_client(url) as client, client.subscribe("#") as messages:
                client.publish("now", "first of all")
                assert next(messages).text == "first of all"
                client.publish("kept", "once", qos=1, retain=True)
            assert broker.stop() == 0
