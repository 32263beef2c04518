"""The log, written by a thread of its own: no slow disk, no full pipe holds a broker up."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from trio_mqtt.broker.events.log import PAYLOADS, levels_changed
from trio_mqtt.monitoring.log_destinations import name_of, open_destination
from trio_mqtt.monitoring.log_options import NUMBERS, PARTS, ROOT, LogOptions, part_of
from trio_mqtt.monitoring.log_storms import Storms

# Tells what is wrong with the log itself: to all but that log.
_OWN = f"{ROOT}.monitoring"
_own = logging.getLogger(_OWN)

_END = 2.0  # seconds that the last lines may take

# Is not written: it has the thread look at what is to be told, and when.
_LOOK = logging.LogRecord(_OWN, 0, __file__, 0, "", (), None)


@contextmanager
def logging_to(options: LogOptions | None = None) -> Iterator[LogWriter]:
    """Write the library's log for as long as the context lasts; without `options`, to stderr.

    Loggers below `trio_mqtt` are opened as far as the options say. A program's own handlers get
    what they let through as well.

        with logging_to(LogOptions(file="/var/log/broker.log", format="json")):
            trio.run(trio_mqtt.serve)

    Raises ConfigurationError where the destination cannot be opened.
    """
    writer = LogWriter(options or LogOptions())
    root = logging.getLogger(ROOT)
    root.addHandler(writer)
    try:
        yield writer
    finally:
        root.removeHandler(writer)
        writer.close()


class _Loggers:
    """The loggers below `trio_mqtt`, opened as far as a log wants them, and as they were before."""

    def __init__(self) -> None:
        self._before: list[tuple[logging.Logger, int]] = []

    def open(self, options: LogOptions) -> None:
        """Have them let through what the log is to have; others may want more of it."""
        self._restore()
        for part in PARTS:
            logger, level = logging.getLogger(f"{ROOT}.{part}"), options.number_of(part)
            if logger.getEffectiveLevel() > level:
                self._set(logger, level)
        if options.payloads:
            self._set(PAYLOADS, logging.DEBUG)
        levels_changed()

    def close(self) -> None:
        """Have them as they were."""
        self._restore()
        levels_changed()

    def _set(self, logger: logging.Logger, level: int) -> None:
        self._before.append((logger, logger.level))
        logger.setLevel(level)

    def _restore(self) -> None:
        for logger, level in reversed(self._before):
            logger.setLevel(level)
        self._before.clear()


class LogWriter(logging.Handler):
    """Takes records from any thread, and has its own write them."""

    def __init__(self, options: LogOptions) -> None:
        self._destination = open_destination(options)
        super().__init__()  # from here on it is closed with the process
        self._next: logging.Handler | None = None  # where it goes from the next line on
        self._loggers = _Loggers()
        self._keep_to(options)
        self._queue: queue.Queue[logging.LogRecord | None] = queue.Queue(options.queued_lines)
        self._storms = Storms()
        self._lost = 0  # since that was last written
        self._reopen = False
        self._failed = False
        # A disk that does not answer must not keep the process from its end.
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def _keep_to(self, options: LogOptions) -> None:
        self._levels: dict[str, int] = {part: options.number_of(part) for part in PARTS}
        self._default = NUMBERS[options.level]
        self._name = name_of(options)
        self._loggers.open(options)

    @contextmanager
    def changing(self, options: LogOptions) -> Iterator[Callable[[], None]]:
        """Open where the log is to go by other options; what is given has it go there.

        Unless that is called within the context, all stays as it is. Raises ConfigurationError
        where the destination cannot be opened.
        """
        unused: list[logging.Handler] = [open_destination(options)]

        def change() -> None:
            destination = unused.pop()
            self.acquire()  # the thread takes it
            if self._next is not None:
                unused.append(self._next)
            self._next = destination
            self._queue.maxsize = options.queued_lines
            self.release()
            self._keep_to(options)

        try:
            yield change
        finally:
            for destination in unused:
                destination.close()

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
        if not self._storms.takes(record):
            if self._storms.has_begun:
                # The thread may wait for a record, though none comes but those that are left out.
                with suppress(queue.Full):
                    self._queue.put_nowait(_LOOK)
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
        self._loggers.close()
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
            try:
                record = self._queue.get(timeout=self._storms.due)
            except queue.Empty:
                self._sum_up()
                continue
            if record is None:
                break
            if record is not _LOOK:
                self._write(record)
            self._queue.task_done()
            if self._storms.due == 0:
                self._sum_up()
        self._sum_up()
        try:
            self._take_next()
            self._tell_lost()
            self._destination.close()
        except OSError:
            return

    def _sum_up(self) -> None:
        self.acquire()
        sums = self._storms.sums()
        self.release()
        for record in sums:
            self._write(record)

    def _write(self, record: logging.LogRecord) -> None:
        try:
            self._take_next()
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

    def _take_next(self) -> None:
        """Go over to another destination, if there is one."""
        if self._next is None:
            return
        self.acquire()
        old, self._destination, self._next = self._destination, self._next, None
        self.release()
        old.close()

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
