"""What other formats hold, written as JSON that a person reads. Sans-IO."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

_quoted = json.JSONEncoder(ensure_ascii=False).encode


class Pairs(list[tuple[Any, Any]]):
    """An object whose names may be anything, and may repeat."""

    __slots__ = ()


def json_text(value: Any, other: Callable[[Any], Any] = str) -> str:  # noqa: ANN401 # any value
    """The value in one line of JSON.

    What JSON has not becomes a string: bytes in Base64, times as ISO 8601, `"NaN"` and
    `"Infinity"`; so do the names of fields, which may be anything elsewhere. What is none of this
    is `other`'s to turn into something that is.
    """
    return "".join(_pieces(value, other))


def _pieces(value: Any, other: Callable[[Any], Any]) -> Iterator[str]:  # noqa: ANN401 # any value
    if value is None or isinstance(value, bool):
        yield "null" if value is None else str(value).lower()
    elif isinstance(value, str):
        yield _quoted(value)
    elif isinstance(value, int):
        yield str(int(value))
    elif isinstance(value, float | Decimal):
        yield _number(value)
    elif isinstance(value, bytes | bytearray):
        yield f'"{base64.b64encode(value).decode()}"'
    elif isinstance(value, Mapping | Pairs):
        yield "{"
        for number, (name, inner) in enumerate(
            value if isinstance(value, Pairs) else value.items()
        ):
            yield f"{', ' if number else ''}{_name(name, other)}: "
            yield from _pieces(inner, other)
        yield "}"
    elif type(value) in (list, tuple, set, frozenset):  # not a named tuple of some package
        yield "["
        for number, inner in enumerate(value):
            if number:
                yield ", "
            yield from _pieces(inner, other)
        yield "]"
    elif isinstance(value, date):
        yield _quoted(value.isoformat())
    else:
        yield from _pieces(other(value), other)


def _number(value: float | Decimal) -> str:
    if math.isfinite(value):
        return str(value) if isinstance(value, Decimal) else repr(float(value))
    return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'


def _name(name: Any, other: Callable[[Any], Any]) -> str:  # noqa: ANN401 # any value
    written = json_text(name, other)
    return written if written.startswith('"') else _quoted(written)


def read_json(text: bytes) -> Any:  # noqa: ANN401 # any JSON
    """What a JSON text says. Raises ValueError, whose text is the end of a sentence."""
    try:
        return json.loads(text.decode(), parse_constant=_no_constant, parse_float=_finite)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"it is not JSON ({error.msg}: {where})") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"it is not JSON, which has no {name}")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"it holds a number that is too large: {digits[:40]}")
    return value
