"""The broker as a program sees it."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from trio_mqtt.broker.access.security import WaysIn
from trio_mqtt.broker.events.kinds import BrokerEvent
from trio_mqtt.broker.events.samples import EventSample
from trio_mqtt.broker.events.streams import EventStream
from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.options import BrokerOptions
from trio_mqtt.broker.statistics import Statistics
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.transport.listeners.options import Listen

if TYPE_CHECKING:
    import trio

    from trio_mqtt.broker.broker import Broker as Core


class Broker:
    """An MQTT broker. `open_broker` makes one, listens for it and ends it in order."""

    __slots__ = ("_core",)

    def __init__(self, core: Core) -> None:
        self._core = core

    @property
    def limits(self) -> Limits:
        """Its bounds."""
        return self._core.limits

    @property
    def options(self) -> BrokerOptions:
        """What it offers."""
        return self._core.options

    @property
    def statistics(self) -> Statistics:
        """What it has counted."""
        return self._core.statistics

    @property
    def listeners(self) -> tuple[Listen, ...]:
        """Where the broker listens, with the ports that it got."""
        return self._core.listeners

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses that the broker listens at, with the ports that it got."""
        return self._core.urls

    @property
    def url(self) -> str:
        """The first address that the broker listens at, with the port that it got."""
        return self._core.url

    def ways_in(self, listen: Listen) -> WaysIn:
        """By what clients can connect at one of the broker's `listeners`."""
        return self._core.ways_in(listen)

    # What awaits nothing of its own hands on the coroutine: one frame less for each wait.

    def handle(
        self, stream: trio.abc.Stream, peer: str = "a stream"
    ) -> Coroutine[None, None, None]:
        """Serve one client on any byte stream, until either side ends it. Closes the stream."""
        return self._core.handle(stream, peer)

    def publish(
        self,
        topic: str,
        payload: bytes | str = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        properties: Properties = NO_PROPERTIES,
    ) -> Coroutine[None, None, None]:
        """Publish from within the program (MQTT 5.0 §3.3); `$` topics are allowed.

        Raises LocalProtocolError for what cannot be published.
        """
        return self._core.publish(topic, payload, qos=qos, retain=retain, properties=properties)

    def events(
        self, *kinds: type[BrokerEvent], limit: int = 10_000
    ) -> AbstractContextManager[EventStream]:
        """Follow what happens, event by event: of the `kinds` given, or of all.

        Events wait until they are taken, at most `limit`; those beyond are counted as missed. So
        whoever follows never holds up the broker.

            with broker.events(ClientConnected, ClientDisconnected) as events:
                async for event in events:
                    print(event)
        """
        return self._core.events(*kinds, limit=limit)

    def sample(
        self, *kinds: type[BrokerEvent], limit: int = 1_000
    ) -> AbstractContextManager[EventSample]:
        """Look now and then at some of what happens: of the `kinds` given, or of all.

        Between two calls of `EventSample.take`, at most `limit` events are held, of which messages
        that were published may fill half; what goes beyond is counted.

            with broker.sample(ClientConnected, MessagePublished) as sample:
                await trio.sleep(1)
                print(*sample.take(), sample.missed_messages)
        """
        return self._core.sample(*kinds, limit=limit)

    def redirect(self, client_id: str, reference: str, *, moved: bool = False) -> bool:
        """Send a client to another server, named by `reference` (§4.11); whether it is connected.

        `moved` says that it is to go there from now on. An MQTT 3 client is only disconnected.
        Raises LocalProtocolError for a reference that is none.
        """
        return self._core.redirect(client_id, reference, moved=moved)

    async def reload(self) -> None:
        """Read certificates, the password file, the access file and the keys again.

        Connections stay; new certificates are for new ones. What the client of a session may do is
        checked anew; clients whose user is gone or has another password are disconnected. Raises
        ConfigurationError where a file cannot be used: then all of them hold as they were.
        """
        await self._core.reload()

    async def try_reload(self) -> bool:
        """Do `reload` as `serve` does at SIGHUP; whether it could be done.

        Where it could not, the log says so, again each hour, and all of them hold as they were.
        """
        return await self._core.try_reload()

    async def rules_changed(self) -> None:
        """The program's `AccessRules` answer otherwise than before: ask them again, at once."""
        await self._core.rules_changed()

    async def close(self) -> None:
        """End in order: wills are published, clients told, and what waits for them sent.

        Takes no longer than the limits allow for a goodbye.
        """
        await self._core.close()
