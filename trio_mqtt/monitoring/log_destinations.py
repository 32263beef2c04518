"""Where lines go: stderr, a file, systemd's journal, syslog. Each is called by one thread alone.

Whatever goes wrong is raised: the writer knows what to do about it.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import socket
import sys
from collections.abc import Iterator
from logging.handlers import (
    RotatingFileHandler,
    SysLogHandler,
    TimedRotatingFileHandler,
    WatchedFileHandler,
)
from typing import IO, Any, NoReturn

from trio_mqtt.errors import ConfigurationError
from trio_mqtt.monitoring.log_formats import exception_of, fields_of, formatter_for
from trio_mqtt.monitoring.log_options import LogOptions

JOURNAL = "/run/systemd/journal/socket"
_IDENTIFIER = "tmqtt"
_PERIODS = {"hour": "h", "day": "midnight", "week": "w0"}
# Priorities as syslog(3) and systemd's journal have them.
_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7


def open_destination(options: LogOptions, journal: str = JOURNAL) -> logging.Handler:
    """What writes lines to where they are to go.

    Raises ConfigurationError where that cannot be opened.
    """
    try:
        handler = _opened(options, journal)
    except (OSError, ValueError) as error:
        raise _not_written(options, getattr(error, "strerror", None) or error) from error
    handler.setFormatter(formatter_for(options))
    return handler


def check_destination(options: LogOptions) -> None:
    """Raise ConfigurationError where `open_destination` would; no file is made for that."""
    if options.goes_to != "file" or os.path.exists(str(options.file)):
        open_destination(options).close()
        return
    folder = os.path.dirname(str(options.file)) or os.curdir
    if not os.path.isdir(folder):
        raise _not_written(options, f"there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _not_written(options, f"nothing can be made in the folder {folder}")


def _not_written(options: LogOptions, reason: object) -> ConfigurationError:
    return ConfigurationError(f"The log cannot be written to {name_of(options)}: {reason}.")


def name_of(options: LogOptions) -> str:
    """What a sentence calls the destination."""
    if options.goes_to == "file":
        return str(options.file)
    if options.goes_to == "syslog":
        return f"syslog at {options.syslog_address}"
    return {"stderr": "stderr", "journal": "the journal"}[options.goes_to]


def _opened(options: LogOptions, journal: str) -> logging.Handler:
    match options.goes_to:
        case "file":
            path = str(options.file)
            kept = options.rotated_kept
            mode = 0o600 if options.payloads else 0o666
            if options.rotate_bytes:
                most = options.rotate_bytes
                return _SizedFile(path, mode=mode, maxBytes=most, backupCount=kept)
            if options.rotate_every:
                when = _PERIODS[options.rotate_every]
                return _DatedFile(path, mode=mode, when=when, backupCount=kept)
            return _File(path, mode=mode)
        case "journal":
            return JournalHandler(journal)
        case "syslog":
            return _Syslog(_syslog_address(options.syslog_address))
        case "stderr":
            return _Stream(sys.stderr)


def _syslog_address(text: str) -> str | tuple[str, int]:
    if text.startswith("/"):
        return text
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigurationError(f"{text} is neither the path of a socket nor HOST:PORT.")
    return host.strip("[]"), int(port)


class _Raises(logging.Handler):
    """Passes on what goes wrong, instead of printing it with a traceback."""

    def handleError(self, record: logging.LogRecord) -> NoReturn:  # noqa: N802
        """Called while what went wrong is handled."""
        error = sys.exc_info()[1]
        assert error is not None  # noqa: S101
        raise error


class _Unbuffered(logging.FileHandler):
    """What a disk that is full did not take must not come later, nor anything in halves.

    `mode` has who may read a file that is made.
    """

    def __init__(self, path: str, *, mode: int, **settings: Any) -> None:
        self._mode = mode  # it is opened by what follows
        super().__init__(path, **settings)

    def _open(self) -> io.TextIOWrapper:
        # The handler closes it.
        raw: IO[bytes] = open(self.baseFilename, "ab", buffering=0, opener=self._open_at_once)  # noqa: SIM115
        return io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)

    def _open_at_once(self, path: str, flags: int) -> int:
        """Open what the log goes to; where that is a pipe that nobody reads, that is an error."""
        file = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), self._mode)
        if sys.platform != "win32":
            os.set_blocking(file, True)  # the lines may wait
        return file


class _Stream(_Raises, logging.StreamHandler[IO[str]]):
    pass


class _File(_Raises, _Unbuffered, WatchedFileHandler):
    pass


class _SizedFile(_Raises, _Unbuffered, RotatingFileHandler):
    pass


class _DatedFile(_Raises, _Unbuffered, TimedRotatingFileHandler):
    pass


class _Syslog(_Raises, SysLogHandler):
    def __init__(self, address: str | tuple[str, int]) -> None:
        if isinstance(address, str):
            os.stat(address)  # the handler itself would not mind until the first line
        super().__init__(address, SysLogHandler.LOG_DAEMON)
        self.ident = f"{_IDENTIFIER}: "


class JournalHandler(_Raises):
    """systemd's journal by its own protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL): fields
    such as CLIENT_ID can be searched for, `journalctl CLIENT_ID=c1`."""

    def __init__(self, path: str = JOURNAL) -> None:
        super().__init__()
        self._path = path
        self._socket = self._connected()

    def _connected(self) -> socket.socket:
        if not hasattr(socket, "AF_UNIX"):
            raise OSError(errno.EAFNOSUPPORT, "this system has no Unix sockets")
        found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            found.connect(self._path)
        except OSError:
            found.close()
            raise
        return found

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        data = b"".join(_journal_field(*one) for one in self._fields(record))
        try:
            self._socket.send(data)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                raise
            # Whoever listened has gone; where it has begun anew, its socket is another.
            again = self._connected()
            self._socket.close()
            self._socket = again
            again.send(data)

    def _fields(self, record: logging.LogRecord) -> Iterator[tuple[str, object]]:
        yield "MESSAGE", self.format(record)
        yield "PRIORITY", _priority(record.levelno)
        yield "SYSLOG_IDENTIFIER", _IDENTIFIER
        yield "LOGGER", record.name
        for name, value in fields_of(record):
            yield name.upper(), value
        exception = exception_of(record)
        if exception:
            yield "EXCEPTION", exception

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()
        super().close()


def _priority(level: int) -> int:
    return next((priority for at_least, priority in _PRIORITIES if level >= at_least), _DEBUG)


def _journal_field(name: str, value: object) -> bytes:
    data = bytes(value) if isinstance(value, (bytes, memoryview)) else str(value).encode()
    if b"\n" not in data:
        return b"%s=%s\n" % (name.encode(), data)
    return b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data)
