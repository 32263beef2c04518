"""What a test expects of a message, and how one that came differs from that."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.topics import topic_filter_problem, topic_matches_filter
from trio_mqtt.testing.recording import RecordedMessage

_SHOWN = 300  # characters of a payload
_DIFFERENCES = 10  # of two JSON values


class Expected:
    """A message that a test expects.

    What the payload is to be depends on what is given: bytes are those bytes, text that text, a
    compiled pattern is searched for in the text, and a function is asked about the message; all
    else is what the payload is as JSON. `...` is any payload.
    """

    def __init__(
        self,
        topic_filter: str,
        payload: object = ...,
        *,
        qos: int | None = None,
        retain: bool | None = None,
        properties: Properties | None = None,
        user_properties: Mapping[str, str] | None = None,
        client_id: str | None = None,
    ) -> None:
        problem = topic_filter_problem(topic_filter)
        if problem:
            raise LocalProtocolError(f"The topic filter {topic_filter!r} {problem}.")
        self.topic_filter = topic_filter
        self._payload = payload
        self._qos = qos
        self._retain = retain
        self._properties: dict[str, Any] = dict(properties or {})
        self._user_properties = dict(user_properties or {})
        self._client_id = client_id

    def is_on_topic(self, message: RecordedMessage) -> bool:
        """Whether the message is on one of the topics."""
        return topic_matches_filter(message.topic, self.topic_filter)

    def matches(self, message: RecordedMessage) -> bool:
        """Whether it is what was expected."""
        return self.is_on_topic(message) and not self.differences(message)

    @property
    def text(self) -> str:
        """What is expected, in words."""
        parts = [f"on {self.topic_filter!r}"]
        if self._payload is not ...:
            parts.append(_in_words(self._payload))
        if self._qos is not None:
            parts.append(f"at QoS {self._qos}")
        if self._retain is not None:
            parts.append("retained" if self._retain else "not retained")
        parts += [f"with {name} {value!r}" for name, value in self._properties.items()]
        parts += [
            f"with the user property {name}={value}"
            for name, value in self._user_properties.items()
        ]
        if self._client_id is not None:
            parts.append(f"from {self._client_id!r}")
        return " ".join(parts)

    def differences(self, message: RecordedMessage) -> list[str]:
        """What of a message is not as expected, but for its topic: a line for each thing."""
        lines = self._payload_differences(message)
        if self._qos is not None and message.qos != self._qos:
            lines.append(f"QoS {message.qos}, not {self._qos}")
        if self._retain is not None and message.retain is not self._retain:
            lines.append("not retained" if self._retain else "retained")
        for name, value in self._properties.items():
            there = message.properties.get(name)
            if there != value:
                lines.append(f"{name} {'absent' if there is None else repr(there)}, not {value!r}")
        users = message.properties.get("user_property", [])
        for name, wanted in self._user_properties.items():
            if (name, wanted) not in users:
                have = [value for key, value in users if key == name]
                lines.append(f"user property {name} {have or 'absent'}, not {wanted!r}")
        if self._client_id is not None and message.client_id != self._client_id:
            lines.append(f"from {message.client_id!r}, not {self._client_id!r}")
        return lines

    def _payload_differences(self, message: RecordedMessage) -> list[str]:
        wanted = self._payload
        if wanted is ...:
            return []
        if isinstance(wanted, bytes | bytearray | memoryview):
            if message.payload == bytes(wanted):
                return []
            return [f"payload {shown(message.payload)}, not {shown(bytes(wanted))}"]
        if isinstance(wanted, str):
            if message.payload == wanted.encode():
                return []
            return [f"payload {shown(message.payload)}, not {wanted!r}"]
        if isinstance(wanted, re.Pattern):
            return self._pattern_differences(wanted, message)
        if callable(wanted):
            return self._asked_differences(wanted, message)
        try:
            there = message.json()
        except ValueError:
            return [f"payload {shown(message.payload)} is no JSON, and should be {wanted!r}"]
        return json_differences(wanted, there)

    def _pattern_differences(self, wanted: re.Pattern[Any], message: RecordedMessage) -> list[str]:
        there = message.payload if isinstance(wanted.pattern, bytes) else message.text
        if wanted.search(there):
            return []
        return [f"payload {shown(message.payload)} does not match {wanted.pattern!r}"]

    def _asked_differences(
        self, wanted: Callable[[RecordedMessage], object], message: RecordedMessage
    ) -> list[str]:
        if wanted(message):
            return []
        return [f"payload {shown(message.payload)} is refused by {_name(wanted)}"]


def shown(payload: bytes) -> str:
    """A payload in one line: as text where it is some."""
    try:
        text = repr(payload.decode())
    except UnicodeDecodeError:
        text = repr(payload)
    if len(text) > _SHOWN:
        return f"{text[:_SHOWN]}… ({len(payload):,} bytes)"
    return text


def json_differences(wanted: object, there: object) -> list[str]:
    """What differs between two JSON values, by where it stands: `.rooms[2].name: "a", not "b"`."""
    lines: list[str] = []
    _compare(wanted, there, "", lines)
    if len(lines) > _DIFFERENCES:
        more = len(lines) - _DIFFERENCES
        lines = [*lines[:_DIFFERENCES], f"and {more} more"]
    return lines


def _compare(wanted: object, there: object, path: str, lines: list[str]) -> None:
    if isinstance(wanted, Mapping) and isinstance(there, dict):
        for key, value in wanted.items():
            place = f"{path}.{key}"
            if key in there:
                _compare(value, there[key], place, lines)
            else:
                lines.append(f"{place}: absent, should be {_as_json(value)}")
        lines += [
            f"{path}.{key}: {_as_json(value)}, should be absent"
            for key, value in there.items()
            if key not in wanted
        ]
    elif isinstance(wanted, list | tuple) and isinstance(there, list):
        for index, (one, other) in enumerate(zip(wanted, there, strict=False)):
            _compare(one, other, f"{path}[{index}]", lines)
        if len(wanted) != len(there):
            lines.append(f"{path or 'the list'}: {len(there)} items, not {len(wanted)}")
    elif wanted != there or isinstance(wanted, bool) != isinstance(there, bool):
        # In JSON, true is not 1.
        place = f"{path}: " if path else "JSON "
        lines.append(f"{place}{_as_json(there)}, not {_as_json(wanted)}")


def _as_json(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _in_words(payload: object) -> str:
    if isinstance(payload, re.Pattern):
        return f"whose payload matches {payload.pattern!r}"
    if isinstance(payload, bytes | bytearray | memoryview):
        return f"with the payload {shown(bytes(payload))}"
    if isinstance(payload, str):
        return f"with the payload {payload!r}"
    if callable(payload):
        return f"that {_name(payload)} takes"
    return f"with the JSON {_as_json(payload)}"


def _name(function: object) -> str:
    return str(getattr(function, "__name__", function))
