"""Where the log goes: stderr, a file that is put aside, systemd's journal, syslog."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trio_mqtt.monitoring import LogOptions, logging_to
from trio_mqtt.monitoring.log_destinations import open_destination

connections = logging.getLogger("trio_mqtt.connections")


def test_without_options_it_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to():
        connections.info("hello")
        connections.debug("left out")
    assert capsys.readouterr().err.endswith("info connections: hello\n")


def test_a_file_that_was_moved_away_is_made_anew(path: Path) -> None:
    with logging_to(LogOptions(file=str(path))):
        connections.info("one")
    with logging_to(LogOptions(file=str(path))) as log:
        path.rename(path.with_suffix(".1"))
        connections.info("two")
        log.reopen()
        connections.info("three")
    assert path.with_suffix(".1").read_text().endswith("one\n")
    assert [line.split()[-1] for line in path.read_text().splitlines()] == ["two", "three"]


def test_a_file_is_put_aside_by_its_size(path: Path) -> None:
    with logging_to(LogOptions(file=str(path), rotate_bytes=200, rotated_kept=2)):
        for number in range(20):
            connections.info("%s %s", number, "x" * 100)
    assert sorted(one.name for one in path.parent.iterdir()) == [
        "broker.log", "broker.log.1", "broker.log.2"
    ]  # fmt: skip
    assert " 19 x" in path.read_text()
    assert " 18 x" in (path.parent / "broker.log.1").read_text()
    assert path.stat().st_size <= 200


def test_a_file_is_put_aside_by_its_time(path: Path) -> None:
    path.write_text("old\n")
    os.utime(path, (1_000_000, 1_000_000))
    with logging_to(LogOptions(file=str(path), rotate_every="day")):
        connections.info("new")
    aside = path.parent / "broker.log.1970-01-12"
    assert aside.read_text() == "old\n"
    assert path.read_text().endswith("new\n")


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver,
    ):
        receiver.bind(f"{folder}/socket")
        receiver.settimeout(60)
        yield receiver


def test_the_journal_gets_fields(listening: socket.socket) -> None:
    about = {"client_id": "c1", "address": "127.0.0.1:5", "username": None, "topic": ""}
    handler = open_destination(LogOptions(destination="journal"), listening.getsockname())
    record = connections.makeRecord(
        connections.name, logging.WARNING, "", 0, "a\nb", (), None, extra=about
    )
    handler.handle(record)
    handler.close()
    assert listening.recv(1_000) == (
        b"MESSAGE=warning connections: a\\nb\nPRIORITY=4\nSYSLOG_IDENTIFIER=tmqtt\n"
        b"LOGGER=trio_mqtt.connections\nCLIENT_ID=c1\nADDRESS=127.0.0.1:5\n"
    )
    broken = connections.makeRecord(
        connections.name, logging.DEBUG, "", 0, "x", (), None, extra={"reason": "1\n2"}
    )
    handler = open_destination(LogOptions(destination="journal"), listening.getsockname())
    handler.handle(broken)
    handler.close()
    assert listening.recv(1_000).endswith(b"\nREASON\n\x03\0\0\0\0\0\0\x001\n2\n")


@pytest.mark.posix
def test_a_journal_that_was_started_anew_is_found_again(listening: socket.socket) -> None:
    name = listening.getsockname()
    handler = open_destination(LogOptions(destination="journal"), name)
    record = connections.makeRecord(connections.name, logging.INFO, "", 0, "x", (), None)
    handler.handle(record)
    assert listening.recv(1_000)
    listening.close()
    with pytest.raises(ConnectionError):
        handler.handle(record)
    os.unlink(name)
    with pytest.raises(FileNotFoundError):
        handler.handle(record)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as again:
        again.bind(name)
        again.settimeout(60)
        for _ in range(2):
            handler.handle(record)
            assert again.recv(1_000).startswith(b"MESSAGE=info connections: x\n")
    handler.close()


@pytest.mark.posix
@pytest.mark.parametrize("rotated", [{}, {"rotate_bytes": 1}, {"rotate_every": "day"}])
def test_a_file_that_is_made_for_payloads_is_for_nobody_else(
    path: Path, rotated: dict[str, Any]
) -> None:
    before = os.umask(0o022)
    try:
        for payloads, mode in ((False, 0o644), (True, 0o600)):
            path.unlink(missing_ok=True)
            with logging_to(LogOptions(file=str(path), payloads=payloads, **rotated)):
                connections.info("one")
                connections.info("two")
            assert {one.stat().st_mode & 0o777 for one in path.parent.iterdir()} == {mode}
            for one in path.parent.iterdir():
                one.unlink()
    finally:
        os.umask(before)


def test_syslog_gets_lines(listening: socket.socket) -> None:
    with logging_to(LogOptions(destination="syslog", syslog_address=listening.getsockname())):
        connections.info("hello")
    assert listening.recv(1_000) == b"<30>tmqtt: info connections: hello\0"


def test_syslog_elsewhere_gets_datagrams() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(60)
        address = f"127.0.0.1:{receiver.getsockname()[1]}"
        with logging_to(LogOptions(destination="syslog", syslog_address=address)):
            connections.error("hello")
        assert receiver.recv(1_000) == b"<27>tmqtt: error connections: hello\0"
