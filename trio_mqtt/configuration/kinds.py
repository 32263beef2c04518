"""What a value may be: from the type of a field to what checks it, and how that is said."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, StrictStr, TypeAdapter
from pydantic import ValidationError as PydanticError

from trio_mqtt.quantities import DURATION, SIZE, parse_duration, parse_size

Unit = Literal["", "seconds", "bytes"]


@dataclass(frozen=True)
class Kind:
    """What one value may be.

    `expected` says it, so that "is … " makes a sentence of it; `annotation` has Pydantic check it;
    `in_text` are the ways to read it where it is given as text, in a variable or an option.
    """

    expected: str
    annotation: Any
    is_path: bool = False
    is_list: bool = False
    takes_text: bool = False
    unit: Unit = ""
    example: str = '"..."'
    """A value, as TOML writes it."""
    words: Mapping[str, Any] = field(default_factory=dict)
    """What some words mean where the value is given as text."""

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.annotation)

    def read(self, value: object) -> Any:
        """The value as the broker takes it. Raises ValueError for one that it does not take."""
        try:
            return self._adapter.validate_python(value, strict=True)
        except PydanticError:
            raise ValueError from None


_YES_AND_NO = {"yes": True, "on": True, "1": True, "no": False, "off": False, "0": False}


def kind_of(annotation: Any, unit: Unit = "") -> Kind | None:
    """What a value of this type may be; None where no file can name one, as for a socket."""
    if annotation is bool:
        return Kind("true or false", StrictBool, example="true", words=_YES_AND_NO)
    if annotation in (int, float) and unit:
        return _quantity(annotation, unit)
    if annotation is int:
        return Kind("a whole number", StrictInt, example="1")
    if annotation is float:
        return Kind("a number", float, example="1.0")
    if annotation is str:
        return Kind("text", StrictStr, takes_text=True)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _choice(annotation, [str(member.value) for member in annotation], annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return _choice(annotation, [str(value) for value in arguments])
    if origin in (Union, UnionType):
        return _one_of(arguments, unit)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _table(arguments[1], unit)
    if isinstance(origin, type) and issubclass(origin, Collection):
        entry = kind_of(arguments[0])
        if entry is None:
            return None
        expected = f"a list, each of its entries {entry.expected}"
        example = f"[{entry.example}]"
        return Kind(expected, _generic(list, entry.annotation), is_list=True, example=example)
    return None


def _quantity(number: type, unit: Unit) -> Kind:
    parse: Callable[[str], float]
    if unit == "bytes":
        parse, pattern = parse_size, SIZE
        whole = "whole " if number is int else ""
        expected = f'a {whole}number of bytes, or a size such as "16 MiB"'
    else:
        parse, pattern = parse_duration, DURATION
        whole = "whole " if number is int else ""
        expected = f'a {whole}number of seconds, or a duration such as "30s"'

    def read(value: object) -> object:
        quantity = parse(value) if isinstance(value, str) else value
        # A duration may be whole seconds; whether it must be is for the type to say.
        return int(quantity) if isinstance(quantity, float) and quantity % 1 == 0 else quantity

    written: Any = Annotated[str, Field(pattern=f"^{pattern}$")]
    either: Any = Union[number, written]  # noqa: UP007  # a value, not a type
    checked = _generic(Annotated, number, BeforeValidator(read, json_schema_input_type=either))
    example = '"1 MiB"' if unit == "bytes" else '"30s"'
    return Kind(expected, checked, takes_text=True, unit=unit, example=example)


def _choice(annotation: Any, values: list[str], enum: type[Enum] | None = None) -> Kind:
    *others, last = [f'"{value}"' for value in values]
    expected = f"{', '.join(others)} or {last}" if others else last
    if enum is not None:

        def member(value: object) -> object:
            return enum(value) if isinstance(value, str) else value

        written = _generic(Literal, *values)
        reader = BeforeValidator(member, json_schema_input_type=written)
        annotation = _generic(Annotated, enum, reader)
    return Kind(expected, annotation, takes_text=True, example=f'"{values[0]}"')


def _one_of(arguments: tuple[Any, ...], unit: Unit) -> Kind | None:
    """What is one of several kinds, of which a file can name some."""
    wanted = [argument for argument in arguments if argument is not NoneType]
    if any(get_origin(argument) is os.PathLike for argument in wanted):
        return Kind(
            "the path of a file or folder",
            StrictStr,
            is_path=True,
            takes_text=True,
            example='"path/to/it"',
        )
    kinds = [kind for argument in wanted if (kind := kind_of(argument, unit)) is not None]
    if len(kinds) < 2:
        return kinds[0] if kinds else None
    return Kind(
        " or ".join(kind.expected for kind in kinds),
        Union[tuple(kind.annotation for kind in kinds)],  # noqa: UP007  # of as many as there are
        takes_text=any(kind.takes_text for kind in kinds),
        example=kinds[0].example,
    )


def _table(value: Any, unit: Unit) -> Kind | None:
    if value is Any:
        return Kind("a table", dict[str, Any], example='{ name = "..." }')
    kind = kind_of(value, unit)
    if kind is None:
        return None
    expected, example = (
        f"a table, each of its values {kind.expected}",
        f"{{ name = {kind.example} }}",
    )
    return Kind(expected, _generic(dict, str, kind.annotation), example=example)


def _generic(of: Any, *arguments: Any) -> Any:
    """`of[arguments]`, of types that are known only now."""
    return of[arguments]
