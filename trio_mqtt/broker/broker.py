"""The broker as a program sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.access.security import Security, WaysIn
from trio_mqtt.broker.connections.connack import redirection
from trio_mqtt.broker.connections.connection import Connection
from trio_mqtt.broker.dynamic_control import DynamicControl
from trio_mqtt.broker.events.kinds import BrokerEvent
from trio_mqtt.broker.events.samples import EventSample
from trio_mqtt.broker.events.streams import EventStream
from trio_mqtt.broker.holdings import Holdings, holdings_of
from trio_mqtt.broker.limits import Limits, check_limit
from trio_mqtt.broker.listen import Listen, listens_of
from trio_mqtt.broker.options import BrokerOptions, check_reference
from trio_mqtt.broker.readings import Readings, readings_of
from trio_mqtt.broker.reconfiguring import Reconfiguring
from trio_mqtt.broker.reloading import Reloading
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.statistics import Statistics
from trio_mqtt.broker.timing import Timing
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.protocol.properties import NO_PROPERTIES, Carrier, Properties, encode_properties
from trio_mqtt.protocol.topics import topic_name_problem
from trio_mqtt.transport.listeners.streams import TrioStream

if TYPE_CHECKING:
    from trio_mqtt.broker.access.bans import Ban
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.elsewhere import ClusterView
    from trio_mqtt.broker.events.fan_out import Follower
    from trio_mqtt.broker.listeners import Listeners
    from trio_mqtt.broker.looking_back import LookingBack
    from trio_mqtt.broker.operations.administration import Administration
    from trio_mqtt.history.history import History
    from trio_mqtt.history.settings import HistorySettings

_NOTHING = Holdings()
ROOM_FOR_HEADER = 9  # first byte, remaining length, length of the topic, packet identifier


class Broker:
    """An MQTT broker. `open_broker` makes one, listens for it and ends it in order."""

    __slots__ = (
        "_administration",
        "_core",
        "_dynamic",
        "_listeners",
        "_looking_back",
        "_reconfiguring",
        "_reloading",
        "_restored",
    )

    def __init__(
        self,
        core: Core,
        listeners: Listeners,
        restored: Holdings = _NOTHING,
        looking_back: LookingBack | None = None,
    ) -> None:
        self._core = core
        self._looking_back = looking_back
        self._listeners = listeners
        self._restored = restored
        self._administration: Administration | None = None
        self._reconfiguring = Reconfiguring(core, listeners, looking_back)
        self._reloading = Reloading(core, self._reconfiguring)
        self._dynamic = DynamicControl(core, self._reconfiguring)
        if core.elsewhere is not None:
            core.bans.ends = self._end_banned

    def __repr__(self) -> str:
        where = ", ".join(self.urls) or "no address"
        return f"<trio_mqtt.Broker at {where}>"

    @property
    def limits(self) -> Limits:
        """Its bounds."""
        return self._core.limits.plain()

    @property
    def options(self) -> BrokerOptions:
        """What it offers."""
        return self._core.settings.options

    @property
    def statistics(self) -> Statistics:
        """What it has counted."""
        return self._core.statistics

    @property
    def listeners(self) -> tuple[Listen, ...]:
        """Where the broker listens, with the ports that it got."""
        return self._listeners.all()

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses that the broker listens at, with the ports that it got."""
        return tuple(listen.url for listen in self._listeners.all())

    @property
    def url(self) -> str:
        """The first address that the broker listens at, with the port that it got."""
        return self.urls[0]

    @property
    def restored(self) -> Holdings:
        """What an earlier broker has left in the storage, as it was when this one began."""
        return self._restored

    @property
    def administration(self) -> Administration:
        """What else can be seen and done: clients, sessions, queues, retained messages, bans …"""
        if self._administration is None:
            # Loaded only here: most programs do without.
            from trio_mqtt.broker.operations.administration import Administration

            self._administration = Administration(
                self._core, self._listeners, self.publish, self._dynamic.do, self.history
            )
        return self._administration

    def _end_banned(self, ban: Ban) -> None:
        """Another node of the cluster has banned somebody who may be connected here."""
        from trio_mqtt.broker.operations.bans import BansSeen

        if self._core.tasks is not None:
            seen = BansSeen(self._core, self._listeners.connections)
            self._core.tasks.start_soon(seen.disconnect, ban)

    @property
    def history(self) -> History | None:
        """What it keeps of topics, to look back; None where it keeps none."""
        return None if self._looking_back is None else self._looking_back.history

    def holdings(self) -> Holdings:
        """What it holds now that outlives connections. Counted anew, session by session."""
        return holdings_of(self._core)

    async def readings(self) -> Readings:
        """How it fares now, in figures that nobody keeps. Counted session by session, in turns."""
        return await readings_of(
            self._core,
            len(self._listeners.connections),
            is_listening=all(one.listener.is_open for one in self._listeners.open),
        )

    @contextmanager
    def timing(self, every: int = 16) -> Iterator[Timing]:
        """Have deliveries and commits timed for as long as the context lasts.

        Of the batches that come, each the messages of one read, one in `every` is. One at a time
        may ask for that: raises LocalProtocolError where somebody else does.
        """
        check_limit("every", every)
        core, journal = self._core, self._core.journal
        if core.timing is not None:
            raise LocalProtocolError("this broker is timed already")
        core.timing = timing = Timing(every, trio.current_time)
        if journal is not None:
            journal.commits = timing.commits
        try:
            yield timing
        finally:
            core.timing = None
            if journal is not None:
                journal.commits = None

    def ways_in(self, listen: Listen) -> WaysIn:
        """By what clients can connect at one of the broker's `listeners`."""
        settings = self._core.listeners.get(listen.url, self._core.settings)
        return settings.access.ways_in(listen)

    def handle(
        self, stream: trio.abc.Stream, peer: str = "a stream"
    ) -> Coroutine[None, None, None]:
        """Serve one client on any byte stream, until either side ends it. Closes the stream."""
        # Not awaited here: one frame less for each wait.
        core = self._core
        return Connection(
            core, core.settings, self._listeners.connections, TrioStream(stream, peer)
        ).run()

    async def publish(
        self,
        topic: str,
        payload: bytes | str = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        properties: Properties = NO_PROPERTIES,
    ) -> None:
        """Publish from within the program (MQTT 5.0 §3.3); `$` topics are allowed.

        At QoS 1 and 2, with a storage, it returns when the message is kept for all sessions that
        outlive the broker, and as the retained message: for as long as the storage can keep nothing
        it waits. Raises LocalProtocolError for what cannot be published, and StoreError where the
        broker ended before the message was kept.
        """
        problem = topic_name_problem(topic)
        if problem:
            raise LocalProtocolError(f"The topic {topic!r} {problem}.")
        if qos not in (0, 1, 2):
            raise LocalProtocolError(f"there is no QoS {qos}")
        if retain and not self._core.options.retain_available:
            raise LocalProtocolError("this broker keeps no retained messages")
        for name in ("topic_alias", "subscription_identifier"):
            if name in properties:
                raise LocalProtocolError(f"{name} is the broker's own to set")
        data = payload.encode() if isinstance(payload, str) else bytes(payload)
        size = len(topic.encode()) + len(data) + len(encode_properties(properties, Carrier.PUBLISH))
        maximum = self._core.limits.maximum_packet_size
        if size + ROOM_FOR_HEADER > maximum:
            raise LocalProtocolError(
                f"A message of {size} bytes is larger than the {maximum} bytes of the broker's"
                " maximum packet size."
            )
        # The caller may go on with its own dictionary.
        message = Publish(topic, data, qos, retain, properties=properties.copy())
        now = trio.current_time()
        self._core.statistics.messages_without_packet += 1
        journal = self._core.journal
        changes = 0 if journal is None else journal.count
        self._core.route(Batch([message], received_at=now), [message] * retain)
        spreading = self._core.router.spreading
        if None in spreading.held_back:
            await spreading.passed(None)
        if qos and journal is not None and journal.count != changes:
            await journal.until_kept()
        else:
            await trio.lowlevel.checkpoint()

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
        check_limit("limit", limit)
        return self._core.event_streams.stream(kinds, limit)

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
        check_limit("limit", limit)
        return self._core.event_streams.sample(kinds, limit)

    def redirect(
        self, client_id: str, reference: str, *, moved: bool = False, mount_point: str = ""
    ) -> bool:
        """Send a client to another server, named by `reference` (§4.11); whether it is connected.

        `moved` says that it is to go there from now on, `mount_point` is that of the listener by
        which the client came. An MQTT 3 client is only disconnected.
        Raises LocalProtocolError for a reference that is none.
        """
        check_reference(reference)
        outlet = self._core.sessions.outlet_of(client_id, mount_point)
        if outlet is None:
            return False
        outlet.end(
            redirection(moved), f"it is sent to {reference}", {"server_reference": reference}
        )
        return True

    async def reconfigure(
        self,
        *listeners: str | Listen,
        limits: Limits | None = None,
        options: BrokerOptions | None = None,
        security: Security | None = None,
        history: HistorySettings | None = None,
        in_force: Callable[[], None] | None = None,
    ) -> None:
        """Give the broker other settings while it runs: all that are given, or none.

        The arguments are those of `open_broker`; what is not given stays as it is. All files are
        read anew, as by `reload`. Whatever can fail is done first; then all is in force at once,
        and nobody meets half of it. That is when `in_force` is called, if it is given: whoever is
        cancelled later has given up no more than to wait until all clients and sessions were looked
        at, some milliseconds for a thousand.

        Limits hold from now on for everybody, but for what a client was told when it came: packet
        sizes, receive maximum, topic aliases, keep alive, and rates. What is beyond a new bound
        stays: it only gets no more. What is offered holds for clients that come from now on, and so
        do a program's hooks where there were none; else they take the place of those before. A
        client that would no longer be let in is disconnected, as far as that can be known without
        its password.

        What a broker keeps of topics is what `history` says from now on, where it has a history;
        its file stays.

        A listener is the same by its address, whatever is spoken there; its mount point is that of
        new connections. New ones are opened. Those that are not named any more are closed, and
        their clients disconnected, with reason code 0x98; sessions stay.

        Raises what `open_broker` raises, and ConfigurationError for what cannot change while the
        broker runs; then nothing has changed.
        """
        await self._reconfiguring.reconfigure(
            listens_of(listeners) if listeners else None,
            limits=limits,
            options=options,
            security=security,
            history=history,
            in_force=in_force,
        )
        self._reloading.settled()

    async def reload(self) -> None:
        """Read certificates, the password file, the access file and the keys again.

        Connections stay; new certificates are for new ones. What the client of a session may do is
        checked anew; clients whose user is gone or has another password are disconnected. Raises
        ConfigurationError where a file cannot be used: then all of them hold as they were.
        """
        await self._reloading.reload()

    async def try_reload(self, reload: Callable[[], Awaitable[None]] | None = None) -> bool:
        """Do `reload` as `serve` does at SIGHUP; whether it could be done.

        Where it could not, the log says so, again each hour, and all of them hold as they were. A
        program that has more to read gives a `reload` of its own, which calls `reconfigure`.
        """
        return await self._reloading.try_reload(reload)

    async def rules_changed(self) -> None:
        """The program's `AccessRules` answer otherwise than before: ask them again, at once."""
        await self._reloading.rules_changed()

    @property
    def cluster(self) -> ClusterView | None:
        """The cluster that it belongs to, as it looks from here; None where it is alone."""
        elsewhere = self._core.elsewhere
        return None if elsewhere is None else elsewhere.view()

    @property
    def is_draining(self) -> bool:
        """Whether it gives up its clients, or has, and takes no more: see `drain`."""
        return self._core.successors.is_draining

    async def drain(self, server_reference: str | None = None, *, moved: bool = False) -> None:
        """Send all clients elsewhere, and take no more, as before it is taken out of service.

        They are told to go to `server_reference` (§4.11), if `moved` for good; without it, in a
        cluster, to the other nodes in turn, as far as those say how they are reached
        (`Cluster.server_reference`). Where none is known, they are only told that the broker shuts
        down; MQTT 3 clients are disconnected. They are first sent what has come for them, for as
        long as `Limits.drain_timeout` allows; some go at a time, and new ones are refused with the
        same reference. Returns once all have gone and, in a cluster, their sessions are others' to
        have. The broker goes on: it is its owner's to end.

        Raises LocalProtocolError for a reference that is none.
        """
        core = self._core
        elsewhere = core.sessions.elsewhere
        if server_reference is not None:
            check_reference(server_reference)
            core.successors.become([server_reference], moved=moved)
        elif elsewhere is not None:
            core.successors.become(await elsewhere.references(), moved=moved)
        await self._listeners.connections.drain()
        if elsewhere is not None:
            await elsewhere.all_left()

    async def close(self) -> None:
        """End in order: wills are published, clients told, and what waits for them sent.

        Takes no longer than the limits allow for a goodbye.
        """
        await self._listeners.connections.close()
        self._core.end()


def follow(broker: Broker, follower: Follower) -> None:
    """Have a follower told at once of what happens in a broker, until its end.

    For `trio_mqtt.testing`; programs have `Broker.events`.
    """
    broker._core.event_streams.add(follower)  # noqa: SLF001 # no method for all
