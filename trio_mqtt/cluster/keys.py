"""How all that a cluster keeps in its engine is called, and which of it lies together.

What stands between the first braces of a key decides the slot, and so the master that it lies on
where the engine is a Redis Cluster: no script, and no read, goes over two of them. What all nodes
share lies in the slot of `{NAME}`; each node, topic filter and client has one of its own.

A filter or a client identifier may itself have a closing brace. Then what decides ends there, for
all keys of that filter or client alike: they still lie together, and none is that of another, as
each ends with `}:` and its own word.
"""

from __future__ import annotations


class Keys:
    """The keys of the cluster of one name."""

    __slots__ = ("_name", "changes", "changes_number", "durable", "nodes", "retained", "seen")

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self.nodes = self.shared("nodes")
        """A sorted set: nodes, by the end of their lease, in milliseconds of the engine's clock."""
        self.seen = self.shared("seen")
        """When the last of them was here, by the same clock."""
        self.changes = self.shared("changes")
        """A stream: what nodes are interested in, and retained messages, as they change."""
        self.changes_number = self.shared("changes-number")
        """How many changes there were."""
        self.durable = self.shared("durable")
        """A hash: topic filters that durable sessions have."""
        self.retained = self.shared("retained")
        """A hash: retained messages, by topic."""

    def shared(self, word: str) -> bytes:
        """A key in the slot of what all nodes share."""
        return b"{%b}:%b" % (self._name, word.encode())

    def of_node(self, node: str, word: str) -> bytes:
        """A key that belongs to one node and lies with what all share."""
        return b"{%b}:%b:%b" % (self._name, word.encode(), node.encode())

    def inbox(self, node: str) -> bytes:
        """The stream of what others have for a node, in a slot of its own."""
        return b"{%b/n/%b}:inbox" % (self._name, node.encode())

    def node_sessions(self, node: str) -> bytes:
        """The set of the sessions that a node has, in the slot of its inbox."""
        return b"{%b/n/%b}:sessions" % (self._name, node.encode())

    def floors(self, node: str) -> bytes:
        """A hash: up to where all is over in logs, for the sessions here that keep up with them."""
        return b"{%b/n/%b}:floors" % (self._name, node.encode())

    def inbox_figures(self, node: str) -> bytes:
        """How much was written there and read."""
        return b"{%b/n/%b}:figures" % (self._name, node.encode())

    def of_holder(self, holder: str) -> bytes:
        """The set of the sessions of one user, or address, that no node has."""
        return b"{%b/h/%b}:sessions" % (self._name, holder.encode())

    def of_filter(self, topic_filter: str, word: str) -> bytes:
        """A key in the slot of a topic filter; those of a shared one begin `$share/NAME/`."""
        return b"{%b/f/%b}:%b" % (self._name, topic_filter.encode(), word.encode())

    def of_client(self, client_id: str, word: str) -> bytes:
        """A key in the slot of a client."""
        return b"{%b/c/%b}:%b" % (self._name, client_id.encode(), word.encode())
