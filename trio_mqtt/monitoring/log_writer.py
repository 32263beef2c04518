"""The log, written by a thread of its own: no slow disk, no full pipe holds a broker up."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from trio_mqtt.broker.events.log import PAYLOADS, levels_changed
from trio_mqtt.monitoring.log_destinations import name_of, open_destination
from trio_mqtt.monitoring.log_options import NUMBERS, PARTS, ROOT, LogOptions, part_of

# Tells what is wrong with the log itself: to all but that log.
_OWN = f"{ROOT}.monitoring"
_own = logging.getLogger(_OWN)

_END = 2.0  # seconds that the last lines may take


@contextmanager
def logging_to(options: LogOptions | None = None) -> Iterator[LogWriter]:
    """Write the library's log for as long as the context lasts; without `options`, to stderr.

    Loggers below `trio_mqtt` are opened as far as the options say. A program's own handlers get
    what they let through as well.

        with logging_to(LogOptions(file="/var/log/broker.log", format="json")):
            trio.run(trio_mqtt.serve)

    Raises ConfigurationError where the destination cannot be opened.
    """
    options = options or LogOptions()
    with ExitStack() as undo:
        undo.callback(levels_changed)
        for part in PARTS:
            _open_logger(logging.getLogger(f"{ROOT}.{part}"), options.number_of(part), undo)
        if options.payloads:
            _set_level(PAYLOADS, logging.DEBUG, undo)
        writer = LogWriter(options)
        undo.callback(writer.close)
        root = logging.getLogger(ROOT)
        root.addHandler(writer)
        undo.callback(root.removeHandler, writer)
        levels_changed()
        yield writer


def _open_logger(logger: logging.Logger, level: int, undo: ExitStack) -> None:
    """Have a logger let through what is of a level; others may want more of it."""
    if logger.getEffectiveLevel() > level:
        _set_level(logger, level, undo)


def _set_level(logger: logging.Logger, level: int, undo: ExitStack) -> None:
    undo.callback(logger.setLevel, logger.level)
    logger.setLevel(level)


class LogWriter(logging.Handler):
    """Takes records from any thread, and has its own write them."""

    def __init__(self, options: LogOptions) -> None:
        self._destination = open_destination(options)
        super().__init__()  # from here on it is closed with the process
        self._levels: dict[str, int] = {part: options.number_of(part) for part in PARTS}
        self._default = NUMBERS[options.level]
        self._name = name_of(options)
        self._queue: queue.Queue[logging.LogRecord | None] = queue.Queue(options.queued_lines)
        self._lost = 0  # since that was last written
        self._reopen = False
        self._failed = False
        # A disk that does not answer must not keep the process from its end.
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is of the levels that this log has."""
        part = part_of(record.name)
        if record.levelno < self._levels.get(part, self._default):
            return False
        return super().filter(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Have a record written. Called by logging, which holds the handler's lock."""
        if record.name == _OWN and threading.current_thread() is self._thread:
            return
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self._lost += 1

    @property
    def lost(self) -> int:
        """Lines that were left out since the log last said so."""
        return self._lost

    @property
    def waiting(self) -> int:
        """Lines that are not written yet."""
        return self._queue.unfinished_tasks

    def flush_lines(self) -> None:
        """Wait until all that was logged is written, or left out."""
        self._queue.join()

    def reopen(self) -> None:
        """Open the file anew before the next line, as after it was moved away."""
        self._reopen = True

    def close(self) -> None:
        """Write what waits, for at most two seconds, and let go of the destination."""
        if not self._thread.is_alive():
            return
        try:
            self._queue.put(None, timeout=_END)
        except queue.Full:
            return  # nothing is written: the thread goes with the process
        self._thread.join(_END)
        super().close()

    def _run(self) -> None:
        while True:
            record = self._queue.get()
            if record is None:
                break
            self._write(record)
            self._queue.task_done()
        self._tell_lost()
        try:
            self._destination.close()
        except OSError:
            return

    def _write(self, record: logging.LogRecord) -> None:
        try:
            if self._reopen and isinstance(self._destination, logging.FileHandler):
                self._reopen = False
                self._destination.close()  # opened with the next line
            self._destination.handle(record)
        except Exception as error:
            self._lose(1)
            self._fail(error)
            return
        if self._failed:
            self._failed = False
            _own.warning("The log can be written to %s again.", self._name)
        if self._lost and self._queue.empty():
            self._tell_lost()

    def _tell_lost(self) -> None:
        self.acquire()  # others count
        lost, self._lost = self._lost, 0
        self.release()
        if not lost:
            return
        record = logging.LogRecord(
            _OWN,
            logging.WARNING,
            __file__,
            0,
            "%s lines of the log were left out: they could not be written in time.",
            (f"{lost:,}",),
            None,
        )
        record.count = lost
        try:
            self._destination.handle(record)
        except Exception:
            self._lose(lost)

    def _lose(self, count: int) -> None:
        self.acquire()
        self._lost += count
        self.release()

    def _fail(self, error: Exception) -> None:
        if self._failed:
            return
        self._failed = True
        reason = getattr(error, "strerror", None) or error
        _own.error("The log cannot be written to %s: %s.", self._name, reason)
