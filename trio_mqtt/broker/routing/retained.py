"""Retained messages (MQTT 5.0 §3.3.1.3), in a tree: a look-up visits only what may match."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from trio_mqtt.broker.routing.sizes import size_of
from trio_mqtt.protocol.packets import Publish

if TYPE_CHECKING:
    from trio_mqtt.broker.access.authorship import Authorship
    from trio_mqtt.broker.limits import Limits

STEP = 32  # nodes that are visited at once


NODE = 240  # bytes of one level in the tree, beside its name
_CHANGE = 64  # bytes by which a topic's message may be larger than the one before in any case
_STRING = 80  # bytes of a string beside its characters, at most


class Retained(NamedTuple):
    """A retained message, when it was stored, by whom, where the rules must know, and in turn.

    `client_key` is the client for which it counts, by its session; None where a program published
    it, or it was restored.
    """

    message: Publish
    stored_at: float
    author: Authorship | None
    serial: int
    client_key: str | None = None

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
    """At most one message a topic, and so many topics and bytes of messages as the limits say."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._bytes = 0
        self._most_bytes = math.inf  # as far as there is memory
        # Topics that begin with $ have a tree of their own: no wildcard at the start matches them.
        self._root = _Node()
        self._reserved = _Node()
        self._count = 0
        self._serial = 0
        # When messages that expire do so, by topic; in the order of storing.
        self._expiring: dict[str, float] = {}
        # When the others were stored, where they expire too; in the same order.
        self._stored: dict[str, float] = {}
        self._stored_last = -math.inf
        self._in_order = True  # what is restored comes in any
        self._of_client: Counter[str] = Counter()

    @property
    def bytes(self) -> int:
        """The bytes of all messages, their topics and the tree, near enough for a bound."""
        return self._bytes

    def __len__(self) -> int:
        return self._count

    def store(
        self,
        message: Publish,
        now: float,
        author: Authorship | None = None,
        client_key: str | None = None,
    ) -> bool:
        """Keep `message`, replacing its topic's; an empty payload removes it (§3.3.1.3).

        It counts for the client of `client_key`, if that is given. False if there is no room for
        it: then nothing is kept for its topic, not even what it was to replace.
        """
        levels = message.topic.split("/")
        self._expiring.pop(message.topic, None)
        self._stored.pop(message.topic, None)
        if not message.payload:
            self._remove(levels)
            return True
        self._serial += 1
        kept = Retained(_kept(message), now, author, self._serial, client_key)
        node, missing = self._deepest(levels)
        older = None if missing else node.kept
        size = self._bytes + _branch(missing) + kept.size - (0 if older is None else older.size)
        if self._is_too_much(size, older, client_key):
            self._remove(levels)
            return False
        interval = message.properties.get("message_expiry_interval")
        if interval is not None:
            self._expiring[message.topic] = now + interval
        elif self._limits.default_retained_expiry < math.inf:
            self._stored[message.topic] = now
            self._in_order = self._in_order and now >= self._stored_last
            self._stored_last = now
        for level in missing:
            child = node.children[level] = _Node()
            node = child
        self._count += older is None
        self._bytes = size
        if older is not None:
            self._no_longer_of(older.client_key)
        if client_key is not None:
            self._of_client[client_key] += 1
        node.kept = kept
        return True

    def may_grow(self, size: float) -> None:
        """By so many bytes all of it may grow, as there is memory: then nothing is kept anew.

        What replaces another message is kept while it is hardly larger.
        """
        self._most_bytes = self._bytes + size

    def _is_too_much(self, size: int, older: Retained | None, client_key: str | None) -> bool:
        limits = self._limits
        if size > limits.maximum_retained_bytes or (
            older is None and self._count >= limits.maximum_retained_messages
        ):
            return True
        if size > self._most_bytes and (older is None or size - self._bytes > _CHANGE):
            return True
        if client_key is None or (older is not None and older.client_key == client_key):
            return False
        return self._of_client[client_key] >= limits.maximum_retained_per_client

    def has_room_for(self, count: int, size: int, client_key: str | None = None) -> bool:
        """Whether so many messages of so many bytes fit in, even if they replace none."""
        limits = self._limits
        return (
            self._count + count <= limits.maximum_retained_messages
            and self._bytes + size <= min(limits.maximum_retained_bytes, self._most_bytes)
            and (
                client_key is None
                or self._of_client[client_key] + count <= limits.maximum_retained_per_client
            )
        )

    def _no_longer_of(self, client_key: str | None) -> None:
        if client_key is not None:
            self._of_client[client_key] -= 1
            if not self._of_client[client_key]:
                del self._of_client[client_key]

    def has(self, topic: str) -> bool:
        """Whether anything is kept for a topic."""
        node, missing = self._deepest(topic.split("/"))
        return not missing and node.kept is not None

    def get(self, topic: str) -> Retained | None:
        """What is kept for a topic."""
        node, missing = self._deepest(topic.split("/"))
        return None if missing else node.kept

    @staticmethod
    def most(message: Publish) -> int:
        """The bytes that a message occupies at most, whatever is there already."""
        topic = message.topic
        levels = topic.count("/") + 1
        return size_of(message) + 128 + 2 * sys.getsizeof(topic) + levels * (NODE + _STRING)

    def takes(self, message: Publish, client_key: str | None = None) -> bool:
        """Whether `store` has room for a message of a client."""
        if not message.payload:
            return True
        node, missing = self._deepest(message.topic.split("/"))
        older = None if missing else node.kept
        size = self._bytes + _branch(missing) + _size(_kept(message))
        if older is not None:
            size -= older.size
        return not self._is_too_much(size, older, client_key)

    def expire(self, now: float) -> list[str]:
        """Remove the messages whose expiry interval has passed (§3.3.2.3.3); their topics."""
        expired = [topic for topic, deadline in self._expiring.items() if deadline <= now]
        if not self._in_order:
            self._stored = dict(sorted(self._stored.items(), key=itemgetter(1)))
            self._in_order = True
        long_ago = now - self._limits.default_retained_expiry
        for topic, stored_at in self._stored.items():
            if stored_at > long_ago:
                break
            expired.append(topic)
        for topic in expired:
            self._expiring.pop(topic, None)
            self._stored.pop(topic, None)
            self._remove(topic.split("/"))
        return expired

    def _deepest(self, levels: list[str]) -> tuple[_Node, list[str]]:
        """The last node on the way to a topic that there is, and the levels that there are not."""
        node = self._top(levels)
        for depth, level in enumerate(levels):
            child = node.children.get(level)
            if child is None:
                return node, levels[depth:]
            node = child
        return node, []

    def _remove(self, levels: list[str]) -> None:
        path = [self._top(levels)]
        for level in levels:
            child = path[-1].children.get(level)
            if child is None:
                return
            path.append(child)
        kept = path[-1].kept
        if kept is not None:
            self._count -= 1
            self._bytes -= kept.size
            self._no_longer_of(kept.client_key)
            path[-1].kept = None
        # Branches that lead nowhere any more go with it.
        for level, node, parent in zip(
            reversed(levels), reversed(path[1:]), reversed(path[:-1]), strict=True
        ):
            if node.kept is not None or node.children:
                break
            del parent.children[level]
            self._bytes -= NODE + sys.getsizeof(level)

    def _top(self, levels: list[str]) -> _Node:
        return self._reserved if levels[0][:1] == "$" else self._root

    def all(self) -> Iterator[Retained]:
        """All messages. What is stored between two of them is not found."""
        for root in (self._reserved, self._root):
            yield from (one for one in self._walk(root, ["#"], self._serial) if one is not None)

    def matching(self, topic_filter: str) -> Iterator[Retained]:
        """The messages whose topics match."""
        return (one for one in self.search(topic_filter) if one is not None)

    def search(self, topic_filter: str, now: float = -math.inf) -> Iterator[Retained | None]:
        """The messages whose topics match and that are stored now, found step by step.

        None now and then, where much is searched and nothing found. Messages may be stored and
        removed between two steps: those that are stored later are not found. Those that last no
        longer than until `now` by the limits are left out: `expire` is to remove them.
        """
        wanted = topic_filter.split("/")
        found = self._walk(self._top(wanted), wanted, self._serial)
        return (
            self._since(now - self._limits.default_retained_expiry, found)
            if self._stored
            else found
        )

    def _since(
        self, long_ago: float, found: Iterator[Retained | None]
    ) -> Iterator[Retained | None]:
        stored = self._stored
        for one in found:
            if one is None or stored.get(one.message.topic, math.inf) > long_ago:
                yield one

    def _walk(self, root: _Node, wanted: list[str], latest: int) -> Iterator[Retained | None]:
        last = len(wanted)
        # The nodes that are still to be visited, and how many levels of the filter they have met.
        stack: list[tuple[Iterator[_Node], int]] = [(iter((root,)), 0)]
        visited = 0
        while stack:
            nodes, depth = stack[-1]
            node = next(nodes, None)
            if node is None:
                stack.pop()
                continue
            visited += 1
            if not visited % STEP:
                yield None
            level = wanted[depth] if depth < last else None
            kept = node.kept
            # "a/#" matches "a" too.
            if kept is not None and level in (None, "#") and kept.serial <= latest:
                yield kept
            if level is None or not node.children:
                continue
            if level == "#":
                # A copy: the tree may change before they have all been visited.
                stack.append((iter(tuple(node.children.values())), depth))
            elif level == "+":
                stack.append((iter(tuple(node.children.values())), depth + 1))
            else:
                child = node.children.get(level)
                if child is not None:
                    stack.append((iter((child,)), depth + 1))


def _branch(levels: list[str]) -> int:
    """The bytes of nodes that there are not yet."""
    return NODE * len(levels) + sum(map(sys.getsizeof, levels))


def _kept(message: Publish) -> Publish:
    """A message as it is kept. Its frame is let go: it would hold the payload twice."""
    if message.frame is None and message.retain and not message.packet_id and not message.dup:
        return message
    return Publish(
        message.topic, message.payload, message.qos, retain=True, properties=message.properties
    )


def _size(message: Publish) -> int:
    """The bytes of a message as it is kept, with its topic, which often is longer than it."""
    topic = message.topic
    # A topic of one level is the name of its node, which is counted there.
    return size_of(message) + (sys.getsizeof(topic) if "/" in topic else 0)
