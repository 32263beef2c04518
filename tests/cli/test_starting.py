"""What is forked is what a fresh process would be."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from tmqtt.app import NAMES

from tests.cli.forking import NUMBER
from tests.cli.programs import Program, running_broker
from tests.cli.starting import Forked
from trio_mqtt import sync

# In processes that have none of ours; what others have is loaded once for all.
_EACH_ALONE = """
import os, sys
import anyio._backends._trio, json, ssl, trio, typer
for room in sys.argv[1:]:
    if os.fork():
        if os.wait()[1]:
            print(room, flush=True)
    else:
        __import__(f"tmqtt.{room}.options")
        __import__(f"tmqtt.{room}.command")
        os._exit(0)
"""
_FIELDS = ("SigBlk", "SigIgn", "SigCgt", "Umask", "Seccomp", "NoNewPrivs")


@contextmanager
def fresh(*arguments: str) -> Iterator[int]:
    """The number of a process that has read everything itself, once it listens."""
    with subprocess.Popen(
        [sys.executable, "-m", "tmqtt", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            assert any(b"To let others in" in line for line in process.stdout)
            yield process.pid
        finally:
            process.terminate()
            process.communicate()


def seen_of(pid: int) -> dict[str, object]:
    """What the system tells of a process that listens."""
    about = Path("/proc", str(pid))
    status = dict(re.findall(r"^(\w+):\t(.*)$", (about / "status").read_text(), re.MULTILINE))
    kinds = [re.sub(r"\d+", "", os.readlink(one)) for one in (about / "fd").iterdir()]
    _, group, session, terminal = (about / "stat").read_text().rpartition(")")[2].split()[1:5]
    return {
        **{name: status.get(name) for name in _FIELDS},
        "descriptors": sorted(kinds),
        "folder": os.readlink(about / "cwd"),
        "group": (group, session, terminal),
        "limits": (about / "limits").read_text(),
    }


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the system tells of processes there")
def test_a_fork_is_what_a_fresh_process_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMQTT_LIMITS__MAXIMUM_CONNECTIONS", "7")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with (
            Program("broker", "mqtt://127.0.0.1:0") as forked,
            fresh("broker", "mqtt://127.0.0.1:0") as other,
        ):
            forked.out.expect("To let others in")
            assert seen_of(forked.process.pid) == seen_of(other)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
def test_each_command_loads_in_a_process_that_has_loaded_no_other() -> None:
    """As those do which are started by people: forks of one that has loaded all do not show it."""
    rooms = [name for name in NAMES if find_spec(f"tmqtt.{name}.command")]
    assert len(rooms) > 25
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", _EACH_ALONE, *rooms],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_signal_may_come_after_its_end_and_before_that_is_told() -> None:
    told, telling = os.pipe()
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        assert ended.wait(120) == 0
    os.write(telling, NUMBER.pack(ended.pid))
    forked = Forked(told)
    forked.kill()
    os.write(telling, NUMBER.pack(0))
    os.close(telling)
    assert forked.wait(120) == 0


def test_it_has_its_environment_and_ends_as_it_does(tmp_path: Path) -> None:
    wrong = {"TMQTT_LIMITS__MAXIMUM_CONNECTIONS": "-1"}
    with Program("broker", "mqtt://127.0.0.1:0", environment=wrong) as refused:
        assert refused.ended() == 2
    assert "limits.maximum_connections" in refused.err.text
    with Program("broker", "mqtt://127.0.0.1:0") as killed:
        killed.out.expect("Listening at")
        assert killed.process.poll() is None
        killed.process.kill()
        assert killed.ended() == killed.process.poll() == -signal.SIGKILL


def test_a_broker_that_tests_look_at_shows_all_that_happens() -> None:
    with running_broker() as (broker, url):
        for number in range(60):  # in less than a second
            with sync.open_client(url, client_id=f"c{number}"):
                pass
        broker.out.expect(r"c\d+ disconnected\n", times=60)
