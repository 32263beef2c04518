"""What is logged of a broker, and where to."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import field
from os import PathLike, fspath
from typing import Literal, TypeAlias, get_args

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.records import record

LogLevel = Literal["debug", "info", "warning", "error"]
LogPart = Literal[
    "access",
    "audit",
    "broker",
    "client",
    "connections",
    "listeners",
    "messages",
    "monitoring",
    "sessions",
    "storage",
    "subscriptions",
    "web",
]
LogFormat = Literal["human", "json"]
LogDestination = Literal["stderr", "file", "journal", "syslog"]
LogPeriod = Literal["hour", "day", "week"]

Path: TypeAlias = str | PathLike[str]

ROOT = "trio_mqtt"  # the logger of which those of the parts are children
PARTS: tuple[LogPart, ...] = get_args(LogPart)


@with_attribute_docs
@record(kw_only=True)
class LogOptions:
    """What is logged, how and where to. Raises ConfigurationError for what contradicts itself."""

    level: LogLevel = "info"
    """How much is logged: error (what does not work), warning (also what may be wrong, and what
    clients are refused), info (also who comes and goes, subscriptions, wills, and messages that are
    dropped) or debug (also messages, one by one while they are few)."""
    levels: Mapping[LogPart, LogLevel] = field(default_factory=dict)
    """Other levels for parts of it: connections, subscriptions, messages, access (what clients are
    refused, and which rule decided), sessions, storage, listeners, broker (the rest),
    monitoring, web (the HTTP API) and audit (who has changed what by it)."""
    format: LogFormat = "human"
    """Lines for people, or json: one object a line, with `time`, `level`, `part`, `message`, and
    what it is about in fields such as `client_id`, `address`, `username`, `topic` and `reason`."""
    destination: LogDestination | None = None
    """stderr, file, journal (systemd's own, with the fields) or syslog. None: a file where `file`
    names one, else stderr."""
    file: Path | None = None
    """The file that lines are appended to. One that was moved away or deleted is made anew with the
    next line, so that logrotate needs to tell nobody; SIGHUP has `tmqtt broker` do so at once."""
    rotate_bytes: int = 0
    """Bytes from which on the file is put aside, as FILE.1, and a new one begun; 0: it is not,
    since elsewhere logrotate does that."""
    rotate_every: LogPeriod | None = None
    """Put the file aside each hour, day (at midnight) or week (on Monday), named by its date; None:
    not by time."""
    rotated_kept: int = 7
    """How many of those that were put aside are kept: a week of days."""
    syslog_address: str = "/dev/log"
    """Where syslog listens: a Unix socket, or HOST:PORT (UDP)."""
    payloads: bool = False
    """Whether messages are logged (at debug) with the first 200 bytes of their payloads. Off: they
    may be confidential, and a log is read by others than they are meant for. A file that is made
    for such a log can be read by nobody else (mode 0600); one that is there stays as it is."""
    queued_lines: int = 10_000
    """Lines that wait while the destination is slow; a thread writes them, so that the broker never
    waits. Those beyond are left out and counted: a second of a busy broker at debug."""

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("level", self.level, get_args(LogLevel)),
            ("format", self.format, get_args(LogFormat)),
            ("destination", self.destination, (None, *get_args(LogDestination))),
            ("rotate_every", self.rotate_every, (None, *get_args(LogPeriod))),
        ):
            if value not in allowed:
                raise ConfigurationError(f"{name} is {_one_of(allowed)}, not {value!r}")
        for part, level in self.levels.items():
            if part not in PARTS:
                raise ConfigurationError(f"a part of the log is {_one_of(PARTS)}, not {part!r}")
            if level not in get_args(LogLevel):
                raise ConfigurationError(
                    f"the level of {part} is {_one_of(get_args(LogLevel))}, not {level!r}"
                )
        if self.destination == "file" and not self.file:
            raise ConfigurationError("a log in a file needs the file's name")
        if self.file is not None and not fspath(self.file):
            raise ConfigurationError("the name of the log's file is empty")
        if self.file is not None and self.destination not in (None, "file"):
            raise ConfigurationError(
                f"the log goes to {self.destination} or to the file {self.file}, not to both"
            )
        if self.rotate_bytes and self.rotate_every:
            raise ConfigurationError("a file is put aside by size or by time, not by both")
        if (self.rotate_bytes or self.rotate_every) and self.file is None:
            raise ConfigurationError("only a log in a file can be put aside")
        if self.rotate_bytes < 0 or self.rotated_kept < 1 or self.queued_lines < 1:
            raise ConfigurationError(
                "rotate_bytes is 0 or more, rotated_kept and queued_lines are 1 or more"
            )

    @property
    def goes_to(self) -> LogDestination:
        """Where the log goes."""
        return self.destination or ("stderr" if self.file is None else "file")

    def number_of(self, part: LogPart) -> int:
        """The level of a part as the standard logging module has it."""
        level = self.levels.get(part, self.level)
        return NUMBERS[level]


NUMBERS: dict[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def part_of(logger: str) -> str:
    """The part that a logger is of, by its name."""
    _, _, below = logger.partition(".")
    return below.partition(".")[0] or "broker"


def _one_of(allowed: tuple[object, ...]) -> str:
    *first, last = [str(one) for one in allowed if one is not None]
    return f"{', '.join(first)} or {last}"
