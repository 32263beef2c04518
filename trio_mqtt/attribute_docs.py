"""What is written under each attribute of a class, for `help` as well.

Editors show a string below an attribute; Python itself forgets it. It is written once, there.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import Any, TypeVar

T = TypeVar("T")


def with_attribute_docs(cls: type[T]) -> type[T]:
    """Show what is written under the attributes of a class in its docstring, and so in `help`."""
    doc: Any = _Doc(cls.__doc__ or "", cls.__module__)
    cls.__doc__ = doc
    return cls


class _Doc:
    """The docstring of a class, which is put together when somebody reads it."""

    def __init__(self, own: str, module: str) -> None:
        self._own = own
        self._module = module

    def __get__(self, instance: object, owner: type) -> str:
        attributes = "\n".join(_attributes(sys.modules[self._module].__file__, owner.__name__))
        return f"{self._own.rstrip()}\n\n    Attributes:\n{attributes}" if attributes else self._own


def _attributes(path: str | None, name: str) -> list[str]:
    """Each attribute with what is written under it; none where there is no source to read."""
    # Few programs ask for help: loading these would cost each of them.
    import ast
    import textwrap
    from pathlib import Path

    try:
        tree = ast.parse(Path(str(path)).read_text(encoding="utf-8"))
    except OSError:
        return []
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    body = next(node.body for node in classes if node.name == name)
    lines = []
    for above, below in pairwise(body):
        match above, below:
            case (
                ast.AnnAssign(target=ast.Name(id=attribute))
                | ast.Assign(targets=[ast.Name(id=attribute)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                lines += textwrap.wrap(
                    f"{attribute}: {' '.join(text.split())}",
                    width=96,
                    initial_indent=" " * 8,
                    subsequent_indent=" " * 12,
                )
    return lines
