"""One line for each message: for people in a terminal, raw in a pipe."""

from __future__ import annotations

import os
from collections.abc import Callable

from tmqtt.terminal import looks
from tmqtt.terminal.escaping import escape, escape_payload
from tmqtt.terminal.figures import size
from tmqtt.terminal.output import Output
from tmqtt.terminal.streams import encoded

# The line for a topic, a payload, and whether it was retained.
LineOf = Callable[[str, bytes, bool], bytes]

_SHOWN = 10_000  # characters of a payload that a terminal shows
_PREVIEW = 3  # lines of the terminal up to which a payload is shown whole where a preview is wanted
_LEAST = 10  # cells of a preview


def lines_for(output: Output, *, with_topic: bool, preview: bool = False) -> LineOf:
    """How messages are printed to `output`: in a terminal always with time and topic.

    A `preview` of a large payload is one line of the terminal, with its size.
    """
    if output.is_terminal:
        return _lines_for_people(preview=preview)
    return _raw_with_topic if with_topic else _raw


def _raw(_topic: str, payload: bytes, _retained: bool) -> bytes:
    return payload + b"\n"


def _raw_with_topic(topic: str, payload: bytes, _retained: bool) -> bytes:
    return b"%s %s\n" % (os.fsencode(topic), payload)


def _lines_for_people(*, preview: bool) -> LineOf:
    from tmqtt.terminal.cells import length, wrap  # of Rich, which is not needed in a pipe

    painter = looks.Painter()

    def line(topic: str, payload: bytes, retained: bool) -> bytes:
        parts = [looks.clock(), (escape(topic), looks.TOPIC)]
        notes = ["retained"] * retained
        width = painter.width
        if preview and len(payload) > _PREVIEW * width:
            notes = [size(len(payload)), *notes]
            end = f"… ({', '.join(notes)})"
            room = max(width - length(parts) - len(end) - 2, _LEAST)
            head = escape(payload[: 4 * room].decode(errors="surrogateescape"))
            shown = next(wrap([(head, looks.PLAIN)], room))
            parts += [(" ", looks.PLAIN), *shown, (end, looks.NOTE)]
        else:
            parts.append((f" {escape_payload(payload, _SHOWN)}", looks.PLAIN))
            if notes:
                parts.append((f" ({notes[0]})", looks.NOTE))
        return encoded(painter.paint(parts) + "\n")

    return line
