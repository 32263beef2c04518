"""Retained messages as all nodes have them: each in its memory, in the order of the changes.

What this node's own clients retain is kept at once, and told to the engine after that. Until the
change is seen to come back, what others have said of the topic came before it, and is passed over.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.access.authorship import Authorship
from trio_mqtt.broker.events.kinds import RetainedChanged
from trio_mqtt.broker.routing.batch import remaining_properties
from trio_mqtt.broker.sessions.kept_rows import decoded
from trio_mqtt.broker.turns import Turn
from trio_mqtt.cluster.entries import EntryError
from trio_mqtt.cluster.retained_store import decode_change, decode_row
from trio_mqtt.protocol.packets import Publish

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from trio_mqtt.broker.clustering.clock import EngineClock
    from trio_mqtt.broker.core import Core
    from trio_mqtt.cluster.retained_store import RetainedStore
    from trio_mqtt.storage.rows import RetainedRow

logger = logging.getLogger("trio_mqtt.cluster")


class RetainedEverywhere:
    """Does in this node's memory what the changes say of retained messages."""

    def __init__(self, core: Core, store: RetainedStore, clock: EngineClock) -> None:
        self._core = core
        self._store = store
        self._clock = clock
        self._node = ""
        # Topics that have changed here: in the group that is gathered, and in how many that were
        # sent and have not come back.
        self._gathered: dict[str, float] = {}  # and when, by the engine's clock
        self._sent: Counter[str] = Counter()

    # -- what changes here ----------------------------------------------------------------------

    def changed(self, topic: str) -> None:
        """A client here has retained a message, or had one removed."""
        self._gathered[topic] = trio.current_time() + self._clock.epoch

    def are_sent(self, topics: Iterable[str]) -> None:
        """A group with these is on its way."""
        for topic in topics:
            self._sent[topic] += 1
            self._gathered.pop(topic, None)

    def is_overtaken(self, topic: str, value: bytes) -> None:
        """What has changed here, while this was no node, is not kept: another has what is later,
        or, without a value, has had it removed.
        """
        self._came_back(topic)
        if self._is_changed_here(topic):
            return
        if value:
            self._take(topic, value)
        else:
            self._apply(topic, None)

    # -- what changes ---------------------------------------------------------------------------

    async def load(self, node: str) -> None:
        """Have all that there are, and nothing else, as this node.

        Raises EngineGoneError and EngineRefusedError.
        """
        self._node = node
        self._sent.clear()
        topics: set[str] = set()
        async for some in self._store.load():
            for name, value in some:
                topic = name.decode(errors="replace")
                topics.add(topic)
                if topic not in self._sent:
                    self._take(topic, value, since=self._gathered.get(topic, -math.inf))
            await trio.lowlevel.checkpoint()
        await self._keep_only(topics)

    def _take(self, topic: str, value: bytes, *, since: float = -math.inf) -> None:
        """Have what is kept, unless it is from before a time."""
        try:
            row = decode_row(topic, value)
            if row.received_at > since:
                self._apply(topic, row)
        except EntryError:
            logger.warning("The retained message of %r is damaged: it is left out.", topic)

    async def _keep_only(self, topics: Collection[str]) -> None:
        turn = Turn()
        for found in self._core.retained.all():
            topic = found.message.topic
            if topic not in topics and not self._is_changed_here(topic):
                self._apply(topic, None)
            if turn.is_over:
                await turn.give_way()

    def _is_changed_here(self, topic: str) -> bool:
        """Whether a change of this node's own comes after what was read: it stands already."""
        return topic in self._gathered or topic in self._sent

    def on_change(self, data: memoryview) -> None:
        """A node has a retained message changed."""
        node, topic, row = decode_change(data)
        if topic in self._sent:
            if node == self._node:
                self._came_back(topic)
        elif topic not in self._gathered:
            self._apply(topic, row)

    def _came_back(self, topic: str) -> None:
        """A change of this node's own is through."""
        if topic in self._sent:
            self._sent[topic] -= 1
            if self._sent[topic] <= 0:
                del self._sent[topic]

    def _apply(self, topic: str, row: RetainedRow | None) -> None:
        core, now = self._core, trio.current_time()
        author = None
        stored_at = now
        message = Publish(topic, b"", 0, True)
        if row is not None:
            stored_at = min(row.received_at - self._clock.epoch, now)
            properties = decoded(row.properties)
            if remaining_properties(properties, int(now - stored_at)) is None:
                return
            message = Publish(topic, row.payload, row.qos, True, properties=properties)
            try:
                author = None if row.author is None else Authorship.restored(row.author)
            except (ValueError, TypeError) as error:
                # Whether its author may say this, nobody can tell any more.
                raise EntryError(f"who published to {topic!r} is damaged") from error
        elif not core.retained.has(topic):
            return
        stored = core.retained.store(message, stored_at, author)
        if not stored:
            core.statistics.retained_refused += 1
        if RetainedChanged in core.event_streams.wanted:
            core.event_streams.tell(RetainedChanged(topic, row is None or not stored))
