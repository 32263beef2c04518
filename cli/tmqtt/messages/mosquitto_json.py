"""The JSON that mosquitto_sub prints for a message (`-F %j` and `-F %J`)."""

from __future__ import annotations

import json
import math
import sys
import time
from typing import Any, NoReturn

from tmqtt.messages.message import ShownMessage

# The names of the properties, where mosquitto_sub prints them.
_NAMES = {
    "payload_format_indicator": "payload-format-indicator",
    "message_expiry_interval": "message-expiry-interval",
    "content_type": "content-type",
    "response_topic": "response-topic",
    "correlation_data": "correlation-data",
    "topic_alias": "topic-alias",
}


class NotJsonError(ValueError):
    """The payload is not JSON."""


def as_json(message: ShownMessage, moment: int, *, escaped: bool, pretty: bool = False) -> bytes:
    """The message and the time when it came as one JSON object.

    The payload is a string if `escaped`, else it is JSON itself. What is not UTF-8 stays as it is.
    With `pretty` it takes several lines, as `mosquitto_sub --pretty` writes them.
    Raises NotJsonError.
    """
    seconds, nanoseconds = divmod(moment, 1_000_000_000)
    local = time.localtime(seconds)
    stamp = (
        f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}"
        f".{nanoseconds // 1000:06d}Z{time.strftime('%z', local)}"
    )
    payload = message.payload
    fields = [
        f'"tst":"{stamp}"',
        f'"topic":{_text(message.topic)}',
        f'"qos":{message.qos}',
        f'"retain":{int(message.retain)}',
        f'"payloadlen":{len(payload)}',
    ]
    if message.qos:
        fields.append(f'"mid":{message.packet_id}')
    if message.properties:
        fields.append(f'"properties":{{{",".join(_properties(message))}}}')
    if not payload:
        shown = "null"
    elif escaped:
        shown = _text(payload.decode("utf-8", "surrogateescape"))
    else:
        shown = _minimized(payload)
    fields.append(f'"payload":{shown}')
    text = f"{{{','.join(fields)}}}"
    if pretty:
        try:
            text = _laid_out(json.loads(text, object_pairs_hook=_Object, parse_int=float))
        except RecursionError:
            raise NotJsonError from None
    return text.encode("utf-8", "surrogateescape")


def _properties(message: ShownMessage) -> list[str]:
    shown = []
    for name, value in message.properties.items():
        if name == "subscription_identifier":
            identifiers = message.properties["subscription_identifier"]
            shown += [f'"subscription-identifier":{identifier}' for identifier in identifiers]
        elif name == "user_property":
            pairs = message.properties["user_property"]
            inner = ",".join(f"{_text(key)}:{_text(value)}" for key, value in pairs)
            shown.append(f'"user-properties":{{{inner}}}')
        elif name in _NAMES:
            if isinstance(value, bytes):
                value = value.decode("utf-8", "surrogateescape")
            written = _text(value) if isinstance(value, str) else str(value)
            shown.append(f'"{_NAMES[name]}":{written}')
    return shown


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


class _Object(list[tuple[str, Any]]):
    """An object whose names may repeat."""


def _minimized(payload: bytes) -> str:
    """The payload without white space, its numbers as mosquitto_sub writes them."""
    try:
        value = json.loads(
            payload.decode(),
            object_pairs_hook=_Object,
            parse_int=float,
            parse_constant=_no_constant,
        )
        shown = _written(value)
        shown.encode()  # a half of a surrogate pair is no character
    except (ValueError, RecursionError):
        raise NotJsonError from None
    return shown


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _written(value: Any) -> str:  # noqa: ANN401 # any JSON
    if isinstance(value, _Object):
        return f"{{{','.join(f'{_text(name)}:{_written(inner)}' for name, inner in value)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    if isinstance(value, float):
        return _number(value)
    return json.dumps(value, ensure_ascii=False)


def _laid_out(value: Any, depth: int = 0) -> str:  # noqa: ANN401 # any JSON
    """JSON with a line for each member of an object, and lists in a line."""
    if isinstance(value, _Object):
        tabs = "\t" * depth
        members = ",\n".join(
            f"{tabs}\t{_text(name)}:\t{_laid_out(inner, depth + 1)}" for name, inner in value
        )
        return f"{{\n{members}\n{tabs}}}" if value else f"{{\n{tabs}}}"
    if isinstance(value, list):
        return f"[{', '.join(_laid_out(inner, depth + 1) for inner in value)}]"
    return _written(value)


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "null"
    short = f"{value:.15g}"
    again = float(short)
    if abs(again - value) <= max(abs(again), abs(value)) * sys.float_info.epsilon:
        return short
    return f"{value:.17g}"
