"""The other nodes of the cluster, as far as they are known, and what their clients want."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.clustering.other_node import OtherNode
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.cluster.changes import QOS_0

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from trio_mqtt.broker.core import Core


_SHARED = "$share/", QOS_0 + "$share/"
_MOST_GONE = 10_000  # nodes


class Others:
    """Makes the others known to the router, and gives each a task that writes for it."""

    def __init__(self, core: Core, make: Callable[[str], OtherNode], lease: float) -> None:
        self._lease = lease
        self._core = core
        self._make = make
        self._nodes: dict[str, OtherNode] = {}
        self._writers: dict[str, trio.CancelScope] = {}
        self._nursery: trio.Nursery | None = None
        # Those that are gone for good: what is read of them later is old.
        self._gone: dict[str, None] = {}

    def be(self, node: str) -> None:
        """From now on this process is this node, beside the others."""
        self._core.router.index.nearness.name = node

    def all(self) -> list[OtherNode]:
        """Those that are known now."""
        return list(self._nodes.values())

    def get(self, node: str) -> OtherNode | None:
        """A node by its identifier; None if it is gone, or never was."""
        return self._nodes.get(node)

    def known(self, node: str) -> OtherNode | None:
        """A node by its identifier, which may be a new one; None if it is gone."""
        other = self._nodes.get(node)
        if other is None and node not in self._gone:
            other = self._nodes[node] = self._make(node)
            if self._nursery is not None:
                self._nursery.start_soon(self._write, other)
        return other

    def forget(self, node: str) -> None:
        """A node is gone: nobody there is reached any more."""
        self._gone[node] = None
        if len(self._gone) > _MOST_GONE:
            del self._gone[next(iter(self._gone))]
        other = self._nodes.pop(node, None)
        if other is not None:
            other.is_gone = True
            self._core.checks.add(self.want_no_more(other, ()))
        writer = self._writers.pop(node, None)
        if writer is not None:
            writer.cancel()

    def are_alive(self, nodes: Collection[str]) -> None:
        """The engine has just said so: whoever was taken for dead here is not."""
        for node in nodes:
            self._gone.pop(node, None)

    def not_among(self, alive: Collection[str]) -> list[str]:
        """Those that are not alive any more.

        One that was never seen alive, as it has come just now, has the time of a lease to be.
        """
        now = trio.current_time()
        for node in alive:
            if node in self._nodes:
                self._nodes[node].was_seen = True
        return [
            other.node
            for other in self._nodes.values()
            if other.node not in alive and (other.was_seen or now > other.known_since + self._lease)
        ]

    def want(self, other: OtherNode, interests: Mapping[str, int]) -> None:
        """A node's clients want this from now on: filters, with how many share each; 0 is none."""
        router = self._core.router
        for text, count in interests.items():
            if text.startswith(QOS_0):
                self._want_quietly(other, text[1:], is_wanted=bool(count))
                continue
            topic_filter = other.filters.get(text)
            if topic_filter is None:
                if not count:
                    continue
                topic_filter = other.filters[text] = TopicFilter(text)
            if not count:
                del other.filters[text]
            if topic_filter.share:
                router.index.share_elsewhere(topic_filter, other, count)
            elif count:
                router.index.add_elsewhere(topic_filter, other)
            else:
                router.index.remove_elsewhere(topic_filter, other)

    def _want_quietly(self, other: OtherNode, text: str, *, is_wanted: bool) -> None:
        """A node's clients want of a filter what is of QoS 0; the rest comes by its log."""
        topic_filter = other.logged.get(text) or TopicFilter(text)
        if topic_filter.share:
            # It has members of a group, which hear that there is something in its log.
            if is_wanted:
                other.logged[text] = topic_filter
            else:
                other.logged.pop(text, None)
        elif is_wanted:
            other.logged[text] = topic_filter
            self._core.router.index.add_elsewhere(topic_filter, other.quiet)
        elif text in other.logged:
            self._core.router.index.remove_elsewhere(other.logged.pop(text), other.quiet)

    def want_no_more(self, other: OtherNode, than: Collection[str]) -> Iterator[None]:
        """A node's clients want nothing else than this: a step for each that is over."""
        known = [*other.filters, *(QOS_0 + text for text in other.logged)]
        # What is shared goes to others at once.
        known.sort(key=lambda text: not text.startswith(_SHARED))
        for text in known:
            if text not in than:
                self.want(other, {text: 0})
                yield

    async def run(self) -> None:
        """Write for all of them, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            for other in self._nodes.values():
                self._nursery.start_soon(self._write, other)
            await trio.sleep_forever()

    async def _write(self, other: OtherNode) -> None:
        with trio.CancelScope() as scope:
            self._writers[other.node] = scope
            if not other.is_gone:
                await other.run()
        self._writers.pop(other.node, None)
