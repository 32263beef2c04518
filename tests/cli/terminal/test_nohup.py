"""What was started by nohup: it outlives its terminal, and a broker still reads its files again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cli.programs import DEADLINE, IN_TERMINAL, Program, publish, running_broker
from tests.ports import free_port

pytestmark = pytest.mark.slow


@pytest.fixture
def _nohup() -> Iterator[None]:
    """Processes that are started now ignore SIGHUP."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("_nohup")
def test_a_broker_reads_its_files_again_when_it_is_told() -> None:
    with running_broker() as (broker, url):
        for times in (1, 2):
            broker.process.send_signal(signal.SIGHUP)
            broker.out.expect(r"The settings were read again\.\n", times=times)
        publish(url, "t", "still here", qos=1)
        assert broker.stop() == 0


@pytest.mark.usefixtures("_nohup")
def test_a_broker_outlives_its_terminal() -> None:
    url = f"mqtt://127.0.0.1:{free_port()}"
    terminal, inner = os.openpty()
    broker = subprocess.Popen(
        [sys.executable, *IN_TERMINAL, "broker", url],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
    )
    try:
        os.close(inner)
        shown = b""
        while b"Ctrl-C stops it." not in shown:
            shown += os.read(terminal, 10_000)
        os.close(terminal)  # the system sends SIGHUP
        for _ in range(3):
            publish(url, "t", "still here", qos=1)
            broker.send_signal(signal.SIGHUP)
        publish(url, "t", "still here", qos=1)
        broker.send_signal(signal.SIGTERM)
        assert broker.wait(DEADLINE) == 0
    finally:
        broker.kill()
        broker.wait()


@pytest.mark.usefixtures("_nohup")
def test_a_command_without_files_ignores_the_signal(in_pipe: tuple[Program, str]) -> None:
    broker, url = in_pipe
    with Program("sub", "nohup/t", "-b", url, "-i", "nohup", "-C", "1") as sub:
        broker.out.expect("nohup subscribed to ")
        sub.process.send_signal(signal.SIGHUP)
        publish(url, "nohup/t", "heard")
        assert sub.ended() == 0
        assert sub.out.data == b"heard\n"
