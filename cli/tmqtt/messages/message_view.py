"""A message for people: time, topic, what the payload is, and its marks. Sans-IO."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from tmqtt.messages import payload_view
from tmqtt.messages.message import ShownMessage
from tmqtt.messages.payload_formats import DecodedMessage
from tmqtt.terminal import looks
from tmqtt.terminal.cells import length
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.figures import counted
from tmqtt.terminal.looks import Line, Part

_REMEMBERED = 1_000  # topics whose last JSON is kept, to show what changed
_NAME = 200  # characters of a topic or a property
_FEWEST_LINES = 4
_GUTTER: Part = ("  │ ", looks.NOTE)


class MessageView:
    """Turns messages into lines, and remembers the last of each topic."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, Any] = OrderedDict()

    def lines(self, message: ShownMessage, time: Part, width: int, height: int) -> list[Line]:
        """The lines of a message for a terminal of `width` cells and `height` lines."""
        topic = message.topic
        shown = payload_view.show(
            message.payload,
            self._last.get(topic),
            width=max(width - 4, 8),
            height=max(height // 2, _FEWEST_LINES),
        )
        self._remember(topic, shown.parsed)
        notes = _notes(message)
        head = [time, (_cut(topic), looks.TOPIC)]
        tail: list[Part] = [(f" ({', '.join(notes)})", looks.NOTE)] if notes else []
        if shown.flat is not None:
            line = [*head, (" ", looks.PLAIN), *shown.flat, *tail]
            if length(line) <= width or not shown.tall:
                return [line]
        lines: list[Line] = [[*head, *tail], *([_GUTTER, *line] for line in shown.tall)]
        if shown.left_out:
            lines.append([_GUTTER, (f"… {_bytes(shown.left_out)}", looks.NOTE)])
        return lines

    def _remember(self, topic: str, parsed: Any) -> None:  # noqa: ANN401 # any JSON
        last = self._last
        if parsed is None:
            last.pop(topic, None)
            return
        last[topic] = parsed
        last.move_to_end(topic)
        if len(last) > _REMEMBERED:
            last.popitem(last=False)


def _bytes(count: int) -> str:
    return counted(count, "more byte")


def _cut(text: str) -> str:
    shown = escape(text[:_NAME])
    return f"{shown}…" if len(text) > _NAME else shown


def _notes(message: ShownMessage) -> list[str]:
    """The marks of a message, and its properties."""
    notes = []
    if isinstance(message, DecodedMessage) and message.wrong:
        notes.append(_cut(message.wrong))
    if message.qos:
        notes.append(f"QoS {message.qos}")
    if message.retain:
        notes.append("retained")
    properties = message.properties
    if not properties:
        return notes
    if "content_type" in properties:
        notes.append(_cut(properties["content_type"]))
    if properties.get("payload_format_indicator"):
        notes.append("UTF-8")
    if "message_expiry_interval" in properties:
        notes.append(f"expires in {properties['message_expiry_interval']:,} s")
    if "response_topic" in properties:
        notes.append(f"response to {_cut(properties['response_topic'])}")
    if "correlation_data" in properties:
        data = properties["correlation_data"]
        notes.append(f"correlation {data[:16].hex()}{'…' if len(data) > 16 else ''}")
    if "subscription_identifier" in properties:
        notes.append("subscription " + "+".join(map(str, properties["subscription_identifier"])))
    notes += [f"{_cut(name)}={_cut(value)}" for name, value in properties.get("user_property", ())]
    return notes
