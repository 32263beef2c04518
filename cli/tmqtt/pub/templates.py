"""Templates in topics and messages, such as `{n}`, `{now}`, `{random:1:6}`, `{choice:a,b}`.

Messages are often JSON: a brace that begins none of these stays as it is, and `{{` stands for a
brace only where one of these follows, as in `{{n}}`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_TEMPLATE = re.compile(r"\{(\{?)(n|now|ms|uuid|random|choice)(?::([^{}]*))?\}(\}?)")
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.([0-9]{1,9}))?", re.ASCII)

# What a template stands for, for the message of a number (from 1).
_Value = Callable[[int], str]


class Template:
    """Text with templates in it. Raises ValueError for a template with wrong values."""

    def __init__(self, text: str) -> None:
        self._parts: list[str | _Value] = []
        end = 0
        for found in _TEMPLATE.finditer(text):
            opening, name, argument, closing = found.groups()
            self._parts.append(text[end : found.start()])
            end = found.end()
            if opening and closing:
                self._parts.append(found[0][1:-1])  # written as a brace
                continue
            # A brace of the text itself stands next to the template's own.
            self._parts += [opening, _value(found[0].strip("{}"), name, argument), closing]
        self._parts.append(text[end:])

    @classmethod
    def literal(cls, text: str) -> Template:
        """The text as it is."""
        template = cls("")
        template._parts = [text]
        return template

    @property
    def is_constant(self) -> bool:
        """Whether it is the same for every message."""
        return all(isinstance(part, str) for part in self._parts)

    def text(self, number: int) -> str:
        """The text for the message of this number; the first is 1."""
        return "".join(part if isinstance(part, str) else part(number) for part in self._parts)


def _value(template: str, name: str, argument: str | None) -> _Value:
    if name == "random":
        return _random(template, argument or "")
    if name == "choice":
        choices = (argument or "").split(",")
        if len(choices) < 2:
            raise ValueError(f"{{{template}}} has nothing to choose: write {{choice:red,green}}.")
        return lambda _number: _dice().choice(choices)
    if argument is not None:
        raise ValueError(f"{{{template}}} takes no value: write {{{name}}}.")
    plain: dict[str, _Value] = {"n": str, "now": _now, "ms": _milliseconds, "uuid": _uuid}
    return plain[name]


def _random(template: str, argument: str) -> _Value:
    bounds = [_NUMBER.fullmatch(bound) for bound in argument.split(":")]
    if len(bounds) != 2 or bounds[0] is None or bounds[1] is None:
        raise ValueError(
            f"{{{template}}} needs two numbers: write {{random:1:6}} or {{random:0.0:1.0}}."
        )
    low, high = bounds[0][0], bounds[1][0]
    if float(low) > float(high):
        raise ValueError(f"{{{template}}} has its larger number first: {{random:{high}:{low}}}.")
    digits = max(len(bounds[0][1] or ""), len(bounds[1][1] or ""))
    if not digits:
        return lambda _number: str(_dice().randint(int(low), int(high)))
    return lambda _number: f"{_dice().uniform(float(low), float(high)):.{digits}f}"


@cache
def _dice() -> Random:
    """Not for secrets, and loaded only for those who throw them."""
    from random import Random

    return Random()  # noqa: S311


def _now(_number: int) -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _milliseconds(_number: int) -> str:
    return str(time.time_ns() // 1_000_000)


def _uuid(_number: int) -> str:
    from uuid import uuid4

    return str(uuid4())
