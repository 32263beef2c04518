"""A storm of one kind of record is summed up: what broke a thousand times is told sixty times.

What happens in a broker is bounded where it is told (its records have an `event`); this is for all
others, such as a hook of a program's that fails with each message.
"""

from __future__ import annotations

import logging
import time

LINES = 60  # in a minute, of records that say the same with other values
_WINDOW = 60.0  # seconds
_KINDS = 1_000  # that are counted apart


class Storms:
    """Which records are written, and what is left out. Not for several threads at once."""

    def __init__(self) -> None:
        self._until = 0.0
        self._written: dict[tuple[str, int, str], int] = {}
        self._left_out: dict[tuple[str, int, str], int] = {}
        # Whether the record that was left out last was the first of those that are now `due`.
        self.has_begun = False

    @property
    def due(self) -> float | None:
        """Seconds until what was left out is to be told; None where nothing was."""
        return max(0.0, self._until - time.monotonic()) if self._left_out else None

    def takes(self, record: logging.LogRecord) -> bool:
        """Whether a record is to be written; else it is counted."""
        if hasattr(record, "event"):
            return True
        now = time.monotonic()
        if now >= self._until and not self._left_out:
            self._until = now + _WINDOW
            self._written.clear()
        kind = record.name, record.levelno, str(record.msg)
        written = self._written.get(kind, 0)
        if written < LINES:
            if written or len(self._written) < _KINDS:
                self._written[kind] = written + 1
            return True
        self.has_begun = not self._left_out
        self._left_out[kind] = self._left_out.get(kind, 0) + 1
        return False

    def sums(self) -> list[logging.LogRecord]:
        """What was left out, once for each kind; a new minute begins."""
        left_out, self._left_out = self._left_out, {}
        self._written.clear()
        self._until = time.monotonic() + _WINDOW
        return [_sum(*kind, count) for kind, count in left_out.items()]


def _sum(name: str, level: int, message: str, count: int) -> logging.LogRecord:
    text = "%s more in the last minute are not shown that say: %s"
    arguments = f"{count:,}", message.partition("\n")[0]
    record = logging.LogRecord(name, level, __file__, 0, text, arguments, None)
    record.count = count
    return record
