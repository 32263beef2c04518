"""What of the log is set, as it is found where the log goes."""

from __future__ import annotations

import os
import select
import socket
import time
from pathlib import Path

import pytest

from tests.cli.broker.seen import sees
from tests.cli.broker.wire import Wire, broker_of
from tests.cli.programs import DEADLINE, Program, Stream

pytestmark = pytest.mark.slow

LISTENER = "[[listeners]]\nurl = 'mqtt://127.0.0.1:0'\n"
_DAYS = 10 * 86_400


def come_and_go(url: str, name: str) -> None:
    with Wire(url, name) as client:
        client.goodbye()


@sees("logging.destination", "logging.syslog_address")
def test_lines_go_to_the_syslog_that_is_named(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
        syslog.bind(("127.0.0.1", 0))
        syslog.settimeout(DEADLINE)
        host, port = syslog.getsockname()
        log = f"[logging]\ndestination = 'syslog'\nsyslog_address = '{host}:{port}'\n"
        with broker_of(LISTENER + log, tmp_path) as (_, (url,)):
            come_and_go(url, "sensor")
            while b"'sensor' connected from 127.0.0.1" not in (line := syslog.recv(65_536)):
                assert line.startswith(b"<")
            assert line.startswith(b"<30>tmqtt: info connections: 'sensor'")  # daemon, info


@sees("logging.rotate_bytes", "logging.rotated_kept")
def test_a_file_is_put_aside_by_its_size(tmp_path: Path) -> None:
    log = "[logging]\nfile = 'log'\nrotate_bytes = 300\nrotated_kept = 2\n"
    with broker_of(LISTENER + log, tmp_path) as (_, (url,)):
        for number in range(10):
            come_and_go(url, f"c{number}")
    files = sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("log"))
    assert files == ["log", "log.1", "log.2"]
    assert all((tmp_path / name).stat().st_size <= 300 for name in files)
    kept = "".join((tmp_path / name).read_text() for name in files)
    assert "'c9' connected" in kept
    assert "'c0' connected" not in kept


@sees("logging.rotate_every")
def test_a_file_is_put_aside_when_its_day_is_over(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("what was before\n")
    moment = time.time() - _DAYS
    os.utime(path, (moment, moment))
    log = "[logging]\nfile = 'log'\nrotate_every = 'day'\n"
    with broker_of(LISTENER + log, tmp_path) as (_, (url,)):
        come_and_go(url, "today")
    aside = tmp_path / time.strftime("log.%Y-%m-%d", time.localtime(moment))
    assert aside.read_text() == "what was before\n"
    since = [one for one in tmp_path.glob("log*") if one != aside]  # two, around midnight
    assert "'today' connected" in "".join(one.read_text() for one in since)


@sees("logging.payloads")
@pytest.mark.parametrize("payloads", [True, False])
def test_payloads_are_logged_where_that_is_asked_for(payloads: bool, tmp_path: Path) -> None:
    log = f"[logging]\nfile = 'log'\nlevel = 'debug'\npayloads = {str(payloads).lower()}\n"
    with broker_of(LISTENER + log, tmp_path) as (_, (url,)), Wire(url) as client:
        client.publish("t", b"confidential")
    text = (tmp_path / "log").read_text()
    assert "published 12 bytes to 't'" in text
    assert ("confidential" in text) is payloads


@sees("logging.queued_lines", "logging.destination")
def test_lines_beyond_those_that_may_wait_are_left_out_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(LISTENER + "[logging]\ndestination = 'stderr'\nqueued_lines = 1\n")
    reading, writing = os.pipe()
    with Program("broker", "--config", str(file), stderr=writing) as broker:
        said = b""
        while b"Listening at" not in said or not said.endswith(b"\n"):
            said += os.read(reading, 65_536)
        url = said.decode().rpartition("Listening at ")[2].split()[0]
        # Nobody reads from here on, and nothing more goes into the pipe.
        while select.select((), (writing,), (), 0)[1]:
            os.write(writing, b"." * (select.PIPE_BUF - 1) + b"\n")
        os.close(writing)
        for number in range(10):
            come_and_go(url, f"c{number}")
        rest = Stream(reading)
        rest.expect(r"warning monitoring: \d+ lines of the log were left out")
        assert broker.stop() == 0
        rest.finish()
    assert rest.text.count(" connected from ") < 10
