"""One topic in full: its last message, how it differs, its numbers drawn, what came before.

Sans-IO.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

from tmqtt.explore.history import Kept
from tmqtt.messages import json_view, payload_view
from tmqtt.terminal import looks
from tmqtt.terminal.cells import wrap
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.figures import counted, rate
from tmqtt.terminal.looks import Line
from tmqtt.terminal.sparkline import chart
from tmqtt.topics.lines import age, value
from tmqtt.topics.numbers import Path, number_in, written
from tmqtt.topics.topics import Topic

View = Literal["auto", "text", "bytes"]
VIEWS: tuple[View, ...] = ("auto", "text", "bytes")
_CHART = 5  # lines
_NAME = 3  # lines of a topic's name at most


def lines(
    topic: Topic,
    kept: Sequence[Kept],
    now: float,
    width: int,
    height: int,
    *,
    view: View = "auto",
    path: Path | None = None,
    bars: str,
) -> list[Line]:
    """All about a topic in at most `height` lines of `width` cells.

    `kept` is what came last, the newest at the end; `path` the way to the number that is drawn.
    """
    found: list[Line] = list(wrap([(escape(topic.name), looks.TOPIC)], width))[:_NAME]
    found += wrap([(_figures(topic, kept, now), looks.NOTE)], width)
    found.append(())
    numbers = [] if path is None else [number_in(one.payload, path) for one in kept]
    known = [number for number in numbers if number is not None]
    drawn = len(known) > 1
    before = kept[-2:-1]
    room = height - len(found)
    # The value comes first, and leaves room for a few of those before it where there is some.
    for_others = (_CHART + 2) * drawn + (min(len(kept) - 1, 4) + 2) * bool(before)
    for_value = max(room - for_others, room // 2, 1)
    found += _value(topic.payload, before, width, for_value, view)
    if drawn and height - len(found) > _CHART + 1:
        name = f"{written(path or ())} " if path else ""
        scale = f"{name}{min(known):g} to {max(known):g}"
        found += [(), ((scale, looks.NOTE),)]
        found += [
            ((row, looks.CLIENT),) for row in chart(numbers, width, height=_CHART - 1, bars=bars)
        ]
    room = height - len(found) - 2
    if before and room > 0:
        found += [(), (("before", looks.NOTE),)]
        for one in list(reversed(kept[:-1]))[:room]:
            at = time.strftime("%H:%M:%S", time.localtime(one.at))
            mark = " retained" if one.retained else ""
            shown = value(one.payload, max(width - len(at) - len(mark) - 2, 1))
            found.append(((f"{at}  ", looks.NOTE), (shown, looks.PLAIN), (mark, looks.NOTE)))
    return found[:height]


def _figures(topic: Topic, kept: Sequence[Kept], now: float) -> str:
    ago = now - topic.at
    words = [
        counted(topic.count, "message"),
        f"{rate(topic.rate)}/s",
        f"the last {age(ago)}{'' if ago < 1 else ' ago'}",
        counted(len(topic.payload), "byte"),
    ]
    if kept:
        words.append(f"QoS {kept[-1].qos}")
        words += ["retained"] * kept[-1].retained
    return ", ".join(words)


def _value(
    payload: bytes, before: Sequence[Kept], width: int, height: int, view: View
) -> list[Line]:
    """The payload in at most `height` lines; in JSON, what is new since the one before is lit."""
    if view == "text":
        shown = payload_view.show_text(payload, width=width, height=height)
    elif view == "bytes":
        shown = payload_view.show_bytes(payload, width=width, height=height)
    else:
        shown = payload_view.show(payload, _parsed(before), width=width, height=height)
    found = shown.tall or (list(wrap(shown.flat, width)) if shown.flat is not None else [])
    if shown.left_out or len(found) > height:
        found = found[: max(height - 1, 0)]
        found.append(((f"… all are {counted(len(payload), 'byte')}", looks.NOTE),))
    return found


def _parsed(before: Sequence[Kept]) -> Any:  # noqa: ANN401 # any JSON
    if not before or len(before[-1].payload) > payload_view.LONGEST_JSON:
        return None
    try:
        return json_view.parse(before[-1].payload.decode())
    except ValueError:
        return None
