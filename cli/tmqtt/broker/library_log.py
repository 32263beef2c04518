"""What the library logs while the broker runs, gathered for the person who runs it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

LOGGER = "trio_mqtt"
REFUSALS = "trio_mqtt.access"  # what clients wanted to do and may not
EXPOSED = "exposed"  # the event of a line that tells where anybody may connect
# The event of a line that tells of an engine that is waited for at the start.
AWAITED = "engine_awaited"
_KEPT = 200  # records between two looks; a flood of them is only counted


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence of the library's; `is_refusal` where a client may not do something."""

    text: str
    level: int = logging.WARNING
    is_refusal: bool = False
    client_id: str | None = None
    event: str | None = None


class LibraryLog(logging.Handler):
    """Keeps what is logged, in whatever thread that is, until the event loop takes it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._notices: list[Notice] = []
        self._missed = 0
        # Called, in whatever thread that is, once there is something to take.
        self.when_new: Callable[[], None] | None = None

    @property
    def has_news(self) -> bool:
        """Whether there is something to take."""
        return bool(self._notices)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record. Called by logging, which holds the handler's lock."""
        if getattr(record, "action", None) == "connect":
            return  # each of them is an event as well
        if getattr(record, "event", None) == EXPOSED:
            return  # it is said where the view begins
        if len(self._notices) >= _KEPT:
            self._missed += 1
            return
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}: {record.exc_info[1]!r}"
        self._notices.append(
            Notice(
                text,
                record.levelno,
                record.name == REFUSALS,
                getattr(record, "client_id", None),
                getattr(record, "event", None),
            )
        )
        if len(self._notices) == 1 and self.when_new is not None:
            self.when_new()

    def take_of(self, event: str) -> list[Notice]:
        """What was logged of one event, oldest first; the rest stays."""
        if not self._notices:
            return []
        self.acquire()
        try:
            found = [notice for notice in self._notices if notice.event == event]
            self._notices = [notice for notice in self._notices if notice.event != event]
        finally:
            self.release()
        return found

    def take(self) -> list[Notice]:
        """What was logged since the last call, oldest first."""
        if not self._notices:  # ten times a second: no lock for nothing
            return []
        self.acquire()
        try:
            notices, self._notices = self._notices, []
            missed, self._missed = self._missed, 0
        finally:
            self.release()
        if missed:
            notices.append(Notice(f"{missed:,} more were logged than can be shown."))
        return notices


@contextmanager
def library_log() -> Iterator[LibraryLog]:
    """Gather what is logged for as long as the context lasts."""
    log = LibraryLog()
    logger = logging.getLogger(LOGGER)
    logger.addHandler(log)
    try:
        yield log
    finally:
        logger.removeHandler(log)
