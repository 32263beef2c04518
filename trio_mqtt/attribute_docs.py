"""What is written under each attribute of a class, for `help` as well.

Editors show a string below an attribute; Python itself forgets it. It is written once, there.
"""

from __future__ import annotations

import sys
from functools import cache
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
        self.module = module

    def __get__(self, instance: object, owner: type) -> str:
        import textwrap  # few programs ask for help: loading it would cost each of them

        lines = [
            line
            for attribute, text in attribute_docs(owner).items()
            for line in textwrap.wrap(
                f"{attribute}: {text}",
                width=96,
                initial_indent=" " * 8,
                subsequent_indent=" " * 12,
            )
        ]
        attributes = "\n".join(lines)
        return f"{self._own.rstrip()}\n\n    Attributes:\n{attributes}" if attributes else self._own


def attribute_docs(cls: type) -> dict[str, str]:
    """What is written under each attribute of a class, those that it inherits first.

    Empty where there is no source to read.
    """
    docs: dict[str, str] = {}
    for one in reversed(cls.__mro__):
        doc: Any = vars(one).get("__doc__")
        if isinstance(doc, _Doc):
            docs |= _written(sys.modules[doc.module].__file__).get(one.__name__, {})
    return docs


@cache
def _written(path: str | None) -> dict[str, dict[str, str]]:
    """What is written under the attributes of each class in a file, which takes some time."""
    import ast
    from pathlib import Path

    try:
        tree = ast.parse(Path(str(path)).read_text(encoding="utf-8"))
    except OSError:
        return {}
    classes: dict[str, dict[str, str]] = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        docs = classes[node.name] = {}
        for above, below in pairwise(node.body):
            match above, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=attribute))
                    | ast.Assign(targets=[ast.Name(id=attribute)]),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    docs[attribute] = " ".join(text.split())
    return classes
