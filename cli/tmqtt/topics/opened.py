"""Which branches of a tree are open, and how many lines that makes. Sans-IO.

To open or close a branch, or all of them, or a tree that grows costs as much as the tree is deep,
however many topics there are: a branch knows how many lines are below it, and those that nobody has
opened or closed since all were are as all are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from tmqtt.topics.node import Node


class _State:
    """A branch that somebody has opened or closed, or that is above one."""

    __slots__ = ("lines", "opened")

    def __init__(self, lines: int, *, opened: bool) -> None:
        self.lines = lines  # below it, were it open
        self.opened = opened


class Opened:
    """The branches of a tree as a person has opened and closed them: a `View` of it."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self._all = False  # whether what has no state is open
        self._states: dict[Node, _State] = {}

    # -- as it is seen --------------------------------------------------------------------------

    def is_open(self, node: Node) -> bool:
        """Whether what is below a node is shown."""
        state = self._states.get(node)
        return bool(node.names) and (self._all if state is None else state.opened)

    def lines(self, node: Node) -> int:
        """How many lines a node takes, with what is shown below it."""
        return 1 + self.lines_below(node) if self.is_open(node) else 1

    def lines_below(self, node: Node) -> int:
        """How many lines are below a node, where it is open; all where it is the root."""
        state = self._states.get(node)
        if state is not None:
            return state.lines
        return node.levels if self._all else len(node.names)

    def names(self, node: Node) -> Sequence[str]:
        """The names of what is shown below a node that is open, in order."""
        return node.names

    def has(self, node: Node) -> bool:
        """Whether a node is shown."""
        above = node.parent
        while above is not None and above is not self.root:
            if not self.is_open(above):
                return False
            above = above.parent
        return True

    # -- what changes it ------------------------------------------------------------------------

    def turn(self, node: Node, *, opened: bool) -> None:
        """Open or close a branch."""
        if not node.names or self.is_open(node) is opened:
            return
        one: Node | None = node
        while one is not None and one not in self._states:
            self._states[one] = _State(self.lines_below(one), opened=self._all or one is self.root)
            one = one.parent
        state = self._states[node]
        state.opened = opened
        self._change(node, state.lines if opened else -state.lines)

    def turn_all(self, *, opened: bool) -> None:
        """Open or close every branch."""
        self._all = opened
        self._states.clear()

    def open_what_fits(self, room: int) -> None:
        """Open level by level, for as long as all of it has room in so many lines."""
        self.turn_all(opened=False)
        room -= len(self.root.names)
        waiting = deque([self.root] if room > 0 else [])
        while waiting and room > 0:
            node = waiting.popleft()
            if node is not self.root:
                if len(node.names) > room or not node.names:
                    continue
                self.turn(node, opened=True)
                room -= len(node.names)
            waiting.extend(node.below[name] for name in node.names)

    def has_grown(self, node: Node, new: int) -> None:
        """So many nodes have come below a node, one below the other; it counts them already."""
        change = new if self._all else 1
        state = self._states.get(node)
        if state is not None:
            state.lines += change
            change *= state.opened
        elif not self._all:
            return  # it is closed
        self._change(node, change)

    def _change(self, node: Node, lines: int) -> None:
        """A node takes more lines, or fewer: so do those above it, as far as they are open."""
        above = node.parent
        while above is not None and lines:
            state = self._states.get(above)
            if state is not None:
                state.lines += lines
                if not state.opened:
                    return
            elif not self._all:
                return
            above = above.parent
