"""Topics as a tree with counts, and which part of it fits a screen. Sans-IO."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tmqtt.topics.topics import Topic

_DEEPEST = 240  # characters


class Node:
    """One level of topics: what is below it, and the topic that ends in it."""

    __slots__ = ("below", "count", "lead", "level", "opened", "parent", "topic", "topics")

    def __init__(self, level: str, parent: Node | None) -> None:
        self.level = level
        self.parent = parent
        self.below: dict[str, Node] = {}
        self.topic: Topic | None = None
        self.count = 0  # messages of the topic that ends here and of all below
        self.topics = 0  # of these, how many there are
        self.opened = False  # whether `visible` has what is below it
        self.lead = ""  # what stands before it there


@dataclass(frozen=True, slots=True)
class Branch:
    """A line of the tree. `hidden` is how many topics below it are not shown.

    A line without a node stands for `hidden` branches that did not fit.
    """

    lead: str
    node: Node | None
    hidden: int


class Tree:
    """A tree that grows with the topics it is told of."""

    def __init__(self) -> None:
        self.root = Node("", None)
        self.growth = 0  # how often it has grown
        self._ends: dict[str, Node] = {}

    def update(self, topics: Iterable[Topic]) -> None:
        """Count the messages that these topics had since they were counted last."""
        for topic in topics:
            end = self._ends.get(topic.name)
            node: Node | None
            if end is None:
                end = self._grow(topic)
            new, topic.summed = topic.count - topic.summed, topic.count
            node = end
            while node is not None:
                node.count += new
                node = node.parent

    def _grow(self, topic: Topic) -> Node:
        node = self.root
        path = [node]
        for level in topic.name.split("/"):
            next_node = node.below.get(level)
            if next_node is None:
                next_node = node.below[level] = Node(level, node)
            node = next_node
            path.append(node)
        node.topic = topic
        for one in path:
            one.topics += 1
        self._ends[topic.name] = node
        self.growth += 1
        return node

    def branches(self, room: int) -> list[Branch]:
        """The tree in at most `room` lines: level by level for as long as they fit."""
        shown: dict[Node, list[Node]] = {}  # opened nodes, and what is shown below them
        waiting = deque([self.root])
        closed: Node | None = None
        while waiting:
            node = waiting.popleft()
            if not node.below:
                continue
            if len(node.below) <= room:
                below = [node.below[level] for level in sorted(node.below)]
                shown[node] = below
                room -= len(below)
                waiting.extend(below)
            elif closed is None:
                closed = node
        if closed is not None and room >= 2:
            # What is left goes to the first that did not fit: some of it, and how much more.
            shown[closed] = [closed.below[level] for level in sorted(closed.below)[: room - 1]]
        return list(self._lines(self.root, "", shown))

    def _lines(self, node: Node, lead: str, shown: dict[Node, list[Node]]) -> Iterator[Branch]:
        below = shown.get(node, [])
        missing = len(node.below) - len(below) if below else 0
        top = node is self.root
        for number, child in enumerate(below):
            last = number == len(below) - 1 and not missing
            opened = child in shown
            hidden = 0 if opened else child.topics - (child.topic is not None)
            yield Branch("" if top else lead + ("└─ " if last else "├─ "), child, hidden)
            if opened:
                yield from self._lines(
                    child, "" if top else lead + ("   " if last else "│  "), shown
                )
        if missing:
            yield Branch("" if top else f"{lead}└─ ", None, missing)

    # With branches that somebody opens and closes.

    def open_what_fits(self, room: int) -> None:
        """Open level by level, for as long as all of it has room in so many lines."""
        room -= len(self.root.below)
        waiting = deque(node for _, node in sorted(self.root.below.items()))
        while waiting:
            node = waiting.popleft()
            node.opened = 0 < len(node.below) <= room
            if node.opened:
                room -= len(node.below)
                waiting.extend(below for _, below in sorted(node.below.items()))

    def open_all(self, *, opened: bool) -> None:
        """Open or close every branch."""
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            node.opened = opened and bool(node.below)
            waiting.extend(node.below.values())

    def visible(self, pattern: re.Pattern[str] | None = None) -> list[Node]:
        """The lines of the tree as it is open; or of all topics in which the pattern is found."""
        kept: set[Node] | None = None
        if pattern is not None:
            kept = self._holding(pattern)
        lines: list[Node] = []
        waiting: list[tuple[Node, str]] = [(self.root, "")]
        while waiting:
            node, before = waiting.pop()
            top = node is self.root
            if not top:
                lines.append(node)
            if not (top or node.opened or kept is not None):
                continue
            below = [node.below[level] for level in sorted(node.below, reverse=True)]
            if kept is not None:
                below = [one for one in below if one in kept]
            # What is deeper than any screen is wide has no more lines before it.
            shown = before if len(before) < _DEEPEST else ""
            for number, one in enumerate(below):
                one.lead = "" if top else shown + ("├─ " if number else "└─ ")
                waiting.append((one, "" if top else shown + ("│  " if number else "   ")))
        return lines

    def _holding(self, pattern: re.Pattern[str]) -> set[Node]:
        """The nodes of topics in which the pattern is found, and all above them."""
        kept: set[Node] = set()
        for name, end in self._ends.items():
            if pattern.search(name):
                node: Node | None = end
                while node is not None and node not in kept:
                    kept.add(node)
                    node = node.parent
        return kept
