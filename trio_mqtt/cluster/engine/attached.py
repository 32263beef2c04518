"""All connections with the engine while it is there, and which of them a call goes to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio
from coredis.exceptions import AskError, MovedError, NoScriptError, RedisError, TryAgainError

from trio_mqtt.cluster.engine.addresses import EngineAddress, Kind, Place
from trio_mqtt.cluster.engine.calls import (
    FENCED,
    Call,
    EngineFencedError,
    EngineGoneError,
    EngineRefusedError,
    Reply,
)
from trio_mqtt.cluster.engine.checks import can_write, check, check_clock, clock_of
from trio_mqtt.cluster.engine.connecting import Connector
from trio_mqtt.cluster.engine.connection import Connection
from trio_mqtt.cluster.engine.links import PIPELINE_BYTES, PIPELINE_CALLS, Group, Link
from trio_mqtt.cluster.engine.masters import Masters, find_masters, slot_of
from trio_mqtt.cluster.engine.readers import Entries, Readers
from trio_mqtt.cluster.engine.sentinels import watch_sentinels
from trio_mqtt.cluster.settings import Cluster
from trio_mqtt.nurseries import tasks_beside

# How often a call is asked again where its answer says that it must be, and the pause before that
# where keys of it are on their way to another master.
_AGAIN = 16
_ON_THE_WAY = 0.05

_ASKING = Call(b"ASKING")


class Attached:
    """The engine while it is there: it ends with the first of its connections that does."""

    def __init__(
        self,
        settings: Cluster,
        address: EngineAddress,
        connector: Connector,
        nursery: trio.Nursery,
        on_lost: Callable[[EngineGoneError], None],
    ) -> None:
        self._settings = settings
        self._is_clustered = address.kind is Kind.CLUSTER
        self._is_by_sentinels = address.kind is Kind.SENTINEL
        self._connector = connector
        self._nursery = nursery
        self._masters = Masters([])
        self._links: dict[Place, Link] = {}
        self._adding = trio.Lock()
        self._readers = Readers(connector, settings.timeout)
        self._on_lost = on_lost
        self._lost = trio.Event()
        self._clock: float | None = None
        self.promise = ""

    async def attach(self, masters: Masters) -> None:
        """Connect with all masters, and see whether they can be used.

        Raises EngineGoneError and EngineUnfitError.
        """
        self._masters = masters
        for place in masters.places:
            await self._link(place)

    async def wait_lost(self) -> None:
        """Wait until it is gone."""
        await self._lost.wait()

    def end(self, why: EngineGoneError) -> None:
        """It is gone."""
        if not self._lost.is_set():
            self._lost.set()
            self._on_lost(why)

    def close_readers(self) -> None:
        """End the connections of readers."""
        self._readers.close()

    async def _link(self, place: Place) -> Link:
        """The connection with one master: that which is there, or another one."""
        async with self._adding:
            link = self._links.get(place)
            if link is None:
                connection = await self._connector.connect(place)
                try:
                    with trio.fail_after(self._settings.timeout):
                        await self._check(place, connection)
                except BaseException as error:
                    connection.close()
                    if isinstance(error, trio.TooSlowError):
                        raise EngineGoneError(f"{connection.where} does not answer.") from None
                    raise
                settings = self._settings
                link = self._links[place] = Link(
                    connection,
                    timeout=settings.timeout,
                    replicas=settings.replicas,
                    on_end=self.end,
                )
                self._nursery.start_soon(link.live)
            return link

    async def _check(self, place: Place, connection: Connection) -> None:
        settings = self._settings
        self.promise = await check(
            connection,
            clustered=self._is_clustered,
            replicas=settings.replicas,
            by_sentinels=self._is_by_sentinels,
        )
        clock = await clock_of(connection)
        if self._clock is None:
            self._clock = clock
        check_clock(connection.where, clock - self._clock, settings.lease)
        await can_write(
            connection,
            self._key_at(place),
            replicas=settings.replicas,
            within=settings.timeout,
        )

    def _key_at(self, place: Place) -> bytes:
        """A key that lies on a master."""
        number = 0
        while True:
            key = b"{%b/p/%d}:probe" % (self._settings.name.encode(), number)
            if self._masters.place(key) == place or place not in self._masters.places:
                return key
            number += 1

    async def ask(self, calls: Sequence[Call]) -> list[Reply]:
        """What the calls answer, in their order."""
        if len(calls) == 1 or (
            len(self._links) == 1
            and len(calls) <= PIPELINE_CALLS
            and sum([call.size for call in calls]) <= PIPELINE_BYTES
        ):
            link = self._links[self._masters.place(calls[0].key)]
            group = Group(calls)
            link.ask(group)
            replies = await group.wait()
            for place, reply in enumerate(replies):
                if isinstance(reply, RedisError):
                    replies[place] = await self._again(link, calls[place], reply)
            return replies
        return await self._ask_parts(calls)

    async def _ask_parts(self, calls: Sequence[Call]) -> list[Reply]:
        """The same, by several connections, and no more together than leave together."""
        parts: list[tuple[Link, Group, list[int]]] = []
        open_parts: dict[Link, tuple[list[Call], list[int], int]] = {}

        def leave(link: Link) -> None:
            some, numbers, _ = open_parts.pop(link)
            parts.append((link, Group(some), numbers))

        for number, call in enumerate(calls):
            link = self._links[self._masters.place(call.key)]
            some, numbers, size = open_parts.get(link, ([], [], 0))
            if some and (len(some) == PIPELINE_CALLS or size + call.size > PIPELINE_BYTES):
                leave(link)
                some, numbers, size = [], [], 0
            some.append(call)
            numbers.append(number)
            open_parts[link] = some, numbers, size + call.size
        for link in list(open_parts):
            leave(link)
        for link, group, _ in parts:
            link.ask(group)
        replies: list[Reply] = [None] * len(calls)
        for link, group, numbers in parts:
            for number, reply in zip(numbers, await group.wait(), strict=True):
                if isinstance(reply, RedisError):
                    reply = await self._again(link, calls[number], reply)
                replies[number] = reply
        return replies

    async def _again(self, link: Link, call: Call, error: RedisError) -> Reply:
        """Ask once more where the answer says that it is only to be asked otherwise."""
        for _ in range(_AGAIN):
            calls: tuple[Call, ...] = (call,)
            if isinstance(error, NoScriptError) and call.script is not None:
                link.forget_scripts()
            elif isinstance(error, AskError):
                link = await self._follow(error)
                if not isinstance(error, MovedError):
                    calls = (_ASKING, call)
            elif isinstance(error, TryAgainError):
                await trio.sleep(_ON_THE_WAY)
            else:
                break
            group = Group(calls)
            link.ask(group)
            reply = (await group.wait())[-1]
            if not isinstance(reply, RedisError):
                return reply
            error = reply
        return refusal(error)

    async def _follow(self, error: AskError) -> Link:
        """The connection with the master that has a slot now, or takes what is new of it."""
        place = Place(error.host, error.port)
        try:
            link = await self._link(place)
        except EngineGoneError as gone:
            self.end(gone)
            raise
        if isinstance(error, MovedError):
            self._masters.move(error.slot_id, place)
        return link

    async def read(self, key: bytes, after: bytes, *, count: int, block: float) -> Entries:
        """What `Engine.read` answers."""
        place = self._masters.place(key)
        asking = False
        try:
            for _ in range(_AGAIN):
                try:
                    return await self._readers.read(
                        place, key, after, count=count, block=block, asking=asking
                    )
                except AskError as error:
                    place = Place(error.host, error.port)
                    asking = not isinstance(error, MovedError)
                    await self._follow(error)
            raise EngineGoneError(f"The slot {slot_of(key)} of the engine is nowhere.")
        except EngineGoneError as error:
            self.end(error)
            raise


def refusal(error: RedisError) -> EngineRefusedError:
    """An error reply as what is raised for it."""
    text = str(error)
    if text.startswith(FENCED):
        return EngineFencedError("The lease of this node has ended.")
    return EngineRefusedError(text)


@asynccontextmanager
async def attached(
    settings: Cluster, address: EngineAddress, on_lost: Callable[[EngineGoneError], None]
) -> AsyncIterator[Attached]:
    """All connections with the engine; at the end of the context there is none. The first that ends
    is told to `on_lost` at once, before who waits for an answer knows of it.

    Raises EngineGoneError where it cannot be reached, and EngineError where it cannot be used.
    """
    connector = Connector(settings, address)
    masters = await find_masters(connector, address)
    async with tasks_beside() as nursery:
        engine = Attached(settings, address, connector, nursery, on_lost)
        try:
            await engine.attach(masters)
            if address.kind is Kind.SENTINEL:
                (place,) = masters.places
                nursery.start_soon(watch_sentinels, settings, address, connector, place, engine.end)
            yield engine
        finally:
            engine.close_readers()
