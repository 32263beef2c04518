"""Topics as a tree with counts, and which part of it fits a screen. Sans-IO."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tmqtt.topics.node import Node
from tmqtt.topics.opened import Opened
from tmqtt.topics.topics import Topic


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
        self.ends: list[Node] = []  # of the topics, in the order in which they came
        self.opened = Opened(self.root)
        self._ends: dict[str, Node] = {}

    @property
    def growth(self) -> int:
        """How often it has grown."""
        return len(self.ends)

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
        node, grown, new = self.root, self.root, 0
        path = [node]
        for level in topic.name.split("/"):
            next_node = node.below.get(level)
            if next_node is None:
                next_node = node.below[level] = Node(level, node)
                insort(node.names, level)
                new += 1
            elif not new:
                grown = next_node
            node = next_node
            path.append(node)
        node.topic = topic
        for depth, one in enumerate(path):
            one.topics += 1
            one.levels += min(new, len(path) - 1 - depth)
        if new:
            self.opened.has_grown(grown, new)
        self._ends[topic.name] = node
        self.ends.append(node)
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
                below = [node.below[level] for level in node.names]
                shown[node] = below
                room -= len(below)
                waiting.extend(below)
            elif closed is None:
                closed = node
        if closed is not None and room >= 2:
            # What is left goes to the first that did not fit: some of it, and how much more.
            shown[closed] = [closed.below[level] for level in closed.names[: room - 1]]
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
