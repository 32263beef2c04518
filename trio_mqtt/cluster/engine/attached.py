"""All connections with the engine while it is there, and which of them a call goes to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio
from coredis.exceptions import NoScriptError

from trio_mqtt.cluster.engine.addresses import EngineAddress, Place
from trio_mqtt.cluster.engine.calls import (
    FENCED,
    Call,
    EngineFencedError,
    EngineGoneError,
    EngineRefusedError,
    Reply,
)
from trio_mqtt.cluster.engine.connecting import Connector
from trio_mqtt.cluster.engine.links import PIPELINE_BYTES, PIPELINE_CALLS, Group, Link
from trio_mqtt.cluster.engine.readers import Entries, Readers
from trio_mqtt.cluster.settings import Cluster
from trio_mqtt.nurseries import tasks_beside

# How often a call is asked again where its answer says that it must be.
_AGAIN = 8


class Attached:
    """The engine while it is there: it ends with the first of its connections that does."""

    def __init__(self, settings: Cluster, connector: Connector, nursery: trio.Nursery) -> None:
        self._settings = settings
        self._connector = connector
        self._nursery = nursery
        self._links: dict[Place, Link] = {}
        self._readers = Readers(nursery, connector, settings.timeout)
        self._lost = trio.Event()
        self._why: EngineGoneError | None = None

    async def add(self, place: Place) -> None:
        """Connect with one process of the engine."""
        link = Link(
            self._connector.connection(place),
            place,
            timeout=self._settings.timeout,
            replicas=self._settings.replicas,
            on_end=self._end,
        )
        await self._nursery.start(link.live)
        self._links[place] = link

    async def lost(self) -> EngineGoneError:
        """Wait until it is gone; why it is."""
        while self._why is None:
            await self._lost.wait()
        return self._why

    def _end(self, why: EngineGoneError) -> None:
        if self._why is None:
            self._why = why
            self._lost.set()

    async def ask(self, calls: Sequence[Call]) -> list[Reply]:
        """What the calls answer, in their order."""
        groups = [(link, Group(some)) for link, some in self._parted(calls)]
        for link, group in groups:
            link.ask(group)
        replies: list[Reply] = []
        for link, group in groups:
            answered = await group.wait()
            for place, reply in enumerate(answered):
                if isinstance(reply, Exception):
                    answered[place] = await self._again(link, group.calls[place], reply)
            replies += answered
        return replies

    def _parted(self, calls: Sequence[Call]) -> list[tuple[Link, Sequence[Call]]]:
        """The calls by link, no more of them together than leave together."""
        (link,) = self._links.values()
        if len(calls) == 1:
            return [(link, calls)]
        parts: list[tuple[Link, Sequence[Call]]] = []
        part: list[Call] = []
        size = 0
        for call in calls:
            if part and (len(part) == PIPELINE_CALLS or size + call.size > PIPELINE_BYTES):
                parts.append((link, part))
                part, size = [], 0
            part.append(call)
            size += call.size
        parts.append((link, part))
        return parts

    async def _again(self, link: Link, call: Call, error: Exception) -> Reply | EngineRefusedError:
        """Ask once more where the answer says that it is only to be asked otherwise."""
        for _ in range(_AGAIN):
            if not isinstance(error, NoScriptError) or call.script is None:
                return refusal(error)
            link.forget_scripts()
            group = Group([call])
            link.ask(group)
            (reply,) = await group.wait()
            if not isinstance(reply, Exception):
                return reply
            error = reply
        return refusal(error)

    async def read(self, key: bytes, after: bytes, *, count: int, block: float) -> Entries:
        """What `Engine.read` answers."""
        (place,) = self._links
        try:
            return await self._readers.read(place, key, after, count=count, block=block)
        except EngineGoneError as error:
            self._end(error)
            raise


def refusal(error: Exception) -> EngineRefusedError:
    """An error reply as what is raised for it."""
    text = str(error)
    if text.startswith(FENCED):
        return EngineFencedError(f"The lease of this node has ended: {text}.")
    return EngineRefusedError(text)


@asynccontextmanager
async def attached(settings: Cluster, address: EngineAddress) -> AsyncIterator[Attached]:
    """All connections with the engine; at the end of the context there is none.

    Raises EngineGoneError where it cannot be reached, and EngineError where it cannot be used.
    """
    connector = Connector(settings, address)
    async with tasks_beside() as nursery:
        engine = Attached(settings, connector, nursery)
        for place in address.places:
            await engine.add(place)
        yield engine
