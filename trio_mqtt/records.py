"""Frozen dataclasses with slots that are made in a third of the time.

`@record` is `@dataclass(frozen=True, slots=True)` to whoever reads, checks or uses the class. The
standard library compiles six functions for each; a broker has some hundred such classes, and a
quarter of its start was that. Here one is compiled, `__init__`, and the others are shared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field
from operator import attrgetter
from reprlib import recursive_repr
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")

_SET = object.__setattr__
_PARAMS = "__dataclass_params__"  # where a dataclass says what it is


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T], /) -> type[T]: ...


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(*, kw_only: bool) -> Callable[[type[T]], type[T]]: ...


def record(
    cls: type[T] | None = None, /, *, kw_only: bool = False
) -> type[T] | Callable[[type[T]], type[T]]:
    """Make a class with annotations a frozen dataclass with slots, its fields by name `kw_only`."""
    return _made(cls, kw_only) if cls is not None else lambda cls: _made(cls, kw_only)


def _made(cls: type[T], kw_only: bool) -> type[T]:
    with _thawed_bases(cls):
        made = dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
    fields = dataclasses.fields(made)  # type: ignore[arg-type]  # a dataclass since the line above
    own = vars(cls)
    methods: dict[str, Callable[..., object]] = {
        "__init__": _init(made, fields),
        "__repr__": _repr,
        "__eq__": _eq(fields),
        "__getstate__": _getstate,
        "__setstate__": _setstate,
        "__setattr__": _setattr,
        "__delattr__": _delattr,
    }
    if own.get("__hash__") is None:  # which __eq__ alone makes it
        methods["__hash__"] = _hash(fields)
    for name, method in methods.items():
        if own.get(name) is None:
            setattr(made, name, method)
    params = vars(made)[_PARAMS]
    params.init = params.repr = params.eq = params.frozen = True
    return made


@contextmanager
def _thawed_bases(cls: type) -> Iterator[None]:
    """While a class is made: it is frozen last, and its bases must not be so before."""
    frozen = [
        params
        for base in cls.__mro__[1:]
        if (params := vars(base).get(_PARAMS)) is not None and params.frozen
    ]
    for params in frozen:
        params.frozen = False
    try:
        yield
    finally:
        for params in frozen:
            params.frozen = True


def _init(cls: type, fields: tuple[Field[Any], ...]) -> Callable[..., None]:
    """The one function that is compiled, as it runs each time that an object is made."""
    known: dict[str, Any] = {"_set": _SET, "_missing": MISSING}
    by_place = ["self"]
    by_name: list[str] = []
    body: list[str] = []
    for each in fields:
        name = value = each.name
        parameter = name
        if each.default_factory is not MISSING:
            known[f"_make_{name}"] = each.default_factory
            parameter += "=_missing"
            value = f"_make_{name}() if {name} is _missing else {name}"
        elif each.default is not MISSING:
            known[f"_default_{name}"] = each.default
            parameter += f"=_default_{name}"
        if each.init:
            (by_name if each.kw_only else by_place).append(parameter)
        elif parameter == name:
            continue  # `__post_init__` sets it
        else:
            value = f"_make_{name}()" if parameter.endswith("_missing") else f"_default_{name}"
        body.append(f" _set(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        body.append(" self.__post_init__()")
    parameters = ", ".join([*by_place, *(["*", *by_name] if by_name else ())])
    source = "\n".join([f"def __init__({parameters}):", *(body or [" pass"])])
    exec(source, known)  # noqa: S102 # made of the names of fields
    init: Callable[..., None] = known["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__module__ = cls.__module__
    init.__annotations__ = {each.name: each.type for each in fields if each.init} | {"return": None}
    return init


@recursive_repr()
def _repr(self: object) -> str:
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in _fields(self) if each.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _values(names: list[str]) -> Callable[[object], object]:
    """What gives the tuple of these attributes."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _eq(fields: tuple[Field[Any], ...]) -> Callable[[object, object], bool]:
    values = _values([each.name for each in fields if each.compare])

    def __eq__(self: object, other: object) -> bool:  # noqa: N807
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    return __eq__


def _hash(fields: tuple[Field[Any], ...]) -> Callable[[object], int]:
    values = _values(
        [each.name for each in fields if (each.compare if each.hash is None else each.hash)]
    )

    def __hash__(self: object) -> int:  # noqa: N807
        return hash(values(self))

    return __hash__


def _getstate(self: object) -> list[object]:
    return [getattr(self, each.name) for each in _fields(self)]


def _setstate(self: object, state: list[object]) -> None:
    for each, value in zip(_fields(self), state, strict=True):
        _SET(self, each.name, value)


def _setattr(self: object, name: str, value: object) -> None:
    if _is_frozen(self, name):
        raise FrozenInstanceError(f"cannot assign to field {name!r}")
    _SET(self, name, value)


def _delattr(self: object, name: str) -> None:
    if _is_frozen(self, name):
        raise FrozenInstanceError(f"cannot delete field {name!r}")
    object.__delattr__(self, name)


def _is_frozen(self: object, name: str) -> bool:
    """Whether an attribute stays: each of a record, the fields of what is derived from it."""
    return _PARAMS in vars(type(self)) or any(each.name == name for each in _fields(self))


def _fields(self: object) -> tuple[Field[Any], ...]:
    return dataclasses.fields(self)  # type: ignore[arg-type]  # a record
