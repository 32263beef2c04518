"""Retained messages (MQTT 5.0 §3.3.1.3), in a tree: a look-up visits only what may match."""

from __future__ import annotations

from collections.abc import Iterator

from trio_mqtt.broker.batch import size_of
from trio_mqtt.protocol.packets import Publish


class _Node:
    __slots__ = ("children", "message", "stored_at")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.message: Publish | None = None
        self.stored_at = 0.0


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
        """The bytes of all messages, near enough for a bound."""
        return self._bytes

    def __len__(self) -> int:
        return self._count

    def store(self, message: Publish, now: float) -> bool:
        """Keep `message`, replacing its topic's; an empty payload removes it (§3.3.1.3).

        False if there is no room for it: then nothing is kept for its topic, not even what it was
        to replace.
        """
        levels = message.topic.split("/")
        self._expiring.pop(message.topic, None)
        if not message.payload:
            self._remove(levels)
            return True
        kept = _kept(message)
        older = self._at(levels)
        size = self._bytes + size_of(kept) - (0 if older is None else size_of(older))
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
        node.stored_at = now
        node.message = kept
        return True

    def _is_too_much(self, size: int, older: Publish | None) -> bool:
        return size > self._maximum_bytes or (older is None and self._count >= self._maximum)

    def has_room_for(self, count: int, size: int) -> bool:
        """Whether so many messages of so many bytes fit in, even if they replace none."""
        return self._count + count <= self._maximum and self._bytes + size <= self._maximum_bytes

    def takes(self, message: Publish) -> bool:
        """Whether `store` has room for a message."""
        if not message.payload:
            return True
        older = self._at(message.topic.split("/"))
        size = self._bytes + size_of(_kept(message)) - (0 if older is None else size_of(older))
        return not self._is_too_much(size, older)

    def expire(self, now: float) -> None:
        """Remove the messages whose expiry interval has passed (§3.3.2.3.3)."""
        for topic, deadline in list(self._expiring.items()):
            if deadline <= now:
                del self._expiring[topic]
                self._remove(topic.split("/"))

    def _at(self, levels: list[str]) -> Publish | None:
        node: _Node | None = self._root
        for level in levels:
            node = node.children.get(level) if node is not None else None
        return None if node is None else node.message

    def _remove(self, levels: list[str]) -> None:
        path = [self._root]
        for level in levels:
            child = path[-1].children.get(level)
            if child is None:
                return
            path.append(child)
        message = path[-1].message
        if message is not None:
            self._count -= 1
            self._bytes -= size_of(message)
            path[-1].message = None
        # Branches that lead nowhere any more go with it.
        for level, node, parent in zip(
            reversed(levels), reversed(path[1:]), reversed(path[:-1]), strict=True
        ):
            if node.message is not None or node.children:
                break
            del parent.children[level]

    def all(self) -> Iterator[tuple[Publish, float]]:
        """All messages, each with the time when it was stored."""
        return _below(self._root, at_root=False)

    def matching(self, topic_filter: str) -> Iterator[tuple[Publish, float]]:
        """The messages whose topics match, each with the time when it was stored."""
        wanted = topic_filter.split("/")
        stack: list[tuple[_Node, int]] = [(self._root, 0)]
        while stack:
            node, depth = stack.pop()
            if depth == len(wanted):
                if node.message is not None:
                    yield node.message, node.stored_at
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


def _below(top: _Node, *, at_root: bool) -> Iterator[tuple[Publish, float]]:
    """Everything under `top` and, unless it is the root, its own message: "a/#" matches "a" too."""
    stack = [top]
    while stack:
        node = stack.pop()
        if node.message is not None:
            yield node.message, node.stored_at
        stack += (
            child
            for name, child in node.children.items()
            if not (at_root and node is top and name.startswith("$"))
        )
