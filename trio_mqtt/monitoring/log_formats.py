"""How a record becomes one line: for people, or as a JSON object."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

from trio_mqtt.monitoring.log_options import LogOptions, part_of

# What every record has; whatever else is there says what it is about.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_TRACE = logging.Formatter()


def formatter_for(options: LogOptions) -> logging.Formatter:
    """What makes the lines."""
    if options.format == "json":
        return JsonLines()
    return HumanLines(dated=options.goes_to in ("stderr", "file"))


def fields_of(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    """What a record is about: names and values, of those that it has."""
    for name, value in vars(record).items():
        if name not in _OWN and value is not None and value != "":
            yield name, value


def exception_of(record: logging.LogRecord) -> str:
    """The traceback of what was raised, as text; empty where nothing was."""
    if record.exc_info and not record.exc_text:
        record.exc_text = _TRACE.formatException(record.exc_info)
    return record.exc_text or ""


class HumanLines(logging.Formatter):
    """`2026-11-29T10:38:08.123+01:00 warning access: 'c1' (user 'ann', …) may not publish …`

    One event is one line: line breaks, as in the traceback of a defect, and other characters that
    a terminal would act on are written as escapes.
    """

    def __init__(self, *, dated: bool) -> None:
        super().__init__()
        self._dated = dated

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        text = record.getMessage()
        exception = exception_of(record)
        if exception:
            text = f"{text}: {exception}"
        line = f"{record.levelname.lower()} {part_of(record.name)}: {_on_one_line(text)}"
        return f"{_local(record)} {line}" if self._dated else line


class JsonLines(logging.Formatter):
    """`{"time": "2026-11-29T09:38:08.123Z", "level": "info", "part": "connections", …}`.

    Characters that a terminal would act on, or a reader take for the end of a line, are escapes.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        found: dict[str, object] = {
            "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z",
            "level": record.levelname.lower(),
            "part": part_of(record.name),
            "message": record.getMessage(),
        }
        for name, value in fields_of(record):
            found.setdefault(name, value)
        exception = exception_of(record)
        if exception:
            found["exception"] = exception
        line = json.dumps(found, ensure_ascii=False, default=_as_json)
        if line.isprintable():
            return line
        return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in line)


def _as_json(value: object) -> object:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode(errors="backslashreplace")
    return str(value)


def _local(record: logging.LogRecord) -> str:
    """Date, time and offset from UTC, to the millisecond."""
    moment = datetime.fromtimestamp(record.created, UTC).astimezone()
    return moment.isoformat(timespec="milliseconds")


def _on_one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )
