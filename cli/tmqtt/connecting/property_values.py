"""Properties of MQTT 5 as they are written at a terminal: Mosquitto's names for `-D`."""

from __future__ import annotations

from typing import Any

# What may carry properties, by Mosquitto's names, and which.
_MESSAGE = (
    "payload-format-indicator",
    "message-expiry-interval",
    "content-type",
    "response-topic",
    "correlation-data",
    "user-property",
)
CARRIERS = {
    "connect": (
        "session-expiry-interval",
        "receive-maximum",
        "maximum-packet-size",
        "topic-alias-maximum",
        "request-response-information",
        "request-problem-information",
        "user-property",
    ),
    "publish": _MESSAGE,
    "will": (*_MESSAGE, "will-delay-interval"),
    "subscribe": ("subscription-identifier",),
}
_RANGES = {
    "payload-format-indicator": (0, 1),
    "message-expiry-interval": (0, 0xFFFF_FFFF),
    "session-expiry-interval": (0, 0xFFFF_FFFF),
    "will-delay-interval": (0, 0xFFFF_FFFF),
    "receive-maximum": (1, 0xFFFF),
    "maximum-packet-size": (1, 0xFFFF_FFFF),
    "topic-alias-maximum": (0, 0xFFFF),
    "request-response-information": (0, 1),
    "request-problem-information": (0, 1),
    "subscription-identifier": (1, 268_435_455),
}
_ELSEWHERE = {
    "authentication-method": "the method SCRAM-SHA-256 is asked for by --scram",
    "authentication-data": "the method SCRAM-SHA-256 is asked for by --scram",
    "topic-alias": "the client chooses topic aliases by itself",
}


def whole_number(text: str, minimum: int, maximum: int) -> int:
    """Raises ValueError for what is not a number from `minimum` to `maximum`."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise ValueError(f"{text!r} is not a whole number.")
    if not minimum <= int(text) <= maximum:
        raise ValueError(f"{text} is not possible: write a number from {minimum} to {maximum}.")
    return int(text)


def user_property(text: str) -> tuple[str, str]:
    """Name and value from `NAME=VALUE`."""
    name, found, value = text.partition("=")
    if not found:
        raise ValueError(f"{text!r} is not NAME=VALUE.")
    return name, value


def put(properties: dict[str, Any], name: str, value: object) -> None:
    """Set a property by its standard name, or add to one that may stand several times."""
    if name == "user_property":
        properties[name] = [*properties.get(name, []), value]
    else:
        properties[name] = value


def read_property(words: list[str]) -> tuple[str, str, object]:
    """What carries the property, its name as the standard has it, and its value.

    `words` are those after `-D`. Raises ValueError, whose text says what is wrong.
    """
    if len(words) < 2:
        raise ValueError("write -D COMMAND PROPERTY VALUE, such as -D publish content-type text.")
    carrier, name, *values = words
    if carrier not in CARRIERS:
        raise ValueError(f"{carrier!r} carries no properties here: {', '.join(CARRIERS)} do.")
    if name in _ELSEWHERE:
        raise ValueError(f"{name} is not for -D: {_ELSEWHERE[name]}.")
    if name not in CARRIERS[carrier]:
        known = ", ".join(CARRIERS[carrier])
        raise ValueError(f"{carrier} has no property {name!r}. It has: {known}.")
    if len(values) != (2 if name == "user-property" else 1):
        raise ValueError(f"{name} wants {'a name and a value' if values else 'a value'}.")
    return carrier, name.replace("-", "_"), _value(name, values)


def _value(name: str, values: list[str]) -> object:
    if name in _RANGES:
        return whole_number(values[0], *_RANGES[name])
    if name == "user-property":
        return values[0], values[1]
    if name == "correlation-data":
        return values[0].encode(errors="surrogateescape")
    return values[0]
