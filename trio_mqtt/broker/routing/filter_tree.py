"""The tree of topic filters: who wants what, level by level (MQTT 5.0 §4.7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_mqtt.broker.routing.filters import TopicFilter
    from trio_mqtt.broker.routing.shared import SharedGroup
    from trio_mqtt.broker.routing.target import Recipient


class FilterNode:
    """A level of some filters, and whom the filter reaches that ends here."""

    __slots__ = ("children", "elsewhere", "groups", "subscriptions")

    def __init__(self) -> None:
        self.children: dict[str, FilterNode] = {}
        self.subscriptions: dict[Recipient, None] = {}
        self.groups: dict[str, SharedGroup] = {}
        # Those who pass messages on, such as other nodes of a cluster; None for nobody.
        self.elsewhere: dict[Recipient, None] | None = None

    @property
    def is_bare(self) -> bool:
        """Whether nothing is left of it."""
        return not (self.children or self.subscriptions or self.groups or self.elsewhere)


class FilterTree:
    """The levels of all filters that somebody has."""

    __slots__ = ("root",)

    def __init__(self) -> None:
        self.root = FilterNode()

    def node(self, topic_filter: TopicFilter) -> FilterNode:
        """The node of a filter, which may be a new one."""
        node = self.root
        for level in topic_filter.plain.split("/"):
            child = node.children.get(level)
            if child is None:
                child = node.children[level] = FilterNode()
            node = child
        return node

    def path(self, topic_filter: TopicFilter) -> list[FilterNode]:
        """The nodes on the way to that of a filter, which is the last; none if there is none."""
        path = [self.root]
        for level in topic_filter.plain.split("/"):
            child = path[-1].children.get(level)
            if child is None:
                return []
            path.append(child)
        return path

    @staticmethod
    def prune(topic_filter: TopicFilter, path: list[FilterNode]) -> None:
        """Something has left the last node of a path: cut off what leads nowhere any more."""
        levels = topic_filter.plain.split("/")
        for level, leaf, parent in zip(
            reversed(levels), reversed(path[1:]), reversed(path[:-1]), strict=True
        ):
            if not leaf.is_bare:
                break
            del parent.children[level]

    def nodes(self, topic: str) -> Iterable[FilterNode]:
        """The nodes of the filters that match, without recursion (§4.7)."""
        levels = topic.split("/")
        nodes = [self.root]
        for depth, level in enumerate(levels):
            wildcards = depth > 0 or not level.startswith("$")
            following = []
            for node in nodes:
                children = node.children
                if wildcards:
                    if "#" in children:
                        yield children["#"]
                    if "+" in children:
                        following.append(children["+"])
                if level in children:
                    following.append(children[level])
            if not following:
                return
            nodes = following
        for node in nodes:
            yield node
            if "#" in node.children:
                yield node.children["#"]  # "a/#" matches "a" too
