"""What comes by this node's inbox, handed to whom it is for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import trio

from trio_mqtt.cluster.engine.calls import EngineGoneError
from trio_mqtt.cluster.entries import EntryError, decode_entry
from trio_mqtt.cluster.items import BATCH, SOURCE, decode_numbered

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.travelling import Travel
    from trio_mqtt.broker.core import Core
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.inbox import Inbox

Handler: TypeAlias = Callable[[memoryview], None]

logger = logging.getLogger("trio_mqtt.cluster")

_AT_ONCE = 16  # entries of one read
_BLOCK = 5.0  # seconds that one read waits


class Arrivals:
    """Reads the inbox. `handlers` have what is done with items, by their kind, at once."""

    def __init__(self, core: Core, engine: Engine, inbox: Inbox, travel: Travel) -> None:
        self._core = core
        self._engine = engine
        self._inbox = inbox
        self._travel = travel
        self.handlers: dict[int, Handler] = {BATCH: self._on_batch}
        # The number of the last promised entry of each node: a later one may be one again.
        self._last: dict[str, int] = {}
        self._told = trio.Event()
        self.damaged = 0

    async def run(self) -> None:
        """Do what comes, one entry after the other, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._make_room)
            spreading = self._core.router.spreading
            while True:
                try:
                    entries = await self._inbox.read(count=_AT_ONCE, block=_BLOCK)
                except EngineGoneError:
                    await self._engine.wait_returned()
                    continue
                if self._inbox.is_worth_telling:
                    self._told.set()
                for entry in entries:
                    self._take(entry)
                    await trio.lowlevel.checkpoint()  # others have something to send too
                    while spreading.under_way:
                        await spreading.passed(next(iter(spreading.under_way)))

    async def _make_room(self) -> None:
        """Give back the place of what was read, beside reading on."""
        while True:
            self._told = trio.Event()
            await self._told.wait()
            try:
                await self._inbox.taken()
            except EngineGoneError:
                await self._engine.wait_returned()

    def _take(self, entry: bytes) -> None:
        try:
            for kind, data in decode_entry(entry):
                if kind == SOURCE:
                    node, number = decode_numbered(data)
                    if number <= self._last.get(node, 0):
                        return  # it has come before
                    self._last[node] = number
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

    def forget(self, node: str) -> None:
        """A node is gone for good."""
        self._last.pop(node, None)
