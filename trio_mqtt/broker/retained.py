"""Retained messages (MQTT 5.0 §3.3.1.3), in a tree: a look-up visits only what may match."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from trio_mqtt.broker.batch import size_of
from trio_mqtt.protocol.packets import Publish

if TYPE_CHECKING:
    from trio_mqtt.broker.authorship import Authorship


NODE = 240  # bytes of one level in the tree, beside its name
_STRING = 80  # bytes of a string beside its characters, at most


class Retained(NamedTuple):
    """A retained message, when it was stored, and by whom, where the rules must know."""

    message: Publish
    stored_at: float
    author: Authorship | None

    @property
    def size(self) -> int:
        """Its bytes, near enough for a bound."""
        return _size(self.message) + (0 if self.author is None else self.author.size)


class _Node:
    __slots__ = ("children", "kept")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.kept: Retained | None = None


class RetainedMessages:
    """At most one message a topic, `maximum` topics and `maximum_bytes` of messages."""

    def __init__(self, maximum: int, maximum_bytes: int) -> None:
        self._maximum = maximum
        self._maximum_bytes = maximum_bytes
        self._bytes = 0
        self._root = _Node()
        self._count = 0
        # When messages that expire do so, by topic; in the order of storing.
        self._expiring: dict[str, float] = {}

    @property
    def bytes(self) -> int:
        """The bytes of all messages, their topics and the tree, near enough for a bound."""
        return self._bytes

    def __len__(self) -> int:
        return self._count

    def store(self, message: Publish, now: float, author: Authorship | None = None) -> bool:
        """Keep `message`, replacing its topic's; an empty payload removes it (§3.3.1.3).

        False if there is no room for it: then nothing is kept for its topic, not even what it was
        to replace.
        """
        levels = message.topic.split("/")
        self._expiring.pop(message.topic, None)
        if not message.payload:
            self._remove(levels)
            return True
        kept = Retained(_kept(message), now, author)
        older, branch = self._at(levels)
        size = self._bytes + branch + kept.size - (0 if older is None else older.size)
        if self._is_too_much(size, older):
            self._remove(levels)
            return False
        interval = message.properties.get("message_expiry_interval")
        if interval is not None:
            self._expiring[message.topic] = now + interval
        node = self._root
        for level in levels:
            child = node.children.get(level)
            if child is None:
                child = node.children[level] = _Node()
            node = child
        self._count += older is None
        self._bytes = size
        node.kept = kept
        return True

    def _is_too_much(self, size: int, older: Retained | None) -> bool:
        return size > self._maximum_bytes or (older is None and self._count >= self._maximum)

    def has_room_for(self, count: int, size: int) -> bool:
        """Whether so many messages of so many bytes fit in, even if they replace none."""
        return self._count + count <= self._maximum and self._bytes + size <= self._maximum_bytes

    @staticmethod
    def most(message: Publish) -> int:
        """The bytes that a message occupies at most, whatever is there already."""
        topic = message.topic
        levels = topic.count("/") + 1
        return size_of(message) + 128 + 2 * sys.getsizeof(topic) + levels * (NODE + _STRING)

    def takes(self, message: Publish) -> bool:
        """Whether `store` has room for a message."""
        if not message.payload:
            return True
        older, branch = self._at(message.topic.split("/"))
        size = self._bytes + branch + _size(_kept(message))
        if older is not None:
            size -= older.size
        return not self._is_too_much(size, older)

    def expire(self, now: float) -> None:
        """Remove the messages whose expiry interval has passed (§3.3.2.3.3)."""
        for topic, deadline in list(self._expiring.items()):
            if deadline <= now:
                del self._expiring[topic]
                self._remove(topic.split("/"))

    def _at(self, levels: list[str]) -> tuple[Retained | None, int]:
        """What is kept at a topic, and the bytes of those of its nodes that there are not yet."""
        node = self._root
        for depth, level in enumerate(levels):
            child = node.children.get(level)
            if child is None:
                return None, sum(NODE + sys.getsizeof(missing) for missing in levels[depth:])
            node = child
        return node.kept, 0

    def _remove(self, levels: list[str]) -> None:
        path = [self._root]
        for level in levels:
            child = path[-1].children.get(level)
            if child is None:
                return
            path.append(child)
        kept = path[-1].kept
        if kept is not None:
            self._count -= 1
            self._bytes -= kept.size
            path[-1].kept = None
        # Branches that lead nowhere any more go with it.
        for level, node, parent in zip(
            reversed(levels), reversed(path[1:]), reversed(path[:-1]), strict=True
        ):
            if node.kept is not None or node.children:
                break
            del parent.children[level]
            self._bytes -= NODE + sys.getsizeof(level)

    def all(self) -> Iterator[Retained]:
        """All messages."""
        return _below(self._root, at_root=False)

    def matching(self, topic_filter: str) -> Iterator[Retained]:
        """The messages whose topics match."""
        wanted = topic_filter.split("/")
        stack: list[tuple[_Node, int]] = [(self._root, 0)]
        while stack:
            node, depth = stack.pop()
            if depth == len(wanted):
                if node.kept is not None:
                    yield node.kept
                continue
            level = wanted[depth]
            if level == "#":
                yield from _below(node, at_root=depth == 0)
            elif level == "+":
                stack += (
                    (child, depth + 1)
                    for name, child in node.children.items()
                    if depth or not name.startswith("$")
                )
            else:
                child_or_none = node.children.get(level)
                if child_or_none is not None:
                    stack.append((child_or_none, depth + 1))


def _kept(message: Publish) -> Publish:
    """A message as it is kept. Its frame is let go: it would hold the payload twice."""
    return Publish(
        message.topic, message.payload, message.qos, retain=True, properties=message.properties
    )


def _size(message: Publish) -> int:
    """The bytes of a message as it is kept, with its topic, which often is longer than it."""
    topic = message.topic
    # A topic of one level is the name of its node, which is counted there.
    return size_of(message) + (sys.getsizeof(topic) if "/" in topic else 0)


def _below(top: _Node, *, at_root: bool) -> Iterator[Retained]:
    """Everything under `top` and, unless it is the root, its own message: "a/#" matches "a" too."""
    stack = [top]
    while stack:
        node = stack.pop()
        if node.kept is not None:
            yield node.kept
        stack += (
            child
            for name, child in node.children.items()
            if not (at_root and node is top and name.startswith("$"))
        )
