"""Which processes of an engine take writes, and for which keys."""

from __future__ import annotations

from array import array
from binascii import crc_hqx
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from coredis.exceptions import RedisError

from trio_mqtt.cluster.engine.addresses import EngineAddress, Kind, Place
from trio_mqtt.cluster.engine.calls import Call, EngineGoneError, EngineUnfitError
from trio_mqtt.cluster.engine.connection import Connection
from trio_mqtt.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio_mqtt.cluster.engine.connecting import Connector

SLOTS = 16_384

T = TypeVar("T")


def slot_of(key: bytes) -> int:
    """The slot of a key: what stands in its first braces decides, if anything does."""
    start = key.find(b"{") + 1
    if start:
        end = key.find(b"}", start)
        if end > start:
            key = key[start:end]
    return crc_hqx(key, 0) % SLOTS


@dataclass(slots=True)
class Masters:
    """The masters, and which of them has each slot; one alone has all."""

    places: list[Place]
    slots: array[int] | None = None

    def place(self, key: bytes | None) -> Place:
        """The master of a key, or of one that does not matter."""
        if self.slots is None or key is None:
            return self.places[0]
        return self.places[self.slots[slot_of(key)]]

    def move(self, slot: int, place: Place) -> None:
        """A slot is elsewhere now."""
        if place not in self.places:
            self.places.append(place)
        if self.slots is not None:
            self.slots[slot] = self.places.index(place)


async def find_masters(connector: Connector, address: EngineAddress) -> Masters:
    """Ask who the masters are, where the URL does not say it.

    Raises EngineGoneError where nobody can say it now, and EngineUnfitError where it cannot be.
    """
    if address.kind is Kind.SENTINEL:
        return Masters(
            [await _asked(address, lambda place: _of_sentinel(connector, address, place))]
        )
    if address.kind is Kind.CLUSTER:
        return await _asked(address, lambda place: _of_cluster(connector, place))
    return Masters(list(address.places))


async def _asked(address: EngineAddress, ask: Callable[[Place], Awaitable[T]]) -> T:
    """What the first says that can be reached."""
    why: EngineError | None = None
    for place in address.places:
        try:
            return await ask(place)
        except EngineGoneError as error:
            why = why or error
    more = len(address.places) - 1
    others = f" Nor can {more} more of it." if more else ""
    raise EngineGoneError(f"{why}{others}")


async def _of_sentinel(connector: Connector, address: EngineAddress, place: Place) -> Place:
    with await connector.connect_sentinel(place) as sentinel:
        answer = await primary_of(sentinel, address.service)
    if answer is None:
        raise EngineUnfitError(
            f"The Sentinel at {place} knows no engine that is called {address.service!r}: its"
            " configuration says what it watches, sentinel monitor NAME HOST PORT QUORUM."
        )
    return answer


async def primary_of(sentinel: Connection, service: str) -> Place | None:
    """The master as a Sentinel knows it; None if it does not know the name."""
    (answer,) = await sentinel.ask(Call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service))
    if isinstance(answer, RedisError):
        raise EngineUnfitError(f"{sentinel.where} is no Sentinel, or does not answer: {answer}.")
    return Place(answer[0].decode(), int(answer[1])) if answer else None


async def _of_cluster(connector: Connector, place: Place) -> Masters:
    with await connector.connect(place) as connection:
        (answer,) = await connection.ask(Call("CLUSTER", "SLOTS"))
    if isinstance(answer, RedisError):
        raise EngineUnfitError(
            f"The engine at {place} is no part of a Redis Cluster: its address reads"
            " redis://HOST:PORT/DATABASE."
        )
    masters = Masters([], array("H", [0]) * SLOTS)
    found = 0
    for first, last, (host, port, *_), *_ in answer:
        for slot in range(first, last + 1):
            masters.move(slot, Place(host.decode() if host else place.host, port))
        found += last + 1 - first
    if found < SLOTS:
        raise EngineGoneError(
            f"The engine at {place} knows no master of {SLOTS - found} of its {SLOTS} slots."
        )
    return masters
