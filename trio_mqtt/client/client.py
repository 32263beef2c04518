"""`open_client` and the `Client` that it yields: publish and subscribe."""

from __future__ import annotations

import logging
import os
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from functools import partial

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from trio_mqtt.client.arguments import (
    Payload,
    check_filters,
    check_message_properties,
    check_qos,
    check_subscription,
    check_topic,
    payload_bytes,
)
from trio_mqtt.client.authentication import ClientAuthentication
from trio_mqtt.client.batches import publish_batch, refused_message
from trio_mqtt.client.blocks import async_block, plain_block
from trio_mqtt.client.connection.authentication import check_authentication
from trio_mqtt.client.connection.backoff import Backoff
from trio_mqtt.client.connection.connection import CLOSE_TIMEOUT
from trio_mqtt.client.connection.handshake import Settings
from trio_mqtt.client.connection.reconnection import Upkeep
from trio_mqtt.client.events import ConnectionEvent, ConnectionEvents
from trio_mqtt.client.journal import SESSION_EXPIRY_INTERVAL, opened_journal
from trio_mqtt.client.message import Message
from trio_mqtt.client.messages import KINDS, Messages, Overflow
from trio_mqtt.client.options import check_options, checked_will
from trio_mqtt.client.requests import Requests
from trio_mqtt.client.status import ClientStatus
from trio_mqtt.client.subscribing import grant, leave, release
from trio_mqtt.client.subscriptions import Options
from trio_mqtt.client.waiting import Outgoing
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Subscription, Will
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.topics import has_wildcard
from trio_mqtt.protocol.wire import MAX_VARIABLE_BYTE_INTEGER
from trio_mqtt.transport.opening import Connector, links_for
from trio_mqtt.transport.tls import TlsOptions
from trio_mqtt.transport.urls import parse_url

logger = logging.getLogger("trio_mqtt.client")


@async_block("async with trio_mqtt.open_client(...) as client:")
async def open_client(
    url: str = "mqtt://localhost:1883",
    *,
    client_id: str = "",
    username: str | None = None,
    password: str | bytes | None = None,
    protocol_version: ProtocolVersion | int | None = None,
    clean_start: bool | None = None,
    session_expiry_interval: int | None = None,
    keep_alive: int = 60,
    will: Will | None = None,
    connect_timeout: float = 10.0,
    reconnect: bool | Backoff = True,
    wait_for_broker: bool = False,
    properties: Properties | None = None,
    on_event: Callable[[ConnectionEvent], None] | None = None,
    on_connect: Callable[[Client], Awaitable[object] | None] | None = None,
    connector: Connector | None = None,
    authentication: ClientAuthentication | None = None,
    tls: ssl.SSLContext | TlsOptions | None = None,
    websocket_headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    follow_redirection: bool = False,
    store: str | os.PathLike[str] | None = None,
) -> AsyncIterator[Client]:
    """Connect to a broker; yields a `Client` once it has accepted the connection.

        async with open_client("mqtt://localhost:1883") as client:
            await client.publish("test", "Hello")

    `url` is that of a broker reached by TCP (`mqtt://HOST`), TLS (`mqtts://`), WebSocket (`ws://`,
    `wss://`) or a Unix socket (`unix:///PATH`). TLS trusts the authorities that the system does and
    checks that the broker's certificate is for the host; `tls` says otherwise (`TlsOptions`).
    `websocket_headers` go with WebSocket's request. `url` may carry the user name and the password;
    `username` and `password` come before it.
    `protocol_version` is 3 (MQTT 3.1), 4 (3.1.1) or 5; None means 5, or 3.1.1 where the broker
    does not know 5. An empty `client_id` lets the broker choose one, which is then kept.
    `clean_start` and `session_expiry_interval` (seconds) say what the broker remembers
    (MQTT 5.0 §3.1.2.4, §3.1.2.11.2); MQTT 3 has one flag for both: with `clean_start=False` the
    session outlives the connection. `keep_alive` is in seconds; 0 turns it off, and then a broker
    that vanishes without a word is not noticed. `connect_timeout`, in seconds, bounds each attempt.
    `properties` are further properties of CONNECT.

    With `reconnect`, a connection that is lost is made again, after 0.1 s and then doubling up to
    30 s, less a random half; the session goes on, and what was subscribed is subscribed again. A
    `Backoff` sets other delays, and when to give up. With `wait_for_broker`, so is the first
    connection made. `on_event` is called with each `Connected`, `ConnectionLost` and
    `Reconnecting`; it must not block.

    `on_connect`, a coroutine function, is called with the client on each connection, the first
    included: for what is to be said first, such as a birth message. What it publishes comes before
    all that waits to be published, which goes on when it returns, as does `open_client`; only what
    had been sent on the connection before, and was not acknowledged, is sent again before it. When
    the connection is lost it is cancelled, and called anew on the next. What it raises ends the
    client, and is raised.

    `connector` opens the byte stream, in place of what the URL
    says. `authentication` is an authentication method of MQTT 5 (§4.12),
    such as `ScramClient`, which is used on every connection.

    With `follow_redirection`, the client goes where its broker sends it (MQTT 5.0 §4.11), through
    at most 5 servers in a row, and with what it would have told this one, its password included; so
    it never follows from TLS or a Unix socket to a server without TLS. Without it, being sent
    elsewhere is an error, whose `server_reference` says where.

    With `store`, the path of a file that only this client may use, what is to be delivered outlives
    the program: a message of QoS 1 or 2 is sent when it stands there, and stays there until the
    broker has acknowledged it; the next client with this `store` sends it again, in its order.
    So does the memory of received messages of QoS 2, from their acknowledgement on. The store also
    keeps the client identifier, if none is given. With it, `clean_start` is false and
    `session_expiry_interval` a day, unless they say otherwise: if the broker has lost the session,
    what it had acknowledged by halves comes a second time, or (QoS 2 whose PUBREC came) is given
    up. Publishing waits for a connection no more to store, up to 10,000 messages.

    Raises ConnectionFailedError (TlsError where it is TLS that fails) or
    ConnectionRefusedByBrokerError where no connection is made, ValueError or TypeError for what
    cannot be used, before anything is sent, StoreError for a store that cannot be,
    AuthenticationError where it is made with a broker that does not prove what it has to, and,
    while the block runs, whatever ends the client for good: a refusal that will not go away,
    another client that took over the session, or, without `reconnect`, ConnectionLostError. The
    block is cancelled then. Leaving the block sends DISCONNECT and takes at most 2 seconds.
    """
    check_options(
        url=url,
        client_id=client_id,
        username=username,
        password=password,
        session_expiry_interval=session_expiry_interval,
        keep_alive=keep_alive,
        connect_timeout=connect_timeout,
        reconnect=reconnect,
        properties=properties,
        on_connect=on_connect,
    )
    will = checked_will(will)
    address = parse_url(url)
    links = links_for(address, tls, websocket_headers)
    if isinstance(password, str):
        password = password.encode()
    if password is None and address.password is not None:
        password = address.password.encode()
    version = None if protocol_version is None else _version(protocol_version)
    if clean_start is None:
        clean_start = store is None
    if session_expiry_interval is None:
        session_expiry_interval = 0 if store is None else SESSION_EXPIRY_INTERVAL
    if not client_id and store is None and (version == ProtocolVersion.V31 or not clean_start):
        # MQTT 3.1 requires one; a session needs one to be found by.
        client_id = f"tmqtt-{secrets.token_hex(8)}"
    properties = properties or NO_PROPERTIES
    check_authentication(authentication, version, properties)
    if authentication is not None:
        version = ProtocolVersion.V5
    settings = Settings(
        address,
        client_id,
        address.username if username is None else username,
        password,
        clean_start,
        session_expiry_interval,
        keep_alive,
        will,
        connect_timeout,
        properties,
        connector or links,
        authentication,
    )
    upkeep = Upkeep(
        settings,
        version,
        reconnect=reconnect,
        follow_redirection=follow_redirection,
        on_event=on_event,
    )
    client = Client(upkeep)
    if on_connect is not None:
        upkeep.on_connect = partial(_greet, on_connect, client)
    raised: BaseException | None = None
    try:
        async with opened_journal(store, client_id) as journal, anyio.create_task_group() as tasks:
            try:
                if journal is not None:
                    upkeep.keep_in(journal)
                    tasks.start_soon(upkeep.keep_journal, journal, tasks.cancel_scope)
                connection = await upkeep.connect_first(wait_for_broker=wait_for_broker)
                tasks.start_soon(upkeep.stay_connected, connection, tasks.cancel_scope)
                upkeep.tell_connected(connection)
                if on_connect is not None:
                    await upkeep.greeted.wait()
                yield client
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # raised again, outside of the group
                raised = error
            finally:
                with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
                    await upkeep.close()
                upkeep.serving.cancel()
                upkeep.journaling.cancel()
    finally:
        if raised is None:
            raised = upkeep.failure
        if raised is not None:
            raise raised


async def _greet(on_connect: Callable[[Client], Awaitable[object] | None], client: Client) -> None:
    doing = on_connect(client)
    if doing is not None:
        await doing


class Client:
    """A connection to a broker that is kept up; `open_client` makes one.

    All methods may be called by many tasks at once.
    """

    def __init__(self, upkeep: Upkeep) -> None:
        self._upkeep = upkeep
        self._session = upkeep.session
        self._requests = Requests(upkeep.session, self)

    # What can be seen.

    @property
    def url(self) -> str:
        """The broker's address, without credentials."""
        return self._upkeep.settings.address.url

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._session.connection is not None

    @property
    def status(self) -> ClientStatus:
        """How the connection stands, and why."""
        return self._upkeep.status

    @property
    def late_responses(self) -> int:
        """Responses that came when their `request` no longer waited, or had one already."""
        return self._requests.late

    @property
    def client_id(self) -> str:
        """The client identifier, the broker's choice included."""
        return self._upkeep.settings.client_id

    @property
    def protocol_version(self) -> ProtocolVersion:
        """The protocol version in use."""
        return self._upkeep.version or ProtocolVersion.V5

    @property
    def server_properties(self) -> Properties:
        """What the broker said in CONNACK (MQTT 5.0 §3.2.2.3); empty while not connected."""
        connection = self._session.connection
        return connection.connack.properties if connection is not None else NO_PROPERTIES

    async def wait_connected(self) -> None:
        """Wait until there is a connection. Raises the error that ended the client."""
        await self._session.connected()

    @plain_block("with client.events() as events:")
    def events(self) -> Iterator[ConnectionEvents]:
        """Follow the connection: yields an async iterator of events (bounded).

            with client.events() as events:
                async for event in events: ...

        It begins with how things stand: `Connected`, while there is a connection, or else
        `ConnectionLost` and, where the client waits, `Reconnecting`. So whoever follows knows of
        every connection, the first included. It ends when the client is closed.
        """
        events = self._upkeep.follow()
        try:
            yield events
        finally:
            self._upkeep.unfollow(events)

    async def reauthenticate(self) -> None:
        """Authenticate again on the connection that stands (MQTT 5.0 §4.12.1), as before it ends.

        Messages go on meanwhile. While disconnected it waits. Where the broker refuses, it ends the
        connection: DisconnectedByBrokerError, which ends the client. Raises AuthenticationError
        where the broker does not prove what it has to, which ends the client too,
        ConnectionLostError where the connection is lost meanwhile (the next one authenticates
        anyway), and LocalProtocolError where the client has no authentication method.

        Cancelling is safe: what was begun goes on without its caller.
        """
        settings = self._upkeep.settings
        if settings.authentication is None:
            raise LocalProtocolError("This client was opened without an authentication method.")
        await checkpoint_if_cancelled()
        while True:
            connection = await self._session.connected()
            running = connection.reauthentication
            if running is None:
                break
            await running.over()
        running = connection.reauthenticate(settings.authentication, settings.connect_timeout)
        await running.wait()

    # Publishing.

    async def publish(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> ReasonCode:
        """Publish a message; returns when the broker has taken responsibility for it.

        At QoS 0 that is when the message is handed to the connection, which sends what has been
        gathered at its next turn (at most 64 KiB or 256 packets wait); at QoS 1 when PUBACK has
        come, at QoS 2 PUBCOMP. While there is no connection, it waits for one. What was begun at
        QoS 1 and 2 is sent again on the next connection: with DUP where the broker has kept the
        session, anew where it has not.

        Cancelling is safe, and so is a time-out of your own, `with anyio.fail_after(5):`. Either
        nothing has been sent, or the delivery goes on without its caller until the broker has
        answered; only if the broker loses the session it is given up.
        Of a burst at QoS 0 that leaves in one piece, only the first message looks for cancellation.

        Returns the broker's reason code, such as NO_MATCHING_SUBSCRIBERS. Raises RefusedError where
        that is a refusal, LocalProtocolError (a ValueError) for what MQTT or this broker does not
        allow (topic, QoS, RETAIN, size, properties), and TypeError for arguments of other types:
        these two before anything is sent. Raises ConnectionLostError where the connection will not
        come back, or where a broker lost the session when a message of QoS 2 was half delivered.
        """
        session = self._session
        if not isinstance(payload, bytes):
            payload = payload_bytes(payload)
        if properties is None:
            properties = NO_PROPERTIES
        elif properties:
            self._check_properties(properties)
        connection = session.connection
        if connection is None or type(topic) is not str or type(qos) is not int:
            # What is wrong is told now, not when there is a connection.
            check_topic(topic)
            check_qos(qos)
        if connection is None or connection.idle:
            # Of a burst that leaves in one piece, the first message looks for cancellation.
            await checkpoint_if_cancelled()
            connection = session.connection
        if (
            qos == 0
            and connection is not None
            and not session.waiting_unacknowledged
            and not connection.full
        ):
            head, after = connection.protocol.message_head(
                topic, len(payload), 0, retain, properties
            )
            connection.gather_message(head + after, payload)
            connection.flush_soon()
            return ReasonCode.SUCCESS
        if qos < 0:
            check_qos(qos)
        session.begin_to_wait()
        try:
            item = session.publish(topic, payload, qos, retain, properties)
            await item.wait()
        finally:
            session.end_to_wait()
        if item.error is not None:
            raise item.error
        if item.reason.is_failure:
            raise refused_message(self.url, item)
        return item.reason

    def publish_nowait(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> None:
        """Publish a message at QoS 0 without waiting, for callbacks and other code that cannot.

        Raises anyio.WouldBlock, and sends nothing, where `publish` would wait: without a connection
        and where too much waits to be written. Raises otherwise as `publish` does.
        """
        payload = payload_bytes(payload)
        check_topic(topic)
        if properties:
            self._check_properties(properties)
        session = self._session
        connection = session.connection
        if (
            connection is None
            or connection.full
            or (session.waiting_unacknowledged and not session.speaks_first)
        ):
            raise anyio.WouldBlock
        connection.gather_message(
            b"".join(
                connection.protocol.message_head(
                    topic, len(payload), 0, retain, properties or NO_PROPERTIES
                )
            ),
            payload,
        )
        connection.flush_soon()

    @property
    def undelivered(self) -> int:
        """How many messages of QoS 1 and 2 the broker has not acknowledged yet, stored ones too."""
        return len(self._session.sender)

    async def enqueue(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        qos: int = 1,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> None:
        """Hand a message of QoS 1 or 2 to the client's store; returns when it stands there.

        From then on it is delivered whatever becomes of the connection and of this program: as soon
        as there is a connection, by this client or by the next one with the same `store`. Its
        delivery is not waited for (`undelivered` counts what is left); a refusal is logged.
        Cancelled before it returns, the message is sent and stored either for good or not at all.

        Raises LocalProtocolError where the client has no store, and what `publish` raises for
        arguments that are wrong.
        """
        session = self._session
        if session.journal is None:
            raise LocalProtocolError(
                "This client has no store to keep messages in: open it with store=PATH."
            )
        check_topic(topic)
        check_qos(qos)
        if qos == 0:
            raise LocalProtocolError("A message of QoS 0 is not kept: QoS 1 and 2 are.")
        payload = payload_bytes(payload)
        if properties:
            self._check_properties(properties)
        await checkpoint_if_cancelled()
        item = session.publish(
            topic, payload, qos, retain, properties or NO_PROPERTIES, self._ended
        )
        await item.turn()
        if item.error is not None:
            raise item.error
        await session.safe(item)

    def _ended(self, item: Outgoing) -> None:
        """A message that nobody waits for is delivered, or will not be."""
        if item.error is None and item.reason.is_failure:
            logger.warning("%s", refused_message(self.url, item))

    async def publish_many(
        self,
        messages: Iterable[tuple[str, Payload]],
        *,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> int:
        """Publish pairs of topic and payload, in their order; returns how many.

        Like a `publish` for each, but they do not wait for each other, and it costs less: it
        returns when the broker has taken responsibility for all of them. No more are taken from
        `messages` than can be sent: when the connection or the receive maximum is used up, it
        waits, and so it does while there is no connection. Several may run at once, and beside
        `publish`.

            await client.publish_many((("log", line) for line in lines), qos=1)

        The first message that the broker refuses ends it: no more are begun, those that were are
        brought to their end, and RefusedError is raised. What `messages` raises ends it too, as
        does a message that is none (LocalProtocolError, TypeError), and cancelling: those that were
        begun go on without their caller then, as with `publish`.
        """
        check_qos(qos)
        if properties:
            self._check_properties(properties)
        await checkpoint_if_cancelled()
        return await publish_batch(
            self._session, self.url, messages, qos, retain, properties or NO_PROPERTIES
        )

    async def request(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        timeout: float | None = 10.0,  # noqa: ASYNC109 # it is told to the responder, too
        qos: int = 1,
        properties: Properties | None = None,
    ) -> Message:
        """Publish a request and return the response (MQTT 5.0 §4.10).

            answer = await client.request("lamp/get", timeout=2)

        The responder publishes on the request's response topic, with its correlation data:
        `await message.respond(...)` does. All requests of a client share one response topic, and
        one subscription to it: within what the broker suggests (response information), otherwise a
        topic nobody can guess. The message expires at the broker after `timeout` seconds, unless
        `properties` say otherwise; None waits for ever.

        Raises TimeoutError where no response came within `timeout` seconds, RefusedError where the
        broker refuses the request or the subscription, and where it says that nobody listens
        (NO_MATCHING_SUBSCRIBERS, at QoS 1 and 2), and LocalProtocolError in MQTT 3, which has no
        requests. Otherwise it raises as `publish` does. Cancelling is safe: a response that comes
        later is counted in `late_responses`.
        """
        payload = payload_bytes(payload)
        check_topic(topic)
        check_qos(qos)
        if properties:
            self._check_properties(properties)
        if self.protocol_version != ProtocolVersion.V5:
            raise LocalProtocolError(
                f"MQTT {self.protocol_version.text}, which the broker at {self.url} speaks, has no"
                " requests: publish and subscribe on topics of your choice."
            )
        return await self._requests.request(topic, payload, timeout, qos, properties)

    def _check_properties(self, properties: Properties) -> None:
        if isinstance(properties, dict) and self._upkeep.version != ProtocolVersion.V5:
            raise LocalProtocolError(
                f"MQTT {self.protocol_version.text}, which the broker at {self.url} speaks,"
                " has no properties."
            )
        check_message_properties(properties)

    # Subscribing.

    @async_block("async with client.subscribe(...) as messages:")
    async def subscribe(
        self,
        *filters: str | Subscription,
        qos: int = 0,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        subscription_identifier: int | None = None,
        buffer: int = 1_000,
        overflow: Overflow = "wait",
        unsubscribe: bool = True,
        manual_acknowledgement: bool = False,
    ) -> AsyncIterator[Messages]:
        """Subscribe to topic filters; yields their messages, once the broker has granted them.

            async with client.subscribe("sensors/#", qos=1) as messages:
                async for message in messages:
                    print(message.topic, message.text)

        A filter that is to have options of its own is a `Subscription`, for which `qos`,
        `no_local`, `retain_as_published` and `retain_handling` do not count:
        `client.subscribe(Subscription("alarms/#", qos=2), "sensors/#")`. With a
        `subscription_identifier` (MQTT 5.0 §3.8.2.1.2), messages tell in their properties that they
        came for these filters; without one, they may still bear identifiers of the client's own.

        Leaving the block unsubscribes from filters that no other subscription of this client uses;
        `unsubscribe=False` leaves that to the end of the session, for sessions that are to collect
        messages while the program is away. `buffer` bounds the messages that wait here, `overflow`
        says what happens at the bound: "wait", "drop_oldest" or "drop_newest", of which `Messages`
        tells more. A message is acknowledged when it stands in the buffer of each subscription that
        it goes to, or, with `manual_acknowledgement`, when the program does it, by
        `async with message:` or `await message.ack()`; acknowledgements leave in the order of the
        messages, as MQTT demands, so that one that is due waits for those before it. What has not
        been acknowledged when the connection ends comes again if the session is resumed; a program
        that never acknowledges comes to receive nothing more of QoS 1 and 2 (receive maximum).

        The same filter may be subscribed to many times; each time brings its retained messages.

        Subscriptions that overlap get each their own copy. (MQTT 3 cannot tell for which of them a
        copy was sent: where its broker sends several, each of them goes to all.)

        Raises RefusedError where the broker refuses a filter: it says which and why, and the
        others are given back. Raises LocalProtocolError, which is a ValueError, for what is not a
        topic filter or another option, and for what the broker said it does not have, and TypeError
        for a filter that is not a str. While disconnected it waits.
        """
        check_filters(
            tuple(one.topic_filter if isinstance(one, Subscription) else one for one in filters)
        )
        options: dict[str, Options] = {}
        for one in filters:
            if not isinstance(one, Subscription):
                one = Subscription(one, qos, no_local, retain_as_published, retain_handling)
            check_subscription(
                one.qos, one.retain_handling, buffer, overflow, manual_acknowledgement
            )
            options[one.topic_filter] = Options(
                one.qos,
                one.no_local,
                one.retain_as_published,
                one.retain_handling,
                subscription_identifier,
            )
        session = self._session
        self._check_filters(tuple(options))
        if subscription_identifier is not None:
            self._check_identifier(subscription_identifier)
        messages = KINDS[overflow](
            tuple(options),
            buffer,
            lambda: session.incoming.relieved(messages),
            manual=manual_acknowledgement,
            publisher=self,
        )
        try:
            await grant(session, messages, options)
            yield messages
        finally:
            unused = release(session, messages)
            if unused and unsubscribe and session.error is None:
                await leave(session, unused)

    def _check_filters(self, filters: tuple[str, ...]) -> None:
        known = self.server_properties
        for topic_filter in filters:
            if has_wildcard(topic_filter) and not known.get("wildcard_subscription_available", 1):
                raise LocalProtocolError(
                    f"The broker at {self.url} has no wildcard subscriptions: {topic_filter!r}."
                )
            if topic_filter.startswith("$share/") and not known.get(
                "shared_subscription_available", 1
            ):
                raise LocalProtocolError(
                    f"The broker at {self.url} has no shared subscriptions: {topic_filter!r}."
                )

    def _check_identifier(self, identifier: int) -> None:
        if not 1 <= identifier <= MAX_VARIABLE_BYTE_INTEGER:
            raise LocalProtocolError(
                f"There is no subscription identifier {identifier}:"
                f" it is from 1 to {MAX_VARIABLE_BYTE_INTEGER:,}."
            )
        if self._session.connection is not None and not self._session.identifiers_available:
            raise LocalProtocolError(
                f"The broker at {self.url} has no subscription identifiers"
                f" (MQTT {self.protocol_version.text})."
            )


def _version(number: int) -> ProtocolVersion:
    try:
        return ProtocolVersion(number)
    except ValueError:
        raise LocalProtocolError(
            f"There is no protocol version {number}: it is 3 (MQTT 3.1), 4 (3.1.1) or 5."
        ) from None
