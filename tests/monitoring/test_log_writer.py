"""The log: what is written, how, and what happens where it cannot be."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from datetime import datetime
from pathlib import Path
from select import select
from threading import Event, Thread
from time import monotonic, sleep
from types import SimpleNamespace

import pytest

from trio_mqtt import ConfigurationError
from trio_mqtt.monitoring import LogOptions, log_storms, logging_to

connections = logging.getLogger("trio_mqtt.connections")
messages = logging.getLogger("trio_mqtt.messages")
access = logging.getLogger("trio_mqtt.access")
monitoring = logging.getLogger("trio_mqtt.monitoring")

ABOUT = {"client_id": "c1", "address": "127.0.0.1:5", "username": None, "topic": ""}


def test_a_line_for_people_has_its_time_level_and_part(path: Path) -> None:
    before = datetime.now().astimezone().replace(microsecond=0)
    with logging_to(LogOptions(file=str(path))):
        connections.info("%r connected from %s", "c1", "127.0.0.1:5", extra=ABOUT)
    (line,) = path.read_text().splitlines()
    time, rest = line.split(" ", 1)
    assert rest == "info connections: 'c1' connected from 127.0.0.1:5"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", time)
    assert datetime.fromisoformat(time) >= before


def test_a_json_line_has_what_it_is_about(path: Path) -> None:
    with logging_to(LogOptions(file=str(path), format="json")):
        connections.info("%r connected", "c1", extra={**ABOUT, "payload": b"a\xff", "count": 2})
    (line,) = path.read_text().splitlines()
    found = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
    assert found == {
        "level": "info",
        "part": "connections",
        "message": "'c1' connected",
        "client_id": "c1",
        "address": "127.0.0.1:5",
        "payload": "a\\xff",
        "count": 2,
    }


def test_one_event_is_one_line_whatever_clients_call_themselves(path: Path) -> None:
    options = LogOptions(file=str(path))
    with logging_to(options):
        connections.info("a\nb\x1b[2J\u2028c é")
        try:
            raise ValueError("of the\nprogram")
        except ValueError:
            connections.exception("It failed")
    first, second = path.read_text().split("\n")[:2]
    assert first.endswith(r": a\nb\x1b[2J\u2028c é")
    assert r"It failed: Traceback (most recent call last):\n" in second
    assert path.read_text().count("\n") == 2


def test_a_json_line_has_no_character_that_readers_act_on(path: Path) -> None:
    name = "é\x7f\x85\x9b2J\u2028\u202e\U000e0001"
    with logging_to(LogOptions(file=str(path), format="json")):
        connections.info("%s connected", name, extra={"client_id": name})
    (line,) = path.read_text().splitlines()
    assert line.isprintable()
    assert json.loads(line)["client_id"] == name
    assert "é" in line


def test_a_json_line_tells_of_a_defect(path: Path) -> None:
    with logging_to(LogOptions(file=str(path), format="json")):
        try:
            raise ValueError("no")
        except ValueError:
            connections.exception("It failed")
    assert json.loads(path.read_text())["exception"].endswith("ValueError: no")


def test_each_part_has_its_level(path: Path) -> None:
    options = LogOptions(
        file=str(path), level="error", levels={"messages": "debug", "access": "warning"}
    )
    with logging_to(options):
        connections.warning("left out")
        connections.error("one")
        messages.debug("two")
        access.info("left out")
        access.warning("three")
        logging.getLogger("trio_mqtt").error("four")
    assert [line.rpartition(": ")[2] for line in path.read_text().splitlines()] == [
        "one", "two", "three", "four"
    ]  # fmt: skip


def test_loggers_are_as_they_were_afterwards(path: Path) -> None:
    before = [(one.level, one.handlers[:]) for one in (connections, messages)]
    with logging_to(LogOptions(file=str(path), level="debug", payloads=True)):
        assert messages.isEnabledFor(logging.DEBUG)
        assert logging.getLogger("trio_mqtt.messages.payloads").level == logging.DEBUG
    assert [(one.level, one.handlers[:]) for one in (connections, messages)] == before
    assert logging.getLogger("trio_mqtt.messages.payloads").level == logging.NOTSET


def test_a_log_takes_nothing_from_another_that_wants_more(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "other.log"
    with (
        caplog.at_level(logging.INFO, "trio_mqtt.connections"),
        logging_to(LogOptions(file=str(other))),
        logging_to(LogOptions(file=str(path), level="error")),
    ):
        connections.info("hello")
    assert caplog.messages == ["hello"]
    assert other.read_text().endswith("hello\n")
    assert path.read_text() == ""


def test_what_breaks_again_and_again_is_summed_up(path: Path) -> None:
    with logging_to(LogOptions(file=str(path))):
        for number in range(100):
            connections.warning("The hook failed for %r", number)
            connections.info("%s", f"event {number}", extra={"event": "connected"})
        connections.warning("Something else")
    told = path.read_text().splitlines()
    assert sum("The hook failed for" in line for line in told) == 61
    assert sum("event" in line for line in told) == 100
    assert told[-1].endswith(
        "40 more in the last minute are not shown that say: The hook failed for %r"
    )
    assert "Something else" in told[-2]


@pytest.fixture
def minute_over(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Until it is set no time goes by where records are counted, however long they take."""
    over = Event()
    clock = SimpleNamespace(monotonic=lambda: float(over.is_set()))
    monkeypatch.setattr(log_storms, "time", clock)
    monkeypatch.setattr(log_storms, "_WINDOW", 0.05)
    return over


def until_summed_up(path: Path) -> None:
    deadline = monotonic() + 60
    while "not shown" not in path.read_text():
        assert monotonic() < deadline
        sleep(0.01)


def test_it_is_summed_up_within_a_minute(path: Path, minute_over: Event) -> None:
    with logging_to(LogOptions(file=str(path))) as log:
        for _ in range(log_storms.LINES):
            connections.warning("It failed")
        log.flush_lines()  # from here on nothing comes that would be written
        for _ in range(3):
            connections.warning("It failed")
        minute_over.set()
        until_summed_up(path)


def test_it_is_summed_up_though_other_lines_never_end(path: Path, minute_over: Event) -> None:
    stop = Event()

    def go_on() -> None:
        while not stop.is_set():
            messages.warning("Another", extra={"event": "other"})

    thread = Thread(target=go_on)
    with logging_to(LogOptions(file=str(path))):
        for _ in range(log_storms.LINES + 3):
            connections.warning("It failed")
        thread.start()
        minute_over.set()
        try:
            until_summed_up(path)
        finally:
            stop.set()
            thread.join()


# -- where to --------------------------------------------------------------------------------------


# -- where it cannot be written --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (LogOptions(file="/nowhere/x.log"), "/nowhere/x.log: No such file or directory."),
        (LogOptions(destination="syslog", syslog_address="/nowhere"), "syslog at /nowhere: "),
        (LogOptions(destination="syslog", syslog_address="here"), "neither the path of a socket"),
    ],
)
def test_what_cannot_be_opened_is_told_in_a_sentence(options: LogOptions, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(sentence)), logging_to(options):
        pass


@pytest.mark.posix
def test_a_pipe_that_nobody_reads_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    options = LogOptions(file=str(path))
    with pytest.raises(ConfigurationError, match="cannot be written"), logging_to(options):
        pass
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(reader, encoding="utf-8") as pipe:
        with logging_to(options):
            connections.info("one")
        assert pipe.read().endswith("info connections: one\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_disk_that_is_full_is_told_once_and_what_was_lost_is_counted(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.symlink_to("/dev/full")
    with logging_to(LogOptions(file=str(path))) as log:
        connections.info("one")
        connections.info("two")
        log.flush_lines()
        path.unlink()  # there is room again
        connections.info("three")
        log.flush_lines()
    told = [one.getMessage() for one in caplog.records if one.name == monitoring.name]
    assert told == [
        f"The log cannot be written to {path}: No space left on device.",
        f"The log can be written to {path} again.",
    ]
    assert [line.split(" ", 1)[1] for line in path.read_text().splitlines()] == [
        "info connections: three",
        "warning monitoring: 2 lines of the log were left out: they could not be written in time.",
    ]


def test_whoever_does_not_read_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    with open(write, "w", buffering=1) as stderr, open(read, "rb") as reader:
        monkeypatch.setattr(sys, "stderr", stderr)
        with logging_to(LogOptions(queued_lines=10)) as log:
            for _ in range(300):
                # Of which a pipe has room for some 64.
                connections.info("x" * 1_000, extra={"event": "x"})
            found = bytearray()
            while log.waiting:
                found += os.read(read, 65_536) if select([read], [], [], 0.01)[0] else b""
        stderr.close()
        found += reader.read()
    left_out = re.findall(rb"(\d+) lines of the log were left out", found)
    assert sum(map(int, left_out)) == 300 - found.count(b"xxx\n") > 0


# -- options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"level": "loud"}, "level is debug, info, warning or error, not 'loud'"),
        ({"levels": {"door": "info"}}, "a part of the log is access, audit, broker"),
        ({"levels": {"access": "all"}}, "the level of access is debug, info, warning or error"),
        ({"format": "xml"}, "format is human or json, not 'xml'"),
        ({"destination": "file"}, "needs the file's name"),
        ({"file": ""}, "is empty"),
        ({"file": "x", "destination": "journal"}, "not to both"),
        ({"file": "x", "rotate_bytes": 1, "rotate_every": "day"}, "not by both"),
        ({"rotate_bytes": 1}, "only a log in a file"),
        ({"file": "x", "rotate_every": "year"}, "rotate_every is hour, day or week"),
        ({"queued_lines": 0}, "1 or more"),
    ],
)
def test_what_contradicts_itself_is_refused(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        LogOptions(**given)  # type: ignore[arg-type]
