"""`tmqtt broker --data`: what is there again when the broker is."""

from __future__ import annotations

import os
import re
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.cli.broker.seen import sees
from tests.cli.programs import DEADLINE, Program, publish
from trio_mqtt import ReasonCode, RefusedError, sync

pytestmark = pytest.mark.slow

SURVIVES = {"fsync": "a power cut", "commit": "the end of the process, but not a power cut"}
# Becomes `tmqtt` where no file can grow beyond so many bytes, as on a disk that is full.
LIMITED = (
    "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), -1));"
    "os.execv(sys.executable, [sys.executable, '-m', 'tmqtt', *sys.argv[2:]])"
)


@contextmanager
def broker_with(folder: Path | str, *options: str) -> Iterator[tuple[Program, str]]:
    """A broker that keeps its state in a folder, and its address."""
    with Program("broker", "mqtt://127.0.0.1:0", "--data", str(folder), *options) as broker:
        yield broker, broker.out.expect(r"Listening at (\S+)\n")[1]


@contextmanager
def broker_without(*, terminal: bool) -> Iterator[tuple[Program, str]]:
    with Program("broker", "mqtt://127.0.0.1:0", terminal=terminal) as broker:
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


@sees("storage.path", "storage.durability")
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
        assert "Restored" not in broker.out.text
        assert "with it" not in broker.out.text
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "broker.sqlite3").stat().st_mode) == 0o600
    with broker_with(folder, *options) as (broker, url):
        broker.out.expect(
            r"Restored 1 session, 3 waiting messages and 2 retained messages in \d\.\d s\.\n"
        )
        broker.out.expect(rf"What it acknowledges survives {SURVIVES[durability]}: .* {folder}\.")
        check_that_it_is_there(url)
        assert broker.stop() == 0
        assert broker.err.text == ""


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (
            ["--durability", "fsync"],
            2,
            'storage.durability is "fsync", which needs a folder',
        ),
        (
            ["--durability", "memory", "--data", "."],
            2,
            'durability is "memory", which keeps nothing',
        ),
        (["--durability", "fast", "--data", "."], 2, "not one of 'fsync', 'commit', 'memory'"),
        (["--data", __file__], 2, "test_data.py is not a folder."),
        (["--data", ""], 2, "--data: storage.path is the path of a file or folder, not empty."),
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


@pytest.mark.parametrize("terminal", [False, True])
def test_without_a_folder_it_says_what_it_forgets(terminal: bool) -> None:
    with broker_without(terminal=terminal) as (broker, url):
        broker.out.expect(r"Sessions and retained messages end with it: --data DIR keeps them\.\n")
        leave_something(url)
        assert broker.stop() == 0
        sentence = (
            "1 session, 3 waiting messages and 2 retained messages end with it:"
            " --data DIR keeps them.\n"
        )
        assert broker.out.text.count(sentence) == 1
        assert broker.out.text.index(sentence) < broker.out.text.index("Stopped.")


def test_where_nothing_is_forgotten_nothing_is_said() -> None:
    with broker_without(terminal=False) as (broker, url):
        publish(url, "t", "x", qos=1)
        assert broker.stop() == 0
        assert broker.out.text.count("--data") == 1  # at its start


def test_a_quiet_broker_says_nothing_of_it(tmp_path: Path) -> None:
    with Program("broker", "mqtt://127.0.0.1:0", "-q", "--data", str(tmp_path)) as broker:
        while not (tmp_path / "broker.sqlite3-wal").exists():
            time.sleep(0.01)
        time.sleep(0.5)
        broker.stop()
        assert broker.out.text == broker.err.text == ""


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    with broker_with(tmp_path) as (broker, _):
        assert broker.stop() == 0
    with closing(sqlite3.connect(tmp_path / "broker.sqlite3")) as database:
        database.execute("UPDATE about SET trio_mqtt = '99.0'")
        database.execute("PRAGMA user_version = 99")
        database.commit()
    with Program("broker", "mqtt://127.0.0.1:0", "--data", str(tmp_path)) as broker:
        assert broker.ended() == 1
        assert "was written by trio-mqtt 99.0, whose version 99 of it" in broker.err.text
        assert broker.err.text.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with Program("broker", "mqtt://127.0.0.1:0", "--data", str(tmp_path)) as broker:
        assert broker.ended() == 1
        assert "(permission denied). Check its folder" in broker.err.text


@pytest.mark.parametrize("level", ["all", "error"])
def test_a_damaged_file_is_set_aside_loudly(tmp_path: Path, level: str) -> None:
    with broker_with(tmp_path) as (broker, url):
        leave_something(url)
        assert broker.stop() == 0
    file = tmp_path / "broker.sqlite3"
    data = bytearray(file.read_bytes())
    data[4096 + 8 : 4096 + 64] = b"\xff" * 56
    file.write_bytes(data)
    with Program(
        "broker", "mqtt://127.0.0.1:0", "--data", str(tmp_path), "--log-level", level
    ) as broker:
        broker.err.expect(r"Error: .*broker\.sqlite3 was damaged \(.*\) and is set aside as \S+\.")
        assert broker.stop() == 0
    assert len([*tmp_path.glob("broker.sqlite3.damaged-*")]) == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prlimit")
def test_on_a_full_disk_it_does_not_start(tmp_path: Path) -> None:
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            LIMITED,
            "2000",
            "broker",
            "mqtt://127.0.0.1:0",
            "--data",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert re.search(r"broker\.sqlite3 cannot be opened \(.*\)\. .*disk.*full", ran.stderr)
    assert ran.stderr.count("\n") == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prlimit")
def test_where_the_disk_gets_full_it_goes_on_and_is_well_again_later(tmp_path: Path) -> None:
    command = ("broker", "mqtt://127.0.0.1:0", "--data", str(tmp_path))
    with Program(*command) as broker:
        url = broker.out.expect(r"Listening at (\S+)\n")[1]
        resource.prlimit(broker.process.pid, resource.RLIMIT_FSIZE, (200_000, -1))

        def publish_until_it_is_kept() -> None:
            while True:
                try:
                    publish(url, "large", b"x" * 500_000, qos=1, retain=True)
                except RefusedError as error:
                    assert error.reason_code == ReasonCode.QUOTA_EXCEEDED  # noqa: PT017
                    time.sleep(0.1)
                else:
                    return

        publisher = threading.Thread(target=publish_until_it_is_kept)
        publisher.start()
        broker.err.expect(r"Error: .*broker\.sqlite3 cannot be written \(.*\)\. ")
        with sync.open_client(url) as client, client.subscribe("t", qos=1) as messages:
            client.publish("t", "of no concern to the disk", qos=1)
            assert next(messages).text == "of no concern to the disk"
        assert publisher.is_alive()
        resource.prlimit(broker.process.pid, resource.RLIMIT_FSIZE, (-1, -1))
        publisher.join(DEADLINE)
        assert not publisher.is_alive()
        broker.err.expect(r"The storage keeps what changes again\.\n")
        broker.stop(signal.SIGKILL)
    with broker_with(tmp_path) as (broker, _):
        broker.out.expect(r"Restored 1 retained message in ")
        assert broker.stop() == 0
