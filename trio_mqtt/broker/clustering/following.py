"""What the stream of changes says, done in its order; and all that it led to, read at the start."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import trio

from trio_mqtt.cluster.changes import INTERESTS, decode_interests
from trio_mqtt.cluster.engine.calls import EngineGoneError
from trio_mqtt.cluster.entries import EntryError, decode_entry
from trio_mqtt.cluster.items import APPLIED, encode_numbered

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.others import Others
    from trio_mqtt.cluster.changes import Changes
    from trio_mqtt.cluster.engine.engine import Engine

logger = logging.getLogger("trio_mqtt.cluster")

Handler: TypeAlias = Callable[[memoryview], None]

_AT_ONCE = 256  # changes of one read
_BLOCK = 5.0  # seconds that one read waits


class Following:
    """Follows the changes. `handlers` have what is done with items, by their kind, at once."""

    def __init__(self, engine: Engine, changes: Changes, others: Others, node: str) -> None:
        self._engine = engine
        self._changes = changes
        self._others = others
        self._node = node
        self.handlers: dict[int, Handler] = {INTERESTS: self._on_interests}
        # Who waits to hear that this node knows of something.
        self._askers: set[str] = set()
        self.damaged = 0

    async def load(self, nodes: set[str]) -> None:
        """Read what all living nodes want, and go on from there.

        Raises EngineGoneError and EngineRefusedError.
        """
        await self._changes.find_end()
        for node in sorted(nodes - {self._node}):
            other = self._others.known(node)
            if other is not None:
                key = self._engine.keys.of_node(node, "interest")
                fields = await self._changes.hash(key)
                interests = {name.decode(): int(value) for name, value in fields.items()}
                self._others.want_only(other, interests)

    async def run(self) -> None:
        """Do what changes, until cancelled."""
        while True:
            try:
                entries = await self._changes.read(count=_AT_ONCE, block=_BLOCK)
                if entries is None:
                    await self._catch_up()
                    continue
            except EngineGoneError:
                await self._engine.wait_returned()
                continue
            for entry in entries:
                self._take(entry)
                await trio.lowlevel.checkpoint()
            self._answer()

    async def _catch_up(self) -> None:
        """Some changes are gone before this node has read them: see what they led to."""
        logger.warning("This node missed changes of the cluster, and reads all of them anew.")
        await self.load({other.node for other in self._others.all()})
        self._askers.update(other.node for other in self._others.all())
        self._answer()

    def _take(self, entry: bytes) -> None:
        try:
            for kind, data in decode_entry(entry):
                handler = self.handlers.get(kind)
                if handler is not None:
                    handler(data)
        except EntryError as error:
            self.damaged += 1
            if self.damaged == 1:
                logger.warning("A change of the cluster is none, and left out: %s", error)

    def _on_interests(self, data: memoryview) -> None:
        node, interests = decode_interests(data)
        if node == self._node:
            return
        other = self._others.known(node)
        if other is not None:
            self._others.want(other, interests)
            self._askers.add(node)

    def _answer(self) -> None:
        """Tell those who wait for it how far this node is."""
        for node in self._askers:
            other = self._others.get(node)
            if other is not None:
                other.tell(APPLIED, encode_numbered(self._node, self._changes.number))
        self._askers.clear()
