"""The part of a tree whose topics have what somebody looks for, found step by step. Sans-IO."""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Sequence

from tmqtt.topics.node import Node

_AT_ONCE = 4_000  # topics that are looked at, or levels that are taken, in a step


class Found:
    """The topics in which a pattern is found, and what is above them: a `View`, all of it open.

    Each `step` looks at some more of the topics, `ends` of the tree, to which others may come.
    """

    def __init__(
        self,
        root: Node,
        ends: Sequence[Node],
        pattern: re.Pattern[str],
        looked_at: int = 0,
        again: Sequence[Node] = (),
    ) -> None:
        """So many of the `ends` were looked at before, of which those of `again` may match."""
        self.root = root
        self.pattern = pattern
        self._ends = ends
        self._looked_at = looked_at
        self._matches: list[Node] = []
        self._again = again
        self._again_at = 0
        self._lines: dict[Node, int] = {root: 0}
        self._names: dict[Node, list[str]] = {root: []}

    def narrowed(self, pattern: re.Pattern[str]) -> Found:
        """What is found by a pattern that finds nothing which this one does not find."""
        again = [*self._matches, *self._again[self._again_at :]]
        return Found(self.root, self._ends, pattern, self._looked_at, again)

    @property
    def is_whole(self) -> bool:
        """Whether all topics were looked at."""
        return self._again_at == len(self._again) and self._looked_at == len(self._ends)

    def step(self) -> None:
        """Look at some more topics."""
        left, search = _AT_ONCE, self.pattern.search
        while left > 0:
            if self._again_at < len(self._again):
                end = self._again[self._again_at]
                self._again_at += 1
            elif self._looked_at < len(self._ends):
                end = self._ends[self._looked_at]
                self._looked_at += 1
            else:
                return
            left -= 1
            if end.topic is not None and search(end.topic.name):
                left -= self._take(end)

    def _take(self, end: Node) -> int:
        """Have a topic shown, and what is above it; how many levels that took."""
        self._matches.append(end)
        lines, names = self._lines, self._names
        node, new, steps = end, 0, 0
        while node not in lines and node.parent is not None:
            new += 1
            lines[node] = new
            insort(names.setdefault(node.parent, []), node.level)
            node = node.parent
        above: Node | None = node
        while above is not None and new:
            lines[above] += new
            above = above.parent
            steps += 1
        return new + steps

    # -- as it is seen --------------------------------------------------------------------------

    def is_open(self, node: Node) -> bool:
        """Whether there is something below a node."""
        return node in self._names

    def lines(self, node: Node) -> int:
        """How many lines a node takes, with what is below it."""
        return self._lines[node]

    def lines_below(self, node: Node) -> int:
        """How many of them are below it."""
        return self._lines[node] - (node is not self.root)

    def names(self, node: Node) -> Sequence[str]:
        """The names of what is below a node, in order."""
        return self._names[node]

    def has(self, node: Node) -> bool:
        """Whether a node is shown."""
        return node in self._lines
