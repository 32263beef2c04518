"""Batches on their way to other nodes and from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.cluster.entries import Travelling, decode_batch, encode_batch

if TYPE_CHECKING:
    from trio_mqtt.broker.access.permissions import Permissions
    from trio_mqtt.broker.clustering.clock import EngineClock

_MOST_AUTHORS = 10_000


class DistantAuthor:
    """A client of another node, as the author of messages."""

    __slots__ = ("client_id", "key")

    def __init__(self, client_id: str, key: str) -> None:
        self.client_id = client_id
        self.key = key

    @property
    def permissions(self) -> Permissions | None:
        """Its own node has asked the rules whether it may publish that."""
        return None


class Travel:
    """Makes of batches what travels, and the other way round."""

    def __init__(self, clock: EngineClock) -> None:
        self._clock = clock
        # The last that was packed: most go to several nodes, one after the other.
        self._packed: tuple[Batch, bytes] | None = None
        self._authors: dict[str, DistantAuthor] = {}

    def age(self, written_at: float) -> float:
        """How many seconds ago that is, which the engine's clock says of an entry."""
        return max(0.0, trio.current_time() + self._clock.epoch - written_at)

    def pack(self, batch: Batch) -> bytes:
        """A batch as the data of an item."""
        packed = self._packed
        if packed is not None and packed[0] is batch:
            return packed[1]
        sender = batch.sender
        client_id, mount_point = None, ""
        if sender is not None:
            client_id, _, mount_point = sender.key.partition("\0")
        data = encode_batch(
            Travelling(
                batch.content,
                batch.is_v5,
                batch.received_at + self._clock.epoch,
                client_id,
                mount_point,
                batch.retained,
            )
        )
        self._packed = batch, data
        return data

    def forget(self) -> None:
        """What was packed goes to no further node."""
        self._packed = None

    def unpack(self, data: memoryview | bytes, now: float) -> Batch:
        """The batch of an item, as it came to its node. Raises EntryError where it is damaged."""
        return self.batch_of(decode_batch(data), now)

    def batch_of(self, travelling: Travelling, now: float) -> Batch:
        """The batch that was travelling."""
        content, is_v5, received_at, client_id, mount_point, retained = travelling
        author = None
        if client_id is not None:
            key = f"{client_id}\0{mount_point}" if mount_point else client_id
            author = self._authors.get(key)
            if author is None:
                if len(self._authors) >= _MOST_AUTHORS:
                    self._authors.clear()
                author = self._authors[key] = DistantAuthor(client_id, key)
        return Batch(
            content,
            sender=author,
            is_v5=is_v5,
            received_at=min(received_at - self._clock.epoch, now),
            retained=retained,
        )
