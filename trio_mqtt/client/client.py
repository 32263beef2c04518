"""The `Client` that `open_client` yields: publish and subscribe."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from trio_mqtt.client.arguments import (
    Payload,
    check_buffer,
    check_filters,
    check_qos,
    check_topic,
    payload_bytes,
)
from trio_mqtt.client.blocks import async_block
from trio_mqtt.client.connected_client import ConnectedClient
from trio_mqtt.client.connection.attempts import Attempts
from trio_mqtt.client.connection.reconnection import Reconnection
from trio_mqtt.client.connection.reports import Reports
from trio_mqtt.client.message import Message
from trio_mqtt.client.messages import KINDS, Messages, Overflow
from trio_mqtt.client.session.batches import publish_batch
from trio_mqtt.client.session.delivery import Delivery
from trio_mqtt.client.session.granting import granted, unsubscribe
from trio_mqtt.client.session.handles import PublishHandle
from trio_mqtt.client.session.requests import Requests
from trio_mqtt.client.session.send_queues import MAX_WAITING
from trio_mqtt.client.session.session import Session
from trio_mqtt.client.session.subscriptions import checked_options
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Subscription
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

logger = logging.getLogger("trio_mqtt.client")


class Client(ConnectedClient):
    """A connection to a broker that is kept up; `open_client` makes one.

    All methods may be called by many tasks at once.
    """

    def __init__(
        self, session: Session, attempts: Attempts, reports: Reports, reconnection: Reconnection
    ) -> None:
        super().__init__(session, attempts, reports, reconnection)
        self._outgoing = session.outgoing
        self._requests = Requests(session, self)

    @property
    def late_responses(self) -> int:
        """Responses that came when their `request` no longer waited, or had one already."""
        return self._requests.late

    @property
    def bytes_saved(self) -> int:
        """How many bytes fewer were sent for topic aliases, on all connections so far."""
        return self._attempts.savings.bytes

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

        Returns the broker's reason code, such as NO_MATCHING_SUBSCRIBERS. Raises
        RequestRefusedError where that is a refusal, LocalProtocolError (a ValueError) for what MQTT
        or this broker does not allow (topic, QoS, RETAIN, size, properties), and TypeError for
        arguments of other types: these two before anything is sent. Raises ConnectionLostError
        where the connection will not come back, or where a broker lost the session when a message
        of QoS 2 was half delivered.
        """
        session = self._session
        outgoing = self._outgoing
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
            and not outgoing.waiting_unacknowledged
            and not connection.full
        ):
            head, after = connection.message_head(topic, len(payload), 0, retain, properties)
            connection.gather_message(head + after, payload)
            connection.flush_soon()
            return ReasonCode.SUCCESS
        if qos < 0:
            check_qos(qos)
        session.begin_to_wait()
        try:
            item = outgoing.publish(topic, payload, qos, retain, properties)
            await item.wait()
        finally:
            session.end_to_wait()
        if item.error is not None:
            raise item.error
        if item.reason.is_failure:
            raise item.refusal(self.url)
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
        outgoing = self._outgoing
        connection = outgoing.connection
        if (
            connection is None
            or connection.full
            or (outgoing.waiting_unacknowledged and not outgoing.queues.speaks_first)
        ):
            raise anyio.WouldBlock
        connection.gather_message(
            b"".join(
                connection.message_head(topic, len(payload), 0, retain, properties or NO_PROPERTIES)
            ),
            payload,
        )
        connection.flush_soon()

    def begin_publish(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> PublishHandle:
        """Publish a message without waiting: it is sent now, or when those before it have been.

            handle = client.begin_publish("lamp", "on", qos=1)
            if not handle.withdraw():  # it has been sent already
                await handle.wait()

        The handle waits for it, or withdraws it while it has not been sent, as while there is no
        connection. Who lets go of the handle has it sent all the same. Raises anyio.WouldBlock
        where 1,000 messages wait already, and otherwise, for what is wrong, as `publish` does.
        """
        payload = payload_bytes(payload)
        check_topic(topic)
        check_qos(qos)
        if properties:
            self._check_properties(properties)
        outgoing = self._outgoing
        if outgoing.queues.waiting >= MAX_WAITING:
            raise anyio.WouldBlock
        item = outgoing.publish_soon(topic, payload, qos, retain, properties or NO_PROPERTIES)
        return PublishHandle(self._session, item, self.url)

    @property
    def undelivered(self) -> int:
        """How many messages of QoS 1 and 2 the broker has not acknowledged yet, stored ones too."""
        return len(self._outgoing.sender)

    async def enqueue(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        qos: int = 1,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> PublishHandle:
        """Hand a message of QoS 1 or 2 to the client's store; returns when it stands there.

        From then on it is delivered whatever becomes of the connection and of this program: as soon
        as there is a connection, by this client or by the next one with the same `store`. Its
        delivery is not waited for (`undelivered` counts what is left); a refusal is logged. The
        handle that it returns does, or withdraws it while it has not been sent.
        Cancelled before it returns, the message is sent and stored either for good or not at all.

        Raises LocalProtocolError where the client has no store, and what `publish` raises for
        arguments that are wrong.
        """
        outgoing = self._outgoing
        if outgoing.journal is None:
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
        item = outgoing.publish(
            topic, payload, qos, retain, properties or NO_PROPERTIES, self._log_refusal
        )
        item.await_too()
        await item.turn()
        if item.error is not None:
            raise item.error
        await item.safe()
        return PublishHandle(self._session, item, self.url)

    def _log_refusal(self, item: Delivery) -> None:
        """A message that nobody waits for has come to its end."""
        if item.error is None and item.reason.is_failure:
            logger.warning("%s", item.refusal(self.url))

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
        brought to their end, and RequestRefusedError is raised. What `messages` raises ends it too,
        as does a message that is none (LocalProtocolError, TypeError), and cancelling: those that
        were begun go on without their caller then, as with `publish`.
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

        Raises TimeoutError where no response came within `timeout` seconds, RequestRefusedError
        where the broker refuses the request or the subscription, and where it says that nobody
        listens (NO_MATCHING_SUBSCRIBERS, at QoS 1 and 2), and LocalProtocolError in MQTT 3, which
        has no requests. Otherwise it raises as `publish` does. Cancelling is safe: a response that
        comes later is counted in `late_responses`.
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
        properties: Properties | None = None,
        unsubscribe_properties: Properties | None = None,
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

        `properties` and `unsubscribe_properties` are user properties of SUBSCRIBE and UNSUBSCRIBE,
        such as `{"user_property": [("name", "value")]}`. Filters go together in one packet, up to
        as many as `filters_per_packet` of `open_client` says and the broker's maximum packet size.

        The same filter may be subscribed to many times; each time brings its retained messages.

        Subscriptions that overlap get each their own copy. (MQTT 3 cannot tell for which of them a
        copy was sent: where its broker sends several, each of them goes to all.)

        Raises RequestRefusedError where the broker refuses a filter: it says which and why, and the
        others are given back. Raises LocalProtocolError, which is a ValueError, for what is not a
        topic filter or another option, and for what the broker said it does not have, and TypeError
        for a filter that is not a str. While disconnected it waits.
        """
        options = checked_options(
            filters,
            qos,
            no_local,
            retain_as_published,
            retain_handling,
            subscription_identifier,
            self._request_properties(properties),
        )
        leaving = self._request_properties(unsubscribe_properties)
        check_buffer(buffer, overflow, manual_acknowledgement)
        session = self._session
        session.subscribing.check_available(tuple(options), subscription_identifier)
        messages = KINDS[overflow](
            tuple(options),
            buffer,
            lambda: session.incoming.relieved(messages),
            manual=manual_acknowledgement,
            publisher=self,
        )
        async with granted(session, messages, options, unsubscribe=unsubscribe, properties=leaving):
            yield messages

    async def unsubscribe(
        self, *filters: str, properties: Properties | None = None
    ) -> list[ReasonCode]:
        """End subscriptions that an earlier program left in the session (MQTT 5.0 §3.10).

        Those of this program end with their blocks. Returns the broker's reason code for each
        filter, such as NO_SUBSCRIPTION_EXISTED, which MQTT 3 does not have; `properties` are user
        properties. While disconnected it waits.

        Raises RequestRefusedError where the broker refuses, LocalProtocolError for a filter of an
        open block and for what is no topic filter, and TypeError for what is not a str.
        """
        check_filters(filters)
        wanted = self._request_properties(properties)
        return await unsubscribe(self._session, filters, wanted)
