"""The lines of a tree as a sequence of which only those that are looked at are made. Sans-IO."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Protocol, overload

from tmqtt.topics.node import Node

_DEEPEST = 240  # characters


class View(Protocol):
    """What of a tree is shown."""

    root: Node

    def is_open(self, node: Node) -> bool:
        """Whether what is below a node is shown."""
        ...

    def lines(self, node: Node) -> int:
        """How many lines a node takes, with what is shown below it."""
        ...

    def lines_below(self, node: Node) -> int:
        """How many lines are below a node that is open, or the root."""
        ...

    def names(self, node: Node) -> Sequence[str]:
        """The names of what is shown below a node that is open, in order."""
        ...

    def has(self, node: Node) -> bool:
        """Whether a node is shown."""
        ...


class ShownLines(Sequence[Node]):
    """The nodes that are shown, from above to below; `lead` of those that were looked at is set."""

    def __init__(self, view: View) -> None:
        self._view = view

    def __len__(self) -> int:
        return self._view.lines_below(self._view.root)

    def __contains__(self, node: object) -> bool:
        return isinstance(node, Node) and self._view.has(node)

    @overload
    def __getitem__(self, at: int) -> Node: ...
    @overload
    def __getitem__(self, at: slice) -> list[Node]: ...
    def __getitem__(self, at: int | slice) -> Node | list[Node]:
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            return self._some(start, stop - start)[::step] if step > 0 else self._some(0, 0)
        number = range(len(self))[at]
        return self._some(number, 1)[0]

    def index(self, node: Node, start: int = 0, stop: int | None = None) -> int:
        """The line of a node. Raises ValueError where it is not shown."""
        del start, stop
        view = self._view
        if not view.has(node):
            raise ValueError(f"{node.level!r} is not shown.")
        at = -1
        while node.parent is not None:
            above = node.parent
            names = view.names(above)
            before = bisect_left(names, node.level)
            if self._is_even(above):
                at += before + 1
            else:
                at += 1 + sum(view.lines(above.below[name]) for name in names[:before])
            node = above
        return at

    def _is_even(self, node: Node) -> bool:
        """Whether each node below one takes one line."""
        return self._view.lines_below(node) == len(self._view.names(node))

    def _some(self, first: int, count: int) -> list[Node]:
        view = self._view
        if count <= 0 or first >= len(self):
            return []
        # Where the first of them is: the nodes above it, which of those below each comes next, and
        # what stands before that.
        node, before = view.root, ""
        way: list[tuple[Node, int, str]] = []
        while True:
            names = view.names(node)
            at = 0
            if self._is_even(node):
                at, first = first, 0
            else:
                while first >= (lines := view.lines(node.below[names[at]])):
                    first -= lines
                    at += 1
            if not first:
                break
            first -= 1
            way.append((node, at + 1, before))
            before = _before(view, node, before, at)
            node = node.below[names[at]]
        way.append((node, at, before))
        found: list[Node] = []
        while way and len(found) < count:
            node, at, before = way.pop()
            names = view.names(node)
            if at == len(names):
                continue
            way.append((node, at + 1, before))
            child = node.below[names[at]]
            is_last = at == len(names) - 1
            # What is deeper than any screen is wide has no more lines before it.
            shown = before if len(before) < _DEEPEST else ""
            child.lead = "" if node is view.root else shown + ("└─ " if is_last else "├─ ")
            found.append(child)
            if view.is_open(child):
                way.append((child, 0, _before(view, node, before, at)))
        return found


def _before(view: View, node: Node, before: str, at: int) -> str:
    """What stands before all that is below one of those below a node."""
    if node is view.root:
        return ""
    shown = before if len(before) < _DEEPEST else ""
    return shown + ("   " if at == len(view.names(node)) - 1 else "│  ")
