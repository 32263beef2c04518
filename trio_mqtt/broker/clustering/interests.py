"""What this node's clients want, told to all others, and when they know it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.promises import Awaited
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.cluster.changes import INTERESTS, encode_interests
from trio_mqtt.cluster.engine.calls import EngineFencedError, EngineGoneError, EngineRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from trio_mqtt.cluster.changes import Changes
    from trio_mqtt.cluster.engine.engine import Engine

_AT_ONCE = 1_000  # interests that one change tells
_PAUSE = 0.1  # seconds until a change that was refused is tried again
OWN = "$SYS/"  # topics that each node has of its own begin with this


class _Telling:
    """A change of this node that not all others are known to have done."""

    __slots__ = ("awaited", "nodes", "number", "since")

    def __init__(self, awaited: list[Awaited], number: int, nodes: set[str]) -> None:
        self.awaited = awaited
        self.number = number
        self.nodes = nodes
        self.since = trio.current_time()


class Interests:
    """Counts what is wanted here, and tells the others of what is new and what is over."""

    def __init__(
        self,
        engine: Engine,
        changes: Changes,
        doubt: Callable[[], None],
        give_up: Callable[[EngineRefusedError], None] = lambda _error: None,
    ) -> None:
        self._engine = engine
        self._changes = changes
        self._doubt = doubt
        self._give_up = give_up
        self._node = ""
        self._is_node = trio.Event()
        self._counts: dict[str, int] = {}
        self._changed: dict[str, int] = {}
        self._next: Awaited | None = None  # with what has changed and is not told yet
        self._last: Awaited | None = None  # with what was told last
        self._telling: list[_Telling] = []
        # What is to be known with what is told next: it was told by the node before.
        self._left_over: list[Awaited] = []
        self._applied: dict[str, int] = {}
        self._wake = trio.Event()

    def be(self, node: str) -> None:
        """From now on this process is this node: all that is wanted here is told anew."""
        self.be_none()
        self._node = node
        self._changed = {
            text: count for text, count in self._counts.items() if not _is_own(TopicFilter(text))
        }
        if not self._changed:  # nothing is left that anybody could wait for
            if self._next is not None:
                self._left_over.append(self._next)
                self._next = None
            self._end(self._left_over)
        self._is_node.set()
        self._wake.set()

    def be_none(self) -> None:
        """This process is no node: what is to be known waits until it is one again."""
        self._node = ""
        if self._is_node.is_set():  # else somebody may wait for it
            self._is_node = trio.Event()
        for one in self._telling:
            self._left_over += one.awaited
        self._telling.clear()
        self._applied.clear()

    def add(self, topic_filter: TopicFilter) -> None:
        """One more here wants a filter."""
        text = topic_filter.text
        count = self._counts.get(text, 0) + 1
        self._counts[text] = count
        if (count == 1 or topic_filter.share) and not _is_own(topic_filter):
            self._change(text, count)

    def discard(self, topic_filter: TopicFilter) -> None:
        """One less wants it."""
        text = topic_filter.text
        count = self._counts.get(text, 0) - 1
        if count > 0:
            self._counts[text] = count
        else:
            self._counts.pop(text, None)
        if (count <= 0 or topic_filter.share) and not _is_own(topic_filter):
            self._change(text, max(count, 0))

    def known(self) -> Awaited | None:
        """What is over once all living nodes know what is wanted here now; None if they do."""
        if self._changed:
            if self._next is None:
                self._next = Awaited()
            return self._next
        last = self._last
        return None if last is None or last.is_over else last

    def _change(self, text: str, count: int) -> None:
        self._changed[text] = count
        self._wake.set()

    async def run(self) -> None:
        """Tell what changes, all that has changed together, until cancelled."""
        while True:
            if not self._changed:
                self._wake = trio.Event()
                await self._wake.wait()
            await self._is_node.wait()
            if self._node and self._changed:
                await self._tell(*self._some())

    def _some(self) -> tuple[dict[str, int], bool]:
        """What is told next, as much as goes in a change; whether that is all of it."""
        if len(self._changed) <= _AT_ONCE:
            changed, self._changed = self._changed, {}
            if self._next is not None:
                self._last, self._next = self._next, None
            else:
                self._last = Awaited()
            self._left_over.append(self._last)
            return changed, True
        # Whoever waits for some of it waits for all.
        names = list(self._changed)[:_AT_ONCE]
        return {name: self._changed.pop(name) for name in names}, False

    async def _tell(self, changed: dict[str, int], is_all: bool) -> None:
        """Tell all nodes; nothing, once this process is another, which tells all of it anew."""
        node = self._node
        key = self._engine.keys.of_node(node, "interest")
        fields = {text.encode(): b"%d" % count if count else b"" for text, count in changed.items()}
        items = [(INTERESTS, encode_interests(node, changed))]
        while self._node == node:
            try:
                number, nodes = await self._changes.make(key, fields, items)
            except EngineGoneError:
                await self._engine.wait_returned()
            except EngineFencedError:
                # Its lease has ended; or has not, where that came as it was renewed.
                self._doubt()
                await trio.sleep(_PAUSE)
            except EngineRefusedError as error:
                self._give_up(error)
                await trio.sleep(_PAUSE)
            else:
                break
        if self._node != node:
            return
        others = {one for one in nodes if one != node and self._applied.get(one, 0) < number}
        awaited: list[Awaited] = []
        if is_all:
            awaited, self._left_over = self._left_over, awaited
        self._telling.append(_Telling(awaited, number, others))
        self._end_what_is_over()

    def applied(self, node: str, number: int) -> None:
        """A node has done what the changes say, up to this one."""
        self._applied[node] = number
        self._no_longer_waits_for(node, number)

    def forget(self, node: str) -> None:
        """A node is gone, and not waited for any more."""
        self._applied.pop(node, None)
        self._no_longer_waits_for(node)

    def forget_who_is_not(self, alive: Collection[str], lease: float) -> None:
        """Wait no more for nodes that are dead. One may have joined since `alive` was looked at,
        which is within the time of a lease.
        """
        now = trio.current_time()
        for one in self._telling:
            if now > one.since + lease:
                one.nodes.intersection_update(alive)
        self._end_what_is_over()

    def _no_longer_waits_for(self, node: str, number: int | None = None) -> None:
        for one in self._telling:
            if number is None or one.number <= number:
                one.nodes.discard(node)
        self._end_what_is_over()

    def _end_what_is_over(self) -> None:
        """What was told first is over first."""
        while self._telling and not self._telling[0].nodes:
            self._end(self._telling.pop(0).awaited)

    @staticmethod
    def _end(several: list[Awaited]) -> None:
        for awaited in several:
            awaited.end()
        several.clear()


def _is_own(topic_filter: TopicFilter) -> bool:
    """Whether each node has such topics of its own."""
    return topic_filter.plain.startswith(OWN)
