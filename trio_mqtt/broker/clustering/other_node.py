"""Another node: the recipient that passes messages on to it, and what is on its way there."""

from __future__ import annotations

import logging
import math
from collections import deque
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.clustering.nobody import Nobody
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.broker.routing.target import Target
from trio_mqtt.cluster.engine.calls import EngineGoneError, EngineRefusedError, as_sentence
from trio_mqtt.cluster.entries import ITEM, encode_entry
from trio_mqtt.cluster.items import BATCH, COPY, MISSED, SHARED, encode_shared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.clustering.travelling import Travel
    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.broker.statistics import Statistics
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.inbox import Inboxes

# Bytes of one entry, from which on the next is begun, and of all that waits for a node whose
# engine does not take it: beyond that, messages of QoS 0 are dropped.
ENTRY = 256 * 1024
WAITING = 16 * 1024 * 1024
_REFUSED = 1.0  # seconds until news that were refused are written again
_TELLS_AGAIN = 60.0  # seconds after which it is told again that messages are dropped

logger = logging.getLogger("trio_mqtt.cluster")


class _Quiet:
    """A node that wants of some filters what is of QoS 0 alone."""

    __slots__ = ("_other", "serial", "session", "target", "topic_filter")

    def __init__(self, other: OtherNode) -> None:
        self._other = other
        self.session = other.session
        self.topic_filter = other.topic_filter
        self.target = Target(self, 0, True, (), False)
        self.serial = 0

    def offer(self, target: Target, batch: Batch) -> None:
        """Take a batch that its clients want."""
        self._other.offer_quietly(batch)

    def begin_sending(self) -> int:
        """Nothing of it waits for others to begin."""
        return 0

    def has_room_for(self, count: int, size: int) -> bool:
        """Whether as much can wait for it."""
        return self._other.has_room_for(count, size)


class OtherNode:
    """A living node: what its clients want reaches it by its inbox, in order.

    What is of QoS 0 leaves at once, all that waits together; what clients are promised goes with
    the journal's group, so that acknowledgements wait for it.
    """

    def __init__(
        self,
        node: str,
        engine: Engine,
        inboxes: Inboxes,
        journal: ClusterJournal,
        travel: Travel,
        statistics: Statistics,
    ) -> None:
        self.node = node
        self.session = Nobody(node, journal)
        self.topic_filter = TopicFilter("#")  # it has as many as its clients want
        self.target = Target(self, 2, True, (), False)
        self.serial = 0
        # What its clients want: plain filters, and how many share which.
        self.filters: dict[str, TopicFilter] = {}
        # Filters of which it wants what is of QoS 0, and copies of what is added to their logs.
        self.logged: dict[str, TopicFilter] = {}
        self.quiet = _Quiet(self)
        self._missed: dict[str, None] = {}
        self._engine = engine
        self._inboxes = inboxes
        self._journal = journal
        self._travel = travel
        self._statistics = statistics
        # Items that leave next, with how many messages are in each.
        self._items: deque[tuple[int, bytes, int]] = deque()
        self._waiting = 0  # bytes of them
        self._copies: deque[str] = deque()  # the filters of those that are copies of logs
        self._news: list[tuple[int, bytes]] = []  # items that are not dropped
        self._wake = trio.Event()
        self.dropped = 0
        self._told = 0  # of those that were dropped
        self._tells_at = -math.inf
        self._was_refused = False  # what it was told last, which has been said
        self.known_since = trio.current_time()
        self.was_seen = False  # among those that are alive
        self.is_gone = False  # for good: what is for it then, is for nobody

    # -- as a recipient -------------------------------------------------------------------------

    def offer(self, target: Target, batch: Batch) -> None:
        """Take a batch that its clients want."""
        if self.is_gone:
            return
        above = batch.above_qos_0
        if not above:
            self._pass_on(BATCH, self._travel.pack(batch), batch.count)
            return
        if above < batch.count:
            # In two parts: what is of QoS 0 stays in order with what comes later of that.
            messages = batch.messages
            self.offer(target, batch.part([one for one in messages if not one.qos]))
            batch = batch.part([one for one in messages if one.qos])
        self._journal.forward(self.node, BATCH, self._travel.pack(batch), batch.count)

    def share(self, shared_filter: TopicFilter, batch: Batch) -> None:
        """Take messages for those of its clients that share `$share/NAME/FILTER`."""
        if self.is_gone:
            return
        data = encode_shared(shared_filter.text, self._travel.pack(batch))
        if batch.highest_qos:
            self._journal.forward(self.node, SHARED, data, batch.count)
        else:
            self._pass_on(SHARED, data, batch.count)

    def offer_quietly(self, batch: Batch) -> None:
        """Take a batch of which its clients want what is of QoS 0: the rest comes by logs."""
        if batch.above_qos_0 < batch.count:
            if batch.highest_qos:
                batch = batch.part([one for one in batch.messages if not one.qos])
            self._pass_on(BATCH, self._travel.pack(batch), batch.count)

    def begin_sending(self) -> int:
        """Nothing of it waits for others to begin."""
        return 0

    def has_room_for(self, count: int, size: int) -> bool:
        """Whether as much can wait for it."""
        return self._waiting + size <= WAITING

    def copy(self, data: bytes, topic_filter: str) -> None:
        """Send it an entry that was added to a log; or, if there is no room, that it missed one."""
        if self._waiting + len(data) > WAITING:
            self._has_missed([topic_filter])
            return
        self._copies.append(topic_filter)
        self._put(COPY, data, 0)

    def _has_missed(self, topic_filters: Sequence[str]) -> None:
        if topic_filters:
            self._missed.update(dict.fromkeys(topic_filters))
            self._wake.set()

    # -- what is on its way ---------------------------------------------------------------------

    def tell(self, kind: int, data: bytes) -> None:
        """Send it an item that is not dropped, however full its inbox is."""
        self._news.append((kind, data))
        self._wake.set()

    def _pass_on(self, kind: int, data: bytes, count: int) -> None:
        if self.is_gone:
            return
        if self._waiting + len(data) > WAITING:
            self.drop(count)
            return
        self._put(kind, data, count)

    def _put(self, kind: int, data: bytes, count: int) -> None:
        self._items.append((kind, data, count))
        self._waiting += len(data)
        self._wake.set()

    def drop(self, count: int) -> None:
        """So many messages for its clients do not reach it: that is counted, and told."""
        if not count:
            return
        self.dropped += count
        self._statistics.messages_dropped += count
        now = trio.current_time()
        if now >= self._tells_at:
            self._tells_at = now + _TELLS_AGAIN
            untold, self._told = self.dropped - self._told, self.dropped
            logger.warning(
                "Messages for clients of the node %s were dropped, %s by now: it reads, or the"
                " engine takes, less than is published.",
                self.node,
                f"{untold:,}",
            )

    async def run(self) -> None:
        """Write for it what waits, one entry after the other, until cancelled."""
        while True:
            if self._missed and not self._items:
                # After what had no room: then there is some again, or it asks for nothing more.
                missed, self._missed = self._missed, {}
                self._news.append((MISSED, "\0".join(missed).encode()))
            if self._news:
                await self._write_news()
            elif self._items:
                await self._write_items()
            else:
                self._wake = trio.Event()
                await self._wake.wait()

    async def _write_news(self) -> None:
        news = self._news
        call = self._inboxes.call(self.node, encode_entry(news), is_bounded=False)
        self._news = []
        try:
            (reply,) = await self._engine.all([call])
        except EngineGoneError:
            self._news[:0] = news  # what comes twice does no harm
            await self._engine.wait_returned()
            return
        if isinstance(reply, EngineRefusedError):
            # Others wait for it: while that node lives, it is tried again.
            self._news[:0] = news
            if not self._was_refused:
                self._was_refused = True
                logger.warning(
                    "The engine takes nothing for the node %s: %s", self.node, as_sentence(reply)
                )
            await trio.sleep(_REFUSED)
        else:
            self._was_refused = False

    async def _write_items(self) -> None:
        """Write what waits now, as much as fits in an entry."""
        items: list[tuple[int, bytes]] = []
        copies: list[str] = []
        count = size = 0
        self._travel.forget()
        while self._items and size < ENTRY:
            kind, data, messages = self._items.popleft()
            items.append((kind, data))
            if kind == COPY:
                copies.append(self._copies.popleft())
            size += len(data) + ITEM.size
            count += messages
            self._waiting -= len(data)
        call = self._inboxes.call(self.node, encode_entry(items))
        try:
            (reply,) = await self._engine.all([call])
        except EngineGoneError:
            self.drop(count)
            self._has_missed(copies)
            return
        if reply == 0 or isinstance(reply, EngineRefusedError):
            self.drop(count)
            self._has_missed(copies)
