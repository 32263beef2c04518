"""Forms as JSON, and JSON and parameters of a query as forms. Bytes are base64 (RFC 4648 §4)."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import re
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from trio_mqtt.broker.access.dynamic.writing import pieces
from trio_mqtt.broker.turns import ShortTurn
from trio_mqtt.web.problems import ProblemError

_TOLD = 5  # mistakes that are told at once
_SHORT = 4 * 1024  # bytes of JSON in which there cannot be many
_MOST_ITEMS = 1_000  # of a list
_LONG = 256 * 1024  # bytes beyond which a body has one long text: that of a message
_MOST_VALUES = 8_192  # of a long body, with the names
# Of JSON, whether it ends or not: to look for the end of one that has none would begin anew at each
# quotation mark in it.
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


@cache
def adapter(form: type) -> TypeAdapter[Any]:
    """What makes a form of JSON."""
    return TypeAdapter(form)


def written(value: object) -> bytes:
    """A form as JSON."""
    return json.dumps(plain(value), separators=(",", ":")).encode()


async def written_in_turns(value: object) -> bytes:
    """The same of a page of much, with the others' turns in between."""
    if not dataclasses.is_dataclass(value):
        return written(value)
    turn = ShortTurn()
    fields: list[bytes] = []
    parts: list[bytes]
    for field in dataclasses.fields(value):
        found = getattr(value, field.name)
        if isinstance(found, tuple) and found and dataclasses.is_dataclass(found[0]):
            parts = []
            for one in found:
                parts.append(written(one))
                if turn.is_over:
                    await turn.give_way()
            text = b"[%s]" % b",".join(parts)
        elif isinstance(found, tuple) and found and isinstance(found[0], Mapping):
            parts = []
            for piece in pieces(found):
                parts.append(piece.encode())
                if turn.is_over:
                    await turn.give_way()
            text = b"".join(parts)
        else:
            text = written(found)
        fields.append(b"%s:%s" % (written(field.name), text))
        if turn.is_over:
            await turn.give_way()
    return b"{%s}" % b",".join(fields)


def plain(value: object) -> Any:  # noqa: ANN401 # what JSON has
    """A form as JSON has it."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if dataclasses.is_dataclass(value):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one) for one in value]
    return str(value)


def of_body(form: type, body: bytes) -> Any:  # noqa: ANN401 # a form
    """The form in the body of a request. Raises ProblemError."""
    if len(body) > _LONG:
        _check_values(body)
    if len(body) > _SHORT:
        _check_counts(form, body)
    try:
        return adapter(form).validate_json(body or b"{}")
    except ValidationError as error:
        raise ProblemError(422, _sentence(error)) from None


def _check_values(body: bytes) -> None:
    """Refuse a long body of many values: to read them takes far longer than a text does."""
    if sum(body.count(one) for one in (b",", b"[", b"{")) <= _MOST_VALUES:
        return
    # They may stand in a text.
    left, others = _MOST_VALUES, len(body)
    for text in _TEXT.finditer(body):
        left -= 1
        others -= len(text[0])
        if left < 0:
            break
    if left < 0 or others > _LONG // 4:
        raise ProblemError(422, "There are too many values in so long a body.")


def _check_counts(form: type, body: bytes) -> None:
    """Refuse what would have many mistakes: to gather them takes far longer than to read them."""
    try:
        found = from_json(body)
    except ValueError:
        return  # whoever validates it says why
    if not isinstance(found, dict):
        return
    names = {field.name for field in dataclasses.fields(form)}
    unknown = [name for name in found if name not in names][:_TOLD]
    if unknown:
        raise ProblemError(
            422, "; ".join(f"{name[:64]}: Unexpected keyword argument" for name in unknown)
        )
    for name, value in found.items():
        if isinstance(value, list) and len(value) > _MOST_ITEMS:
            raise ProblemError(422, f"{name}: there are {_MOST_ITEMS:,} at most")


@cache
def _lists(form: type) -> frozenset[str]:
    """The fields of a form that may be given several times."""
    hints = get_type_hints(form)
    return frozenset(name for name, hint in hints.items() if get_origin(hint) in (tuple, list))


def of_query(form: type, parameters: list[tuple[str, str]]) -> Any:  # noqa: ANN401 # a form
    """The form in the parameters of a query. Raises ProblemError."""
    many = _lists(form)
    values: dict[str, Any] = {}
    for name, value in parameters:
        if name in many:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise ProblemError(422, f"{name} is given twice.")
        else:
            values[name] = value
    try:
        return adapter(form).validate_python(values)
    except ValidationError as error:
        raise ProblemError(422, _sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    told = []
    for one in error.errors(include_url=False, include_context=False, include_input=False)[:_TOLD]:
        place = ".".join(map(str, one["loc"]))
        text = one["msg"].removeprefix("Value error, ")  # what our own forms say is a sentence
        told.append(f"{place}: {text}" if place else text)
    return "; ".join(told)
