"""One level of topics, in a tree of them."""

from __future__ import annotations

from tmqtt.topics.topics import Topic


class Node:
    """One level of topics: what is below it, and the topic that ends in it."""

    __slots__ = (
        "below", "count", "lead", "level", "levels", "names", "parent", "topic", "topics",
    )  # fmt: skip

    def __init__(self, level: str, parent: Node | None) -> None:
        self.level = level
        self.parent = parent
        self.below: dict[str, Node] = {}
        self.names: list[str] = []  # of what is below, in order
        self.topic: Topic | None = None
        self.count = 0  # messages of the topic that ends here and of all below
        self.topics = 0  # of these, how many there are
        self.levels = 0  # how many nodes are below it
        self.lead = ""  # what stands before it where it is shown
