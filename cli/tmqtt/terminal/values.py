"""Values of options as Typer has them read: what is wrong with one is told with its option."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import typer

from tmqtt.terminal.figures import parse_count, parse_duration

_Value = TypeVar("_Value")


def reader(parse: Callable[[str], _Value]) -> Callable[[str | _Value], _Value]:
    """The parser of an option whose values `parse` reads, or raises ValueError with a sentence."""

    @wraps(parse)
    def read(given: str | _Value) -> _Value:
        if not isinstance(given, str):  # the default
            return given
        try:
            return parse(given)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return read


def one_of(*values: str) -> Callable[[str], str]:
    """The parser of an option that has one of these values."""

    def parse(given: str) -> str:
        if given not in values:
            raise ValueError(f"{given!r} is none of {', '.join(values[:-1])} and {values[-1]}.")
        return given

    return reader(parse)


duration = reader(parse_duration)
count_of = reader(parse_count)
