"""Templates in topics and messages, such as `{n}`, `{now}`, `{random:1:6}`, `{choice:a,b}`.

Messages are often JSON: a brace that begins none of these stays as it is, and `{{` stands for a
brace only where one of these follows, as in `{{n}}`.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_TEMPLATE = re.compile(r"\{(\{?)(n|now|ms|uuid|random|choice|walk|sine)(?::([^{}]*))?\}(\}?)")
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.([0-9]{1,9}))?", re.ASCII)

# What a template stands for, for the message of a number (from 1).
_Value = Callable[[int], str]


class Template:
    """Text with templates in it. Raises ValueError for a template with wrong values.

    With a `seed` its dice fall the same way each time that it is made.
    """

    def __init__(self, text: str, seed: str | None = None) -> None:
        self._parts: list[str | _Value] = []
        dice = cache(lambda: _dice(seed))
        end = 0
        for found in _TEMPLATE.finditer(text):
            opening, name, argument, closing = found.groups()
            self._parts.append(text[end : found.start()])
            end = found.end()
            if opening and closing:
                self._parts.append(found[0][1:-1])  # written as a brace
                continue
            # A brace of the text itself stands next to the template's own.
            value = _value(found[0].strip("{}"), name, argument, dice)
            self._parts += [opening, value, closing]
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
        """The text for the message of this number; the first is 1, and each is asked for once."""
        return "".join(part if isinstance(part, str) else part(number) for part in self._parts)


def _value(template: str, name: str, argument: str | None, dice: Callable[[], Random]) -> _Value:
    if name == "random":
        return _random(template, argument or "", dice)
    if name == "walk":
        return _walk(template, argument or "", dice)
    if name == "sine":
        return _sine(template, argument or "")
    if name == "choice":
        choices = (argument or "").split(",")
        if len(choices) < 2:
            raise ValueError(f"{{{template}}} has nothing to choose: write {{choice:red,green}}.")
        return lambda _number: dice().choice(choices)
    if argument is not None:
        raise ValueError(f"{{{template}}} takes no value: write {{{name}}}.")
    plain: dict[str, _Value] = {
        "n": str,
        "now": _now,
        "ms": _milliseconds,
        "uuid": lambda _number: _uuid(dice()),
    }
    return plain[name]


def _random(template: str, argument: str, dice: Callable[[], Random]) -> _Value:
    (low, high), digits = _numbers(
        template, argument, "two numbers: write {random:1:6} or {random:0.0:1.0}", 2
    )
    if not digits:
        return lambda _number: str(dice().randint(int(low), int(high)))
    return lambda _number: f"{dice().uniform(float(low), float(high)):.{digits}f}"


def _walk(template: str, argument: str, dice: Callable[[], Random]) -> _Value:
    """A number that goes up and down by small steps, as a sensor's does."""
    (low_text, high_text, step_text), digits = _numbers(
        template, argument, "three numbers: the least, the greatest, a step: {walk:18:24:0.5}", 3
    )
    low, high, step = float(low_text), float(high_text), abs(float(step_text))
    at = (low + high) / 2

    def value(_number: int) -> str:
        nonlocal at
        shown = f"{at:.{digits}f}"
        at = min(max(at + dice().uniform(-step, step), low), high)
        return shown

    return value


def _sine(template: str, argument: str) -> _Value:
    """A number that goes up and down in waves, of so many messages each."""
    (low_text, high_text, length_text), digits = _numbers(
        template,
        argument,
        "three numbers: the least, the greatest, messages: {sine:18.0:24.0:60}",
        3,
    )
    low, high = float(low_text), float(high_text)
    length = float(length_text)
    if length <= 0:
        raise ValueError(f"{{{template}}} has no length: write {{sine:{low_text}:{high_text}:60}}.")
    middle, height = (low + high) / 2, (high - low) / 2

    def value(number: int) -> str:
        return f"{middle + height * math.sin(math.tau * (number - 1) / length):.{digits}f}"

    return value


def _numbers(template: str, argument: str, wanted: str, count: int) -> tuple[list[str], int]:
    """The numbers of a template, as they are written, and the most digits after their points.

    Digits of a wave's length say nothing of its values.
    """
    found = [_NUMBER.fullmatch(bound) for bound in argument.split(":")]
    numbers = [one for one in found if one is not None]
    if len(found) != count or len(numbers) != count:
        raise ValueError(f"{{{template}}} needs {wanted}.")
    low, high = numbers[0][0], numbers[1][0]
    if float(low) > float(high):
        name = template.partition(":")[0]
        rest = "".join(f":{one[0]}" for one in numbers[2:])
        raise ValueError(
            f"{{{template}}} has its larger number first: {{{name}:{high}:{low}{rest}}}."
        )
    counted = numbers[:2] if template.startswith("sine") else numbers
    return [one[0] for one in numbers], max(len(one[1] or "") for one in counted)


def _dice(seed: str | None) -> Random:
    """Not for secrets, and loaded only for those who throw them."""
    from random import Random

    return Random(seed)  # noqa: S311


def _now(_number: int) -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _milliseconds(_number: int) -> str:
    return str(time.time_ns() // 1_000_000)


def _uuid(dice: Random) -> str:
    from uuid import UUID

    return str(UUID(int=dice.getrandbits(128), version=4))
