"""What comes by this node's inbox, handed to whom it is for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import trio

from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.cluster.engine.calls import EngineGoneError, EngineRefusedError
from trio_mqtt.cluster.entries import EntryError, decode_entry
from trio_mqtt.cluster.items import BATCH, SHARED, SOURCE, decode_numbered, decode_shared

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.travelling import Travel
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.inbox import Inbox

Handler: TypeAlias = Callable[[memoryview], None]

logger = logging.getLogger("trio_mqtt.cluster")

_AT_ONCE = 16  # entries of one read
_TOGETHER = 32 * 1024  # bytes of entries of which what comes from logs leaves together
_BLOCK = 5.0  # seconds that one read waits
_MOVES_ON = 10.0  # seconds that a message looks for a node that has members
_A_LOOK = 0.001  # and one of an inbox to which nobody writes any more
_MOST_NODES = 1_000  # of which is remembered what came last, also when they are gone


class Arrivals:
    """Reads the inbox. `handlers` have what is done with items, by their kind, at once."""

    def __init__(
        self,
        core: Core,
        engine: Engine,
        travel: Travel,
        give_up: Callable[[EngineRefusedError], None],
    ) -> None:
        self._core = core
        self._give_up = give_up
        self._engine = engine
        # The inbox that is read, and what is read after that: this process is another node then.
        self._inbox: Inbox | None = None
        self._next: Inbox | None = None
        self._reading = trio.CancelScope()
        self._travel = travel
        self.handlers: dict[int, Handler] = {BATCH: self._on_batch, SHARED: self._on_shared}
        # The number of the last promised entry of each node: a later one may be one again.
        self._last: dict[str, int] = {}
        self._told = trio.Event()
        self.damaged = 0
        self.lag = 0.0  # seconds that the last entry had waited when it was read
        # What several entries bring from logs leaves together: told before them, and after.
        self.gather: Callable[[], None] = _nothing
        self.let_go: Callable[[], None] = _nothing
        # Who hands messages to durable sessions that get them without a log.
        self.direct: Callable[[Batch], None] | None = None

    def read(self, inbox: Inbox) -> None:
        """From now on read another inbox; what there is in the one before comes first."""
        self._next = inbox
        self._reading.cancel()

    async def run(self) -> None:
        """Do what comes, one entry after the other, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._make_room)
            while True:
                if self._inbox is None and self._next is None:
                    with trio.CancelScope() as self._reading:
                        await trio.sleep_forever()
                    continue
                try:
                    await self._read_on()
                except EngineGoneError:
                    await self._engine.wait_returned()
                except EngineRefusedError as error:
                    # What is there cannot be read: this process reads on as another node.
                    self._inbox = None
                    self._give_up(error)

    async def _read_on(self) -> None:
        """Do what comes next."""
        if self._inbox is None:
            self._inbox, self._next = self._next, None
            return
        is_last = self._next is not None
        with trio.CancelScope() as self._reading:
            block = _A_LOOK if is_last else _BLOCK
            entries = await self._inbox.read(count=_AT_ONCE, block=block)
        if self._reading.cancelled_caught:
            return
        if is_last and not entries:
            self._inbox = None
            return
        self.lag = self._travel.age(self._inbox.last_at) if entries else 0.0
        if self._inbox.is_worth_telling:
            self._told.set()
        spreading = self._core.router.spreading
        size = 0
        for left, entry in zip(range(len(entries) - 1, -1, -1), entries, strict=True):
            if left and not size:
                self.gather()
            self._take(entry)
            size += len(entry)
            if not left or size >= _TOGETHER:
                self.let_go()
                size = 0
            await trio.lowlevel.checkpoint()  # others have something to send too
            while spreading.under_way:
                await spreading.passed(next(iter(spreading.under_way)))

    async def _make_room(self) -> None:
        """Give back the place of what was read, beside reading on."""
        while True:
            self._told = trio.Event()
            await self._told.wait()
            if self._inbox is not None:
                with suppress(EngineGoneError, EngineRefusedError):
                    await self._inbox.taken()

    def _take(self, entry: bytes) -> None:
        try:
            for kind, data in decode_entry(entry):
                if kind == SOURCE:
                    node, number = decode_numbered(data)
                    if number <= self._last.get(node, 0):
                        return  # it has come before
                    self._last[node] = number
                    if len(self._last) > _MOST_NODES:
                        del self._last[next(iter(self._last))]
                    continue
                handler = self.handlers.get(kind)
                if handler is not None:
                    handler(data)
        except EntryError as error:
            self._damaged(error)

    def _damaged(self, error: EntryError) -> None:
        self.damaged += 1
        if self.damaged == 1:
            logger.warning("Something in this node's inbox is no entry, and left out: %s", error)

    def _on_batch(self, data: memoryview) -> None:
        batch = self._travel.unpack(data, trio.current_time())
        self._core.router.publish_here(batch)
        if self.direct is not None:
            self.direct(batch)

    def _on_shared(self, data: memoryview) -> None:
        text, data = decode_shared(data)
        now = trio.current_time()
        batch = self._travel.unpack(data, now)
        shared_filter = TopicFilter(text)
        if self._core.router.share_here(shared_filter, batch):
            return
        # Its last member here has gone meanwhile: others may have it, as far as this node knows.
        if now - batch.received_at < _MOVES_ON:
            self._core.router.share(shared_filter, batch)
        else:
            self._core.statistics.messages_dropped += batch.count


def _nothing() -> None:
    """Nobody follows a log."""
