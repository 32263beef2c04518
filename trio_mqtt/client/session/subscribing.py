"""SUBSCRIBE and UNSUBSCRIBE, and who waits for their answers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anyio

from trio_mqtt.client.connection.connection import Connection
from trio_mqtt.client.explanations import explanation
from trio_mqtt.client.session.subscriptions import (
    Request,
    Subscriptions,
    in_packets,
    together,
)
from trio_mqtt.errors import LocalProtocolError, MqttError, RemoteProtocolError, RequestRefusedError
from trio_mqtt.protocol.delivery import Sender
from trio_mqtt.protocol.packets import SubAck, Subscribe, UnsubAck, Unsubscribe
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.topics import has_wildcard
from trio_mqtt.protocol.wire import MAX_VARIABLE_BYTE_INTEGER

# A SUBSCRIBE of so many filters of usual length is one that any broker takes, mostly.
FILTERS_PER_PACKET = 100

logger = logging.getLogger("trio_mqtt.client")


class Pending:
    """A SUBSCRIBE or UNSUBSCRIBE that waits for its answer."""

    __slots__ = ("_done", "answer", "awaits", "count", "error", "on_answer")

    def __init__(
        self,
        awaits: type[SubAck | UnsubAck],
        count: int,
        on_answer: Callable[[SubAck | UnsubAck], None] | None = None,
    ) -> None:
        self.awaits = awaits
        self.count = count  # topic filters in the request
        self.on_answer = on_answer
        self.answer: SubAck | UnsubAck | None = None
        self.error: MqttError | None = None
        self._done = anyio.Event()

    def finish(self, answer: SubAck | UnsubAck) -> None:
        self.answer = answer
        self._done.set()
        if self.on_answer is not None:
            self.on_answer(answer)

    def fail(self, error: MqttError) -> None:
        self.error = error
        self._done.set()

    async def wait(self) -> SubAck | UnsubAck:
        """The answer. Raises the error of the connection that ended before it came."""
        await self._done.wait()
        if self.answer is None:
            raise self.error or AssertionError("done without an answer")
        return self.answer


class Subscribing:
    """What a session asks of the broker, and what it has answered."""

    def __init__(self, sender: Sender[Any], subscriptions: Subscriptions) -> None:
        self.connection: Connection | None = None
        self._sender = sender  # whose packet identifiers these share (§2.2.1)
        self._subscriptions = subscriptions
        self._pending: dict[int, Pending] = {}
        # To unsubscribe from once connected again, and what UNSUBSCRIBE is to carry.
        self._left: dict[str, Properties] = {}
        self.filters_per_packet = FILTERS_PER_PACKET

    def attach(self, connection: Connection) -> None:
        """There is a new connection."""
        self.connection = connection

    def detach(self, error: MqttError) -> None:
        """The connection has ended: requests on it will not be answered."""
        self.connection = None
        pending, self._pending = self._pending, {}
        for request in pending.values():
            request.fail(error)

    @property
    def identifiers_available(self) -> bool:
        """Whether the broker sends subscription identifiers (MQTT 5.0 §3.2.2.3.12)."""
        connection = self.connection
        return (
            connection is not None
            and connection.protocol.version == 5
            and connection.connack.properties.get("subscription_identifier_available", 1) == 1
        )

    def check_available(self, filters: tuple[str, ...], identifier: int | None) -> None:
        """Raise LocalProtocolError for what the present broker said it does not have.

        And for an identifier that none has.
        """
        connection = self.connection
        if connection is not None:
            known = connection.connack.properties
            for topic_filter in filters:
                if has_wildcard(topic_filter) and not known.get(
                    "wildcard_subscription_available", 1
                ):
                    raise LocalProtocolError(
                        f"The broker at {connection.url} has no wildcard subscriptions:"
                        f" {topic_filter!r}."
                    )
                if topic_filter.startswith("$share/") and not known.get(
                    "shared_subscription_available", 1
                ):
                    raise LocalProtocolError(
                        f"The broker at {connection.url} has no shared subscriptions:"
                        f" {topic_filter!r}."
                    )
        if identifier is None:
            return
        if not 1 <= identifier <= MAX_VARIABLE_BYTE_INTEGER:
            raise LocalProtocolError(
                f"There is no subscription identifier {identifier}:"
                f" it is from 1 to {MAX_VARIABLE_BYTE_INTEGER:,}."
            )
        if connection is not None and not self.identifiers_available:
            raise LocalProtocolError(
                f"The broker at {connection.url} has no subscription identifiers"
                f" (MQTT {connection.protocol.version.text})."
            )

    def renew(self, connection: Connection, *, present: bool) -> None:
        """Ask a broker that has lost the session again; one that has kept it, for what changed."""
        left, self._left = self._left, {}
        if present:
            for properties, filters in _by_properties(left):
                self.unsubscribe(connection, filters, properties)
            return
        again = self._subscriptions.all_again(self.identifiers_available)
        for request in self.packets(connection, again):

            def refused(answer: SubAck | UnsubAck, request: Request = request) -> None:
                for entry, code in zip(request.filters, answer.reason_codes, strict=True):
                    if code.is_failure:
                        error = refusal(connection.url, [(entry.topic_filter, code)], answer)
                        logger.warning("%s", error)
                        for messages in entry.users:
                            messages.close(error)

            self.subscribe(connection, request, refused)

    def subscribe(
        self,
        connection: Connection,
        request: Request,
        on_answer: Callable[[SubAck | UnsubAck], None] | None = None,
    ) -> Pending:
        """Send SUBSCRIBE on the present connection."""
        pending = Pending(SubAck, len(request.subscriptions), on_answer)
        packet_id = self._sender.reserve_identifier()
        packet = Subscribe(packet_id, request.subscriptions, request.properties)
        return self._ask(connection, packet, pending)

    def packets(self, connection: Connection, requests: list[Request]) -> list[Request]:
        """What to ask for, as SUBSCRIBEs that this broker takes."""
        size = connection.protocol.peer_maximum_packet_size
        return together(requests, self.filters_per_packet, size)

    def unsubscribe(
        self, connection: Connection, filters: list[str], properties: Properties = NO_PROPERTIES
    ) -> list[Pending]:
        """Send UNSUBSCRIBE on the present connection, as many as these filters take."""
        size = connection.protocol.peer_maximum_packet_size
        pending = []
        for some in in_packets(filters, properties, self.filters_per_packet, size):
            packet_id = self._sender.reserve_identifier()
            packet = Unsubscribe(packet_id, some, properties)
            pending.append(self._ask(connection, packet, Pending(UnsubAck, len(some))))
        return pending

    def unsubscribe_later(self, filters: list[str], properties: Properties = NO_PROPERTIES) -> None:
        """There is no connection: should the session be resumed, unsubscribe then."""
        self._left.update(dict.fromkeys(filters, properties))

    def subscribed_again(self, topic_filter: str) -> None:
        """A filter that was to be left is used once more."""
        self._left.pop(topic_filter, None)

    def _ask(
        self, connection: Connection, packet: Subscribe | Unsubscribe, pending: Pending
    ) -> Pending:
        try:
            connection.write(connection.protocol.send(packet))
        except BaseException:
            self._sender.return_identifier(packet.packet_id)
            raise
        self._pending[packet.packet_id] = pending
        return pending

    def on_answer(self, packet: SubAck | UnsubAck) -> None:
        """The broker has answered. Raises RemoteProtocolError for what fits no request."""
        pending = self._pending.get(packet.packet_id)
        if pending is None:
            return
        if not isinstance(packet, pending.awaits):
            raise RemoteProtocolError(
                f"{type(packet).__name__.upper()} answers what awaits"
                f" {pending.awaits.__name__.upper()}"
            )
        # MQTT 3 has no codes in UNSUBACK.
        if packet.reason_codes or type(packet) is SubAck:
            codes = len(packet.reason_codes)
            if codes != pending.count:
                raise RemoteProtocolError(
                    f"{type(packet).__name__.upper()} has {codes} reason codes"
                    f" for {pending.count} topic filters"
                )
        del self._pending[packet.packet_id]
        self._sender.return_identifier(packet.packet_id)
        pending.finish(packet)


def _by_properties(left: dict[str, Properties]) -> list[tuple[Properties, list[str]]]:
    """Topic filters together that are left with equal properties."""
    found: list[tuple[Properties, list[str]]] = []
    for topic_filter, properties in left.items():
        same = next((filters for known, filters in found if known == properties), None)
        if same is None:
            found.append((properties, [topic_filter]))
        else:
            same.append(topic_filter)
    return found


def refusal(
    url: str,
    refused: list[tuple[str, ReasonCode]],
    answer: SubAck | UnsubAck,
    what: str = "the subscription",
) -> RequestRefusedError:
    """The error for topic filters that a broker did not grant, or not give back."""
    filters = ", ".join(f"{name!r} ({code.sentence})" for name, code in refused)
    return RequestRefusedError(
        f"The broker at {url} refused {what} to {filters}"
        f"{explanation(answer.properties, beside=refused[0][1])}.",
        refused[0][1],
    )
