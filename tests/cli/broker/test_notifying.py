"""What systemd is told, while it is slow to listen."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

from tmqtt.broker.systemd import Notifier


def fill(address: str) -> int:
    """Send to a socket until no more fits; how many that were."""
    count = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(BlockingIOError):
        sender.setblocking(False)
        while True:
            sender.sendto(b"WATCHDOG=1", address)
            count += 1
    return count


def test_that_it_is_ready_is_not_lost_where_much_waits_to_be_read(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(address)
        count = fill(address)
        notifier = Notifier({"NOTIFY_SOCKET": address})
        found: list[bytes] = []

        def read() -> None:
            found.extend(notices.recv(100) for _ in range(count + 2))

        reader = threading.Thread(target=read)
        reader.start()
        with notifier.serving():
            pass
        reader.join()
    assert found[count:] == [b"READY=1", b"STOPPING=1"]


def test_nobody_waits_for_who_reads_nothing_at_all(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(address)
        fill(address)
        notifier = Notifier({"NOTIFY_SOCKET": address})
        notifier.status("busy")  # at once
        with notifier.serving():  # within two seconds
            pass
