"""How the broker's lines begin, so that who reads them knows when each was true."""

from __future__ import annotations

import os
import time
from datetime import datetime

from tmqtt.terminal import looks
from tmqtt.terminal.looks import Part

# Priorities as syslog(3) and systemd's journal have them.
ERROR, WARNING, INFO = 3, 4, 6


class Stamps:
    """The time of day in a terminal; else date, time and offset from UTC (ISO 8601).

    systemd's journal knows the time itself, and takes the line's priority instead, as sd-daemon(3)
    has it.
    """

    def __init__(self, descriptor: int, *, is_terminal: bool) -> None:
        self._is_terminal = is_terminal
        self._is_journal = _is_journal(descriptor)

    def now(self, priority: int = INFO) -> Part:
        """How a line begins now."""
        if self._is_terminal:
            return looks.clock()
        if self._is_journal:
            return f"<{priority}>", looks.PLAIN
        return f"{local_time()} ", looks.TIME


def local_time(at: float | None = None) -> str:
    """Date, time and offset from UTC, to the second, of `at` in seconds since 1970: else of now."""
    moment = datetime.fromtimestamp(time.time() if at is None else at).astimezone()
    return moment.isoformat(timespec="seconds")


def _is_journal(descriptor: int) -> bool:
    """Whether systemd has connected the descriptor to its journal, as systemd.exec(5) tells it."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
