"""The broker itself: what all its connections share, and how a message goes through it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain

import trio

from trio_mqtt.broker.access.authorship import Authorship
from trio_mqtt.broker.access.in_force import AccessInForce
from trio_mqtt.broker.access.protocols import Authenticator
from trio_mqtt.broker.access.refusals import RefusalLog, RefusedAction
from trio_mqtt.broker.access.security import (
    Security,
    WaysIn,
    asks_for_certificates,
    is_local,
)
from trio_mqtt.broker.connections.connection import NOT_PERMITTED, Connection
from trio_mqtt.broker.events.fan_out import EventStreams
from trio_mqtt.broker.events.kinds import (
    BrokerEvent,
    ConnectionOpened,
    MessagePublished,
    MessageRefused,
    RetainedChanged,
)
from trio_mqtt.broker.events.samples import EventSample
from trio_mqtt.broker.events.streams import EventStream
from trio_mqtt.broker.limits import Limits, check_limit
from trio_mqtt.broker.memory import Memory
from trio_mqtt.broker.options import BrokerOptions, check_reference
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.routing.retained import RetainedMessages
from trio_mqtt.broker.routing.retained_search import RetainedSearch
from trio_mqtt.broker.routing.router import Router
from trio_mqtt.broker.sessions.registry import Sessions, redirection
from trio_mqtt.broker.sessions.session import Session
from trio_mqtt.broker.sources import source_of
from trio_mqtt.broker.statistics import Statistics
from trio_mqtt.broker.system_topics import ROOT, SystemTopics
from trio_mqtt.broker.timers import Timer, Timers
from trio_mqtt.errors import ConfigurationError, LocalProtocolError
from trio_mqtt.protocol.packets import Publish, PublishRun
from trio_mqtt.protocol.properties import NO_PROPERTIES, Carrier, Properties, encode_properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.topics import topic_name_problem
from trio_mqtt.transport.listeners.options import Listen
from trio_mqtt.transport.listeners.streams import ByteStream, TrioStream

logger = logging.getLogger("trio_mqtt.broker")

ROOM_FOR_HEADER = 9  # first byte, remaining length, length of the topic, packet identifier
# Seconds after which a batch counts as coming alone. It is then written by whoever brings it:
# waking the tasks of the subscriptions would cost more than the writing. What follows closer goes
# through the channels, where the batches of many publishers gather and leave as one.
ALONE = 0.0003
_TOLD = 10  # connections of one address beyond its bound that stay until they can be told
_REMIND = 3_600.0  # seconds between two reminders of files that cannot be read
# What nobody must overlook: somebody may rely on what was changed.
_OLD = "Nothing that was changed in the files is in force, also not what they withdraw."
_SWEEP = 30.0  # seconds between two looks for retained messages that have expired


class Broker:
    """An MQTT broker. `open_broker` makes one, listens for it and ends it in order."""

    def __init__(
        self,
        limits: Limits,
        options: BrokerOptions | None = None,
        *,
        authenticators: Mapping[str, Authenticator] | None = None,
        authentication_required: bool = False,
        security: Security | None = None,
    ) -> None:
        self.limits = limits
        self.options = options = options or BrokerOptions()
        # By authentication method (§4.12).
        self.authenticators = dict(authenticators or {})
        self.authentication_required = authentication_required
        self.statistics = Statistics()
        self.event_streams = EventStreams()
        self.timers = Timers()
        self.router = Router(limits.maximum_topic_levels, options.shared_strategy)
        self.retained = RetainedMessages(
            limits.maximum_retained_messages, limits.maximum_retained_bytes
        )
        self.memory = Memory(limits.maximum_unfinished_bytes)
        self.access = AccessInForce(security or Security(), limits, RefusalLog(self.timers))
        # Whoever looks for retained messages does so for one turn, then it is the next one's.
        self.searching = trio.Lock()
        self.sessions = Sessions(self)
        self._system_topics: SystemTopics | None = None
        # Where the broker listens, with the ports that it got.
        self.listeners: tuple[Listen, ...] = ()
        # Each reads its files anew and returns what puts them in force.
        self.on_reload: list[Callable[[], Awaitable[Callable[[], object]]]] = []
        # How many connections each address has, where that is bounded.
        self._of_address: Counter[str] = Counter()
        self._reminder: Timer | None = None  # of files that could not be read again
        self._connections: dict[Connection, None] = {}
        self._all_gone = trio.Event()
        self._full = False  # the last connection was turned away
        self._routed_at = -ALONE
        self.closing = False
        # For tasks that outlive the connection they serve, while the broker runs.
        self.tasks: trio.Nursery | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses that the broker listens at, with the ports that it got."""
        return tuple(listener.url for listener in self.listeners)

    @property
    def url(self) -> str:
        """The first address that the broker listens at, with the port that it got."""
        return self.urls[0]

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
        return self.event_streams.stream(kinds, limit)

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
        return self.event_streams.sample(kinds, limit)

    # -- connections ----------------------------------------------------------------------------

    async def handle(self, stream: trio.abc.Stream, peer: str = "a stream") -> None:
        """Serve one client on any byte stream, until either side ends it. Closes the stream."""
        await self.serve_stream(TrioStream(stream, peer))

    def serve_stream(self, stream: ByteStream) -> Awaitable[None]:
        """Serve one client, as `handle` does, on a stream that may be written to directly."""
        return Connection(self, stream).run()

    def redirect(self, client_id: str, reference: str, *, moved: bool = False) -> bool:
        """Send a client to another server, named by `reference` (§4.11); whether it is connected.

        `moved` says that it is to go there from now on. An MQTT 3 client is only disconnected.
        Raises LocalProtocolError for a reference that is none.
        """
        check_reference(reference)
        outlet = self.sessions.outlet_of(client_id)
        if outlet is None:
            return False
        outlet.end(
            redirection(moved), f"it is sent to {reference}", {"server_reference": reference}
        )
        return True

    # -- access ---------------------------------------------------------------------------------

    def ways_in(self, listen: Listen) -> WaysIn:
        """By what clients can connect at one of the broker's `listeners`."""
        access = self.access
        return WaysIn(
            local=is_local(listen),
            anonymous=not self.authentication_required and access.allows_anonymous(listen),
            passwords=access.passwords is not None and not self.authentication_required,
            tokens=access.tokens is not None and not self.authentication_required,
            certificates=asks_for_certificates(listen) and not self.authentication_required,
            methods=tuple(self.authenticators),
            hooks=access.asks_authenticate,
        )

    async def reload(self) -> None:
        """Read certificates, the password file, the access file and the keys again.

        Connections stay; new certificates are for new ones. What the client of a session may do is
        checked anew; clients whose user is gone or has another password are disconnected. Raises
        ConfigurationError where a file cannot be used: then all of them hold as they were.
        """
        ready = [await prepare() for prepare in self.on_reload]
        await self.access.load()
        for put_in_force in ready:
            put_in_force()
        if self._reminder is not None:
            self._reminder.cancel()
            self._reminder = None
        for connection in list(self._connections):
            identity = connection.identity
            if identity is not None and not self.access.still_knows(identity):
                connection.refused_again("its password is no longer valid")
        await self._check_sessions()

    async def try_reload(self) -> bool:
        """Do `reload`; where that fails, say so again and again. Whether it was done."""
        try:
            await self.reload()
        except ConfigurationError as error:
            logger.error(  # noqa: TRY400  # a sentence says it all
                "%s The settings stay as they were. %s", error, _OLD
            )
            self._remind(f"The files could not be read when that was asked for: {error} {_OLD}")
            return False
        logger.info("The settings were read again.")
        return True

    def _remind(self, sentence: str) -> None:
        """Say in the log each hour what is wrong with the files, until they could be read again."""
        if self._reminder is not None:
            self._reminder.cancel()

        def say_again() -> None:
            logger.warning("%s", sentence)
            self._remind(sentence)

        self._reminder = self.timers.after(_REMIND, say_again)

    async def rules_changed(self) -> None:
        """The program's `AccessRules` answer otherwise than before: ask them again, at once."""
        self.access.rules.changed()
        await self._check_sessions()

    async def _check_sessions(self) -> None:
        """Let subscriptions rest that are no longer allowed. Messages are checked in any case."""
        for session in self.sessions.all():
            if session.permissions is not None:
                self.sessions.check_subscriptions(session)
            await trio.lowlevel.checkpoint()

    def count_refused(
        self,
        session: Session,
        messages: Sequence[Publish] | PublishRun,
        action: RefusedAction = "publish",
    ) -> None:
        """A client published what it may not: the messages go nowhere."""
        self.statistics.messages_received += len(messages)
        self.statistics.messages_dropped += len(messages)
        if session.permissions is not None:
            session.permissions.tell_refused(action, messages)
        if MessageRefused in self.event_streams.wanted:
            for message in messages if isinstance(messages, Sequence) else messages.messages:
                self.event_streams.tell(
                    MessageRefused(session.client_id, message.topic, NOT_PERMITTED[1])
                )

    def enter(self, connection: Connection) -> bool:
        """A connection begins; whether there is room for it."""
        self.statistics.connections_accepted += 1
        if self.closing:
            return False
        if len(self._connections) >= self.limits.maximum_connections:
            if not self._full:
                logger.warning("Turned %s away: no more connections", connection.stream.peer)
            self._full = True
            return False
        self._full = False
        self._connections[connection] = None
        if ConnectionOpened in self.event_streams.wanted:
            listen = connection.stream.origin.listener
            self.event_streams.tell(
                ConnectionOpened(connection.stream.peer, "" if listen is None else listen.url)
            )
        return True

    def count_address(self, connection: Connection) -> bool:
        """Count a connection for its address, once that is known; whether it may go on.

        Some that are too many may: they are told so once they have said CONNECT.
        """
        limit = self.limits.maximum_connections_per_address
        if limit >= self.limits.maximum_connections:
            return True
        source = connection.source = source_of(connection.stream.peer)
        count = self._of_address[source] = self._of_address[source] + 1
        connection.is_one_too_many = count > limit
        return count <= limit + _TOLD

    def leave(self, connection: Connection) -> None:
        """Everything of a connection has ended."""
        del self._connections[connection]
        source = connection.source
        if source is not None:
            self._of_address[source] -= 1
            if not self._of_address[source]:
                del self._of_address[source]
        if not self._connections:
            self._all_gone.set()

    async def close(self) -> None:
        """End in order: wills are published, clients told, and what waits for them sent.

        Takes no longer than the limits allow for a goodbye.
        """
        self.closing = True
        for session in self.sessions.all():
            self.sessions.publish_will(session)
        with trio.move_on_after(self.limits.goodbye_timeout):
            # No message pays for telling that it was the last: looking now and then is enough.
            while self._anything_waits():  # noqa: ASYNC110
                await trio.sleep(0.01)
        self._all_gone = trio.Event()
        for connection in list(self._connections):
            connection.end(ReasonCode.SERVER_SHUTTING_DOWN, "the broker is shutting down")
        if self._connections:
            await self._all_gone.wait()
        self.event_streams.end()
        self.access.refusals.close()

    def _anything_waits(self) -> bool:
        """Whether a message is on its way to a client that is connected."""
        return any(s.outlet and s.queued_messages for s in self.sessions.all())

    # -- messages -------------------------------------------------------------------------------

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

        Raises LocalProtocolError for what cannot be published.
        """
        problem = topic_name_problem(topic)
        if problem:
            raise LocalProtocolError(f"The topic {topic!r} {problem}.")
        if qos not in (0, 1, 2):
            raise LocalProtocolError(f"there is no QoS {qos}")
        if retain and not self.options.retain_available:
            raise LocalProtocolError("this broker keeps no retained messages")
        for name in ("topic_alias", "subscription_identifier"):
            if name in properties:
                raise LocalProtocolError(f"{name} is the broker's own to set")
        data = payload.encode() if isinstance(payload, str) else bytes(payload)
        size = len(topic.encode()) + len(data) + len(encode_properties(properties, Carrier.PUBLISH))
        if size + ROOM_FOR_HEADER > self.limits.maximum_packet_size:
            raise LocalProtocolError(
                f"A message of {size} bytes is larger than the {self.limits.maximum_packet_size}"
                " bytes of the broker's maximum packet size."
            )
        # The caller may go on with its own dictionary.
        message = Publish(topic, data, qos, retain, properties=properties.copy())
        now = trio.current_time()
        self.statistics.messages_without_packet += 1
        self.route(Batch([message], received_at=now), [message] * retain)
        await trio.lowlevel.checkpoint()

    def route(self, batch: Batch, retained: Sequence[Publish] = ()) -> Sequence[Publish]:
        """Hand messages to all whom they reach; return those that reach nobody.

        `retained` are those of the messages that are to be kept.
        """
        self.statistics.messages_received += batch.count
        batch.alone = batch.received_at - self._routed_at >= ALONE
        self._routed_at = batch.received_at
        wanted = self.event_streams.wanted
        if wanted and MessagePublished in wanted:
            sender = batch.sender
            self.event_streams.published(None if sender is None else sender.client_id, batch)
        for message in retained:
            if batch.sender is None or not self.router.is_reserved(message.topic):
                permissions = None if batch.sender is None else batch.sender.permissions
                author = None if permissions is None else Authorship.of(permissions)
                stored = self.retained.store(message, batch.received_at, author)
                self.statistics.messages_dropped += not stored
                if RetainedChanged in wanted:
                    removed = not stored or not message.payload
                    self.event_streams.tell(RetainedChanged(message.topic, removed))
        return self.router.publish(batch)

    def reason_for(self, message: Publish) -> tuple[ReasonCode, str]:
        """The reason for a client's message that reached nobody (§3.4.2.1); words if it failed."""
        reserved = self.reserved_because(message.topic)
        if reserved:
            return ReasonCode.NOT_AUTHORIZED, reserved
        return ReasonCode.NO_MATCHING_SUBSCRIBERS, ""

    def reserved_because(self, topic: str) -> str:
        """Why no client may publish to a topic; empty if there is nothing against the topic."""
        if topic[0] == "$":
            return "topics that begin with $ are the broker's own"
        return self.too_deep if self.router.is_reserved(topic) else ""

    @property
    def too_deep(self) -> str:
        """Why topics and filters with too many levels are refused."""
        return f"this broker takes topics of {self.limits.maximum_topic_levels} levels at most"

    def search_retained(self, topic_filter: str) -> RetainedSearch:
        """The retained messages for a new subscription, as they are now."""
        found = self.retained.search(topic_filter)
        if self._system_topics is not None and topic_filter.startswith(ROOT):
            found = chain(self._system_topics.search(topic_filter), found)
        return RetainedSearch(found, self.access.rules, self.statistics, self.searching)

    async def run_timers(self) -> None:
        """Do what is due: keep alives, expiries, delayed wills."""
        self._sweep()
        self._system_topics = SystemTopics(self, self.options.system_topics_interval)
        self._system_topics.begin()
        await self.timers.run()

    def _sweep(self) -> None:
        self.retained.expire(trio.current_time())
        self.timers.after(_SWEEP, self._sweep)
