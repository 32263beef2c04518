"""Putting a mutant in force in this process: a function that is loaded gets other code."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cached_property
from types import FunctionType, ModuleType

from tests.mutation.mutants import Mutant


def functions_of(module: ModuleType) -> dict[tuple[str, int], FunctionType]:
    """The functions that are written in a module, by qualified name and first line."""
    found: dict[tuple[str, int], FunctionType] = {}
    for value in vars(module).values():
        for function in _functions(value, module):
            found[function.__code__.co_qualname, function.__code__.co_firstlineno] = function
    return found


def switch(functions: dict[tuple[str, int], FunctionType], mutant: Mutant) -> bool:
    """Have all who call the function run the mutant from now on; False where that cannot be.

    The code must have the same free variables, which a change may have removed the last use of.
    """
    function = functions.get((mutant.function, mutant.begins))
    if function is None or function.__code__.co_freevars != mutant.code.co_freevars:
        return False
    function.__code__ = mutant.code
    return True


def _functions(value: object, module: ModuleType) -> Iterator[FunctionType]:
    if isinstance(value, type):
        # Its `__module__` may be a face's.
        for inner in vars(value).values():
            if not isinstance(inner, type) or inner.__qualname__.startswith(value.__qualname__):
                yield from _functions(inner, module)
        return
    for one in _wrapped(value):
        inner = inspect.unwrap(one) if callable(one) else one
        if isinstance(inner, FunctionType) and inner.__code__.co_filename == module.__file__:
            yield inner


def _wrapped(value: object) -> tuple[object, ...]:
    if isinstance(value, property):
        return value.fget, value.fset, value.fdel
    if isinstance(value, classmethod | staticmethod):
        return (value.__func__,)
    if isinstance(value, cached_property):
        return (value.func,)
    return (value,)
