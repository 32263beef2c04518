"""A row of a broker's store as a line of JSON, and back.

    {"store": 1, "trio_mqtt": "0.1"}
    {"retained": {"topic": "home/lamp", "payload": "on", "qos": 1, …}}

Bytes are text, or, where they are none, `{"base64": "…"}`.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from typing import Any, get_type_hints

from trio_mqtt import __version__
from trio_mqtt.durability import (
    DeliveryRow,
    IdentifierRow,
    MessageRow,
    RetainedRow,
    Row,
    SessionRow,
    SubscriptionRow,
)

_FORMAT = 1
_KINDS: dict[str, type[Row]] = {
    "message": MessageRow,
    "delivery": DeliveryRow,
    "identifier": IdentifierRow,
    "subscription": SubscriptionRow,
    "session": SessionRow,
    "retained": RetainedRow,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
# The types of each row's values: int, str, bytes and the like, or one of them and None.
_TYPES: dict[str, dict[str, Any]] = {name: get_type_hints(kind) for name, kind in _KINDS.items()}


def head() -> str:
    """The first line."""
    return json.dumps({"store": _FORMAT, "trio_mqtt": __version__})


def line_of(row: Row) -> str:
    values = {
        name: _shown(value) if isinstance(value, bytes) else value
        for name, value in row._asdict().items()
    }
    return json.dumps({_NAMES[type(row)]: values}, ensure_ascii=False)


def _shown(value: bytes) -> str | dict[str, str]:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(value).decode()}


def rows(lines: Iterable[str]) -> Iterator[Row]:
    """The rows of all lines; ValueError names the line that is none."""
    number = 0
    for number, line in enumerate(lines, 1):
        try:
            read = json.loads(line)
            if number > 1:
                yield _row(read)
            elif not isinstance(read, dict) or "store" not in read:
                raise ValueError("this is not what `tmqtt store export` writes")
            elif read["store"] != _FORMAT:
                raise ValueError(f"trio-mqtt {read.get('trio_mqtt')} wrote this in a newer form")
        except (ValueError, RecursionError) as error:
            raise ValueError(f"Line {number} cannot be read: {error}.") from error
    if not number:
        raise ValueError("There are no lines.")


def _row(read: object) -> Row:
    match read:
        case {**one} if len(one) == 1 and (kind := next(iter(one))) in _KINDS:
            values = one[kind]
        case _:
            raise ValueError(f"it has none of {', '.join(_KINDS)}")
    types = _TYPES[kind]
    if not isinstance(values, dict) or values.keys() != types.keys():
        raise ValueError(f"what it has of {kind} is not {', '.join(types)}")
    for name, expected in types.items():
        value = values[name]
        if expected in (bytes, bytes | None) and value is not None:
            value = values[name] = _bytes(value)
        elif expected in (float, float | None) and type(value) is int:
            value = values[name] = float(value)
        is_right = isinstance(value, expected) and not isinstance(value, bool)
        if not is_right:
            raise ValueError(f"{name} cannot be {value!r}")
    return _KINDS[kind](**values)


def _bytes(value: object) -> bytes:
    match value:
        case str():
            return value.encode()
        case {"base64": str(coded)}:
            return b64decode(coded, validate=True)
    raise ValueError(f"bytes cannot be {value!r}")
