"""Stopping ends a command in order and at once, whatever is in its way."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys

import pytest

from tests.cli.programs import DEADLINE, Program
from tests.ports import free_port

pytestmark = pytest.mark.slow


def test_ctrl_c_says_goodbye_and_a_second_one_does_not_wait_for_the_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)
        url = f"mqtt://127.0.0.1:{server.getsockname()[1]}"
        with Program("pub", "a", "--every", "1h", "-b", url, terminal=True) as pub:
            client, _ = server.accept()
            with client:
                client.settimeout(DEADLINE)
                client.recv(65_536)
                client.sendall(b"\x20\x03\x00\x00\x00")
                pub.out.expect("Hello mqtt")
                pub.press_ctrl_c()
                received = b""
                while b"\xe0" not in received:  # DISCONNECT
                    received += client.recv(65_536)
                pub.press_ctrl_c()  # the broker does not close its end: pub would wait for it
                assert pub.ended() == 130
                assert "Traceback" not in pub.out.text


def test_ctrl_c_while_waiting_for_a_broker_ends_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # connects, but never answers
        url = f"mqtt://127.0.0.1:{server.getsockname()[1]}"
        with Program("sub", "a", "-b", url, terminal=True) as sub:
            server.settimeout(DEADLINE)
            client, _ = server.accept()
            with client:
                sub.press_ctrl_c()
                assert sub.ended() == 130
                assert sub.out.text.strip() in ("", "^C")


def test_a_broker_serves_and_stops_while_its_terminal_takes_nothing() -> None:
    url = f"mqtt://127.0.0.1:{free_port()}"
    unread, inner = pty.openpty()
    broker = subprocess.Popen(
        [sys.executable, "-m", "tmqtt", "broker", url], stdin=inner, stdout=inner, stderr=inner
    )
    try:
        os.close(inner)
        # Each line is some 250 characters long, and the terminal holds a few thousand.
        with Program("pub", "a", "x" * 200, "--count", "100", "-w", "-b", url) as pub:
            assert pub.ended() == 0
        with Program("pub", "a", "--every", "20ms", "--count", "100", "-q", "2", "-vb", url) as pub:
            assert pub.ended() == 0
            assert pub.out.data.count(b"\n") == 100
        broker.send_signal(signal.SIGTERM)
        assert broker.wait(DEADLINE) == 0
    finally:
        broker.kill()
        broker.wait()
        os.close(unread)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_has_ended_by_itself_says_nothing_when_it_is_stopped(number: signal.Signals) -> None:
    program = (
        "import atexit, os\n"
        "from tmqtt.terminal.running import run\n"
        "async def command(terminal): pass\n"
        f"atexit.register(os.kill, os.getpid(), {number:d})\n"
        "run(command)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=DEADLINE, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
