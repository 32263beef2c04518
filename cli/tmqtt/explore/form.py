"""What a person types to publish a message: a topic, a payload, its quality. Sans-IO."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len

import trio_mqtt
from tmqtt.terminal import keys, looks
from tmqtt.terminal.cells import fit
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.looks import Line

_LABEL = 9
_LONGEST = 65_535  # characters of a field


@dataclass(frozen=True, slots=True)
class Request:
    """A message that is to be published."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class _Field:
    """A line of text with a cursor."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._at = len(text)

    def press(self, key: str) -> None:
        text, at = self.text, self._at
        if key == keys.BACKSPACE:
            self.text, self._at = text[: max(at - 1, 0)] + text[at:], max(at - 1, 0)
        elif key == keys.CLEAR:
            self.text, self._at = text[at:], 0
        elif key == keys.LEFT:
            self._at = max(at - 1, 0)
        elif key == keys.RIGHT:
            self._at = min(at + 1, len(text))
        elif key == keys.HOME:
            self._at = 0
        elif key == keys.END:
            self._at = len(text)
        elif len(key) == 1 and len(text) < _LONGEST:
            self.text, self._at = text[:at] + key + text[at:], at + 1

    def line(self, width: int, *, chosen: bool) -> Line:
        """The text around the cursor, which is shown in reverse where the field is `chosen`."""
        if not chosen:
            return ((fit(escape(self.text), width), looks.PLAIN),)
        before, under, after = (
            self.text[: self._at], self.text[self._at : self._at + 1], self.text[self._at + 1 :]
        )  # fmt: skip
        shown = escape(before)
        while shown and cell_len(shown) > max(width - 2, 0):
            shown = shown[1:]
        return (
            (shown, looks.STRONG),
            (escape(under) or " ", f"{looks.STRONG} reverse"),
            (escape(after[:width]), looks.STRONG),
        )


class Form:
    """The topic, the payload, QoS and retain, one of which is being edited."""

    def __init__(self, topic: str, payload: str, *, retain: bool) -> None:
        self._fields = (_Field(topic), _Field(payload))
        self._qos = 0
        self._retain = retain
        self._at = 1 if topic else 0  # topic, payload, QoS, retain
        self._problem = ""
        self.over = False

    def press(self, key: str) -> Request | None:
        """A key was typed. What is to be published, if Enter says so; Escape ends it."""
        self._problem = ""
        if key == keys.ESCAPE:
            self.over = True
        elif key == keys.ENTER:
            return self._request()
        elif key in (keys.TAB, keys.DOWN):
            self._at = (self._at + 1) % 4
        elif key == keys.UP:
            self._at = (self._at - 1) % 4
        elif self._at < len(self._fields):
            self._fields[self._at].press(key)
        elif self._at == 2:
            self._qos = int(key) if key in ("0", "1", "2") else (self._qos + (key == " ")) % 3
        elif key in (" ", "y", "n"):
            self._retain = {"y": True, "n": False}.get(key, not self._retain)
        return None

    def lines(self, width: int) -> list[Line]:
        """The form in five lines."""
        room = max(width - _LABEL - 1, 1)
        values: list[Line] = [
            *(
                field.line(room, chosen=number == self._at)
                for number, field in enumerate(self._fields)
            ),
            ((str(self._qos), "reverse" if self._at == 2 else looks.PLAIN),),
            (("yes" if self._retain else "no", "reverse" if self._at == 3 else looks.PLAIN),),
        ]
        hint = "Enter publishes · Tab goes on · Space changes QoS, retain · Esc gives up"
        return [
            *(
                ((label.ljust(_LABEL), looks.NOTE), *value)
                for label, value in zip(("topic", "payload", "QoS", "retain"), values, strict=True)
            ),
            ((self._problem, looks.WARNING),) if self._problem else ((hint, looks.NOTE),),
        ]

    def _request(self) -> Request | None:
        topic, payload = (field.text for field in self._fields)
        problem = trio_mqtt.topic_name_problem(topic)
        if problem is not None:
            self._problem = f"The topic {escape(topic)!r} {problem}."
            self._at = 0
            return None
        self.over = True
        return Request(topic, payload.encode(), self._qos, self._retain)
