"""One line for each message: for people in a terminal, raw in a pipe."""

from __future__ import annotations

import os
from collections.abc import Callable

from tmqtt.escaping import escape, escape_payload
from tmqtt.output import Output, encoded

# The line for a topic, a payload, and whether it was retained.
LineOf = Callable[[str, bytes, bool], bytes]

_SHOWN = 10_000  # characters of a payload that a terminal shows


def lines_for(output: Output, *, with_topic: bool) -> LineOf:
    """How messages are printed to `output`: in a terminal always with time and topic."""
    if output.is_terminal:
        return _lines_for_people()
    return _raw_with_topic if with_topic else _raw


def _raw(_topic: str, payload: bytes, _retained: bool) -> bytes:
    return payload + b"\n"


def _raw_with_topic(topic: str, payload: bytes, _retained: bool) -> bytes:
    return b"%s %s\n" % (os.fsencode(topic), payload)


def _lines_for_people() -> LineOf:
    from tmqtt import looks  # Rich: not needed in a pipe

    painter = looks.Painter()

    def line(topic: str, payload: bytes, retained: bool) -> bytes:
        parts = [
            looks.clock(),
            (escape(topic), looks.TOPIC),
            (f" {escape_payload(payload, _SHOWN)}", looks.PLAIN),
        ]
        if retained:
            parts.append((" (retained)", looks.NOTE))
        return encoded(painter.paint(parts) + "\n")

    return line
