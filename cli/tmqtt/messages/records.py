"""A message as a line of JSON: what `sub --json` and `sub --record` write and `replay` reads.

    {"time":"2026-11-24T17:22:50.123456Z","topic":"a/b","qos":1,"retain":false,"payload":"text"}

A payload that is not UTF-8 stands in "payload_base64" instead. MQTT 5 properties, where there are
any, stand in "properties" by the standard's names, correlation data as "correlation_data_base64".
How long the message took, where that is asked for, stands in "latency_ms".
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import trio_mqtt
from tmqtt.messages.message import LatencyOf, ShownMessage
from trio_mqtt import Properties

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
# A line is one message: 256 MiB in base64, and its properties.
MAX_LINE = 400 * 1024 * 1024
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_TEXTS = ("content_type", "response_topic")
_NUMBERS = {"payload_format_indicator": 1, "message_expiry_interval": 0xFFFF_FFFF}
_MAX_TEXT = 65_535  # bytes of a string in MQTT (§1.5.4)


class RecordError(ValueError):
    """What is wrong with a line, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Record:
    """A message that was recorded; `moment` is in microseconds since 1970."""

    moment: int
    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties


class Recorder:
    """Turns messages into lines; where `latency` is given, with how long each took."""

    def __init__(self, latency: LatencyOf | None = None) -> None:
        self._latency = latency
        self._second = -1
        self._prefix = ""

    def line(self, message: ShownMessage, moment: int) -> bytes:
        """The line of a message that came at `moment`, in nanoseconds since 1970."""
        second, nanoseconds = divmod(moment, 1_000_000_000)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime('{"time":"%Y-%m-%dT%H:%M:%S.', time.gmtime(second))
        payload = message.payload
        try:
            body = f'"payload":{_encode(payload.decode())}'
        except UnicodeDecodeError:
            body = f'"payload_base64":"{_base64(payload)}"'
        properties = message.properties
        if properties:
            body += f',"properties":{_encode(_plain(properties))}'
        if self._latency is not None and (taken := self._latency(message, moment)) is not None:
            body += f',"latency_ms":{taken:.3f}'
        return (
            f'{self._prefix}{nanoseconds // 1000:06d}Z","topic":{_encode(message.topic)},'
            f'"qos":{message.qos},"retain":{"true" if message.retain else "false"},{body}}}\n'
        ).encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _plain(properties: Properties) -> dict[str, Any]:
    plain: dict[str, Any] = dict(properties)
    plain.pop("topic_alias", None)  # means something on one connection only
    if "correlation_data" in plain:
        plain["correlation_data_base64"] = _base64(plain.pop("correlation_data"))
    return plain


def read_record(line: bytes) -> Record:
    """The message of a line. Raises RecordError."""
    try:
        found = json.loads(line)
    except UnicodeDecodeError:
        raise RecordError("is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise RecordError(f"is not JSON ({error.msg} at column {error.colno})") from None
    except RecursionError:
        raise RecordError("is not JSON that can be read: it is too deep") from None
    if not isinstance(found, dict):
        raise RecordError("is not a JSON object")
    unknown = found.keys() - _FIELDS
    if unknown:
        raise RecordError(f"has a field that is not known: {min(unknown)!r}")
    return Record(
        _moment(_field(found, "time", str)),
        _topic(_field(found, "topic", str)),
        _payload(found),
        _whole(found, "qos", 2),
        _field(found, "retain", bool),
        _properties(found.get("properties", {})),
    )


_FIELDS = {
    "time", "topic", "qos", "retain", "payload", "payload_base64", "properties",
    "latency_ms",  # it was that of another delivery
}  # fmt: skip


def _field(found: dict[str, Any], name: str, kind: type) -> Any:  # noqa: ANN401 # of that kind
    if name not in found:
        raise RecordError(f"has no {name!r}")
    value = found[name]
    if type(value) is not kind:
        raise RecordError(f"has {name!r} that is not a {_KINDS[kind]}")
    return value


_KINDS = {str: "string", int: "whole number", bool: "true or false", list: "list", dict: "object"}


def _whole(found: dict[str, Any], name: str, maximum: int) -> int:
    value: int = _field(found, name, int)
    if not 0 <= value <= maximum:
        raise RecordError(f"has {name!r} {value}, which is not from 0 to {maximum:,}")
    return value


def _moment(text: str) -> int:
    if _TIME.fullmatch(text):
        try:
            at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        except ValueError:
            pass
        else:
            return int(at.timestamp()) * 1_000_000 + at.microsecond
    raise RecordError(f"has a time that does not read 2026-11-24T17:22:50.123456Z: {text!r}")


def _topic(topic: str) -> str:
    problem = trio_mqtt.topic_name_problem(topic)
    if problem is not None:
        raise RecordError(f"has the topic {topic!r}, which {problem}")
    return topic


def _payload(found: dict[str, Any]) -> bytes:
    if ("payload" in found) == ("payload_base64" in found):
        raise RecordError("needs one of 'payload' and 'payload_base64'")
    if "payload" in found:
        return _bytes(_field(found, "payload", str), "payload")
    return _from_base64(found, "payload_base64")


def _bytes(text: str, name: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise RecordError(f"has {name!r} with half of a surrogate pair in it") from None


def _from_base64(found: dict[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(_field(found, name, str), validate=True)
    except (binascii.Error, ValueError):
        raise RecordError(f"has {name!r} that is not base64") from None


def _short(text: Any, name: str) -> str:  # noqa: ANN401 # anything, checked here
    if not isinstance(text, str):
        raise RecordError(f"has {name!r} that is not a string")
    if "\0" in text or len(_bytes(text, name)) > _MAX_TEXT:
        raise RecordError(f"has {name!r} that MQTT cannot carry: too long, or with U+0000")
    return text


def _properties(found: Any) -> Properties:  # noqa: ANN401 # anything, checked here
    if not isinstance(found, dict):
        raise RecordError("has 'properties' that is not an object")
    properties: dict[str, Any] = {}
    for name, value in found.items():
        if name in _TEXTS:
            properties[name] = _short(value, name)
        elif name in _NUMBERS:
            properties[name] = _whole(found, name, _NUMBERS[name])
        elif name == "correlation_data_base64":
            properties["correlation_data"] = _from_base64(found, name)
        elif name == "user_property":
            properties[name] = _pairs(_field(found, name, list))
        elif name == "subscription_identifier":
            properties[name] = _field(found, name, list)
        else:
            raise RecordError(f"has a property that is not known: {name!r}")
    return cast(Properties, properties)


def _pairs(found: list[Any]) -> list[tuple[str, str]]:
    pairs = []
    for pair in found:
        if not isinstance(pair, list) or len(pair) != 2:
            raise RecordError("has 'user_property' that is not a list of pairs")
        pairs.append((_short(pair[0], "user_property"), _short(pair[1], "user_property")))
    return pairs
