"""Messages and points of a history as lines: for people, for other programs, or JSON. Sans-IO."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime

from tmqtt.terminal import looks
from tmqtt.terminal.escaping import escape, escape_json, escape_payload
from tmqtt.terminal.streams import encoded
from trio_mqtt.history import KeptMessage, Point, message_as_json, number_in, parse_path

_SHOWN = 10_000  # characters of a payload that a terminal shows

Painted = Callable[[looks.Line], str]


class Lines:
    """One line for each message, and each point."""

    def __init__(self, *, as_json: bool, path: str = "", paint: Painted | None = None) -> None:
        """`paint` makes a line of a terminal, if it goes there; `path` shows numbers in place of
        payloads.
        """
        self._as_json = as_json
        self._is_seen = paint is not None
        self._path = parse_path(path) if path else None
        self._paint = None if as_json else paint

    def message(self, message: KeptMessage) -> bytes | None:
        """The line for a message; None for one that has no number where there is to be one."""
        number: float | None = None
        if self._path is not None:
            number = number_in(message.payload, self._path)
            if number is None:
                return None
        if self._as_json:
            shown = message_as_json(message)
            if number is not None:
                shown["value"] = number
            return self._json(shown)
        if self._paint is None:
            value = message.payload if number is None else f"{number:.12g}".encode()
            line = f"{_moment(message.at)}\t{message.topic}\t".encode(errors="surrogateescape")
            return line + value + b"\n"
        value_shown = escape_payload(message.payload, _SHOWN) if number is None else f"{number:.6g}"
        parts: list[looks.Part] = [
            (f"{_short(message.at)} ", looks.TIME),
            (escape(message.topic), looks.TOPIC),
            (f" {value_shown}", looks.PLAIN),
        ]
        if message.retain:
            parts.append((" (retained)", looks.NOTE))
        return encoded(self._paint(parts) + "\n")

    def point(self, point: Point) -> bytes:
        """The line for a point."""
        if self._as_json:
            shown = asdict(point)
            shown["time"] = shown.pop("at")
            return self._json(shown)
        if self._paint is None:
            return encoded(
                f"{_moment(point.at)}\t{point.topic}\t{point.value:.12g}\t{point.numbers}\n"
            )
        parts = [
            (f"{_short(point.at)} ", looks.TIME),
            (escape(point.topic), looks.TOPIC),
            (f" {point.value:>12.6g}", looks.STRONG),
            (f"  of {point.numbers:,}", looks.NOTE),
        ]
        return encoded(self._paint(parts) + "\n")

    def _json(self, shown: object) -> bytes:
        written = json.dumps(shown, ensure_ascii=False)
        if self._is_seen:  # a terminal might obey what cannot be seen
            written = escape_json(written)
        return written.encode(errors="surrogateescape") + b"\n"


def _moment(at: float) -> str:
    """The local time as it is written for other programs, with its zone."""
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="microseconds")


def _short(at: float) -> str:
    """The local time for people."""
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")
