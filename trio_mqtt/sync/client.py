"""The calls of a client, each of which waits for one of the asynchronous client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from functools import partial
from itertools import islice
from typing import TypeVar

import anyio

from trio_mqtt.client.arguments import Payload
from trio_mqtt.client.blocks import plain_block
from trio_mqtt.client.client import Client as AsyncClient
from trio_mqtt.client.status import ClientStatus
from trio_mqtt.client.threads import Block, Bridge, Call, called, entered
from trio_mqtt.errors import ConnectionLostError
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Subscription
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.sync.events import ConnectionEvents, PacketEvents
from trio_mqtt.sync.handles import PublishHandle
from trio_mqtt.sync.messages import Message, Messages, message_for

T = TypeVar("T")

_GIVEN = 1_000  # messages at most, by one call of the other thread


class Client:
    """A connection to a broker that is kept up; `open_client` makes one.

    `timeout`, in seconds, bounds any call that has it: it raises TimeoutError then, and as with a
    cancelled call of the asynchronous client, either nothing has been sent or the delivery goes on.
    """

    def __init__(self, bridge: Bridge, client: AsyncClient) -> None:
        self._bridge = bridge
        self._client = client

    @property
    def url(self) -> str:
        """The broker's address, without credentials."""
        return self._client.url

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._client.connected

    @property
    def status(self) -> ClientStatus:
        """How the connection stands, and why."""
        return self._client.status

    @property
    def client_id(self) -> str:
        """The client identifier, the broker's choice included."""
        return self._client.client_id

    @property
    def protocol_version(self) -> ProtocolVersion:
        """The protocol version in use."""
        return self._client.protocol_version

    @property
    def server_properties(self) -> Properties:
        """What the broker said in CONNACK (MQTT 5.0 §3.2.2.3); empty while not connected."""
        return self._client.server_properties

    @property
    def late_responses(self) -> int:
        """Responses that came when their `request` no longer waited, or had one already."""
        return self._client.late_responses

    @property
    def bytes_saved(self) -> int:
        """How many bytes fewer were sent for topic aliases, on all connections so far."""
        return self._client.bytes_saved

    def wait_connected(self, timeout: float | None = None) -> None:
        """Wait until there is a connection. Raises the error that ended the client."""
        self.call(self._client.wait_connected, timeout)

    def reconnect(self, timeout: float | None = None) -> None:
        """End the connection that stands, in order, and make the next one at once."""
        self.call(self._client.reconnect, timeout)

    def disconnect(
        self,
        reason_code: ReasonCode = ReasonCode.SUCCESS,
        *,
        properties: Properties | None = None,
    ) -> None:
        """End the client as leaving its block does, with what DISCONNECT is to say (§3.14.2)."""
        self.call(partial(self._client.disconnect, reason_code, properties=properties))

    def reauthenticate(self, timeout: float | None = None) -> None:
        """Authenticate again on the connection that stands (MQTT 5.0 §4.12.1)."""
        self.call(self._client.reauthenticate, timeout)

    def publish(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
        timeout: float | None = None,
    ) -> ReasonCode:
        """Publish a message; returns when the broker has taken responsibility for it."""
        return self.call(
            partial(
                self._client.publish,
                *(topic, payload),
                qos=qos,
                retain=retain,
                properties=properties,
            ),
            timeout,
        )

    def begin_publish(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> PublishHandle:
        """Publish a message without waiting: the handle waits for it, or withdraws it."""
        begin = partial(
            self._client.begin_publish,
            *(topic, payload),
            qos=qos,
            retain=retain,
            properties=properties,
        )
        return PublishHandle(self.call(partial(called, begin)), self)

    @property
    def undelivered(self) -> int:
        """How many messages of QoS 1 and 2 the broker has not acknowledged yet, stored ones too."""
        return self._client.undelivered

    def enqueue(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        qos: int = 1,
        retain: bool = False,
        properties: Properties | None = None,
        timeout: float | None = None,
    ) -> PublishHandle:
        """Hand a message of QoS 1 or 2 to the client's store; returns when it stands there."""
        enqueue = partial(
            self._client.enqueue,
            *(topic, payload),
            qos=qos,
            retain=retain,
            properties=properties,
        )
        return PublishHandle(self.call(enqueue, timeout), self)

    def publish_many(
        self,
        messages: Iterable[tuple[str, Payload]],
        *,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
        timeout: float | None = None,
    ) -> int:
        """Publish pairs of topic and payload, in their order; returns how many.

        They are taken from `messages` by the thousand, and published while the next are not yet
        asked for. `timeout` is for each thousand.
        """
        source = iter(messages)
        count = 0
        while some := list(islice(source, _GIVEN)):
            count += self.call(
                partial(
                    self._client.publish_many,
                    some,
                    qos=qos,
                    retain=retain,
                    properties=properties,
                ),
                timeout,
            )
        return count

    def request(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        timeout: float | None = 10.0,
        qos: int = 1,
        properties: Properties | None = None,
    ) -> Message:
        """Publish a request and return the response (MQTT 5.0 §4.10)."""
        answer = self.call(
            partial(
                self._client.request,
                *(topic, payload),
                timeout=timeout,
                qos=qos,
                properties=properties,
            )
        )
        return message_for(self, answer)

    @plain_block("with client.subscribe(...) as messages:")
    def subscribe(
        self, *filters: str | Subscription, buffer: int = 1_000, **options: object
    ) -> Iterator[Messages]:
        """Subscribe to topic filters; yields their messages, once the broker has granted them.

        `options` are those of the asynchronous `Client.subscribe`.
        """
        subscribe = partial(self._client.subscribe, *filters, buffer=buffer, **options)  # type: ignore[arg-type]  # checked there
        block = Block(self._bridge, subscribe)
        messages = block.enter()
        try:
            yield Messages(messages, self)
        finally:
            block.leave()

    def unsubscribe(
        self, *filters: str, properties: Properties | None = None, timeout: float | None = None
    ) -> list[ReasonCode]:
        """End subscriptions that an earlier program left in the session (MQTT 5.0 §3.10)."""
        return self.call(
            partial(self._client.unsubscribe, *filters, properties=properties), timeout
        )

    @plain_block("with client.events() as events:")
    def events(self) -> Iterator[ConnectionEvents]:
        """Follow the connection with `for event in events`, as by the asynchronous `events`."""
        block = Block(self._bridge, partial(entered, self._client.events))
        events = block.enter()
        try:
            yield ConnectionEvents(events, self)
        finally:
            block.leave()

    @plain_block("with client.packets() as packets:")
    def packets(self) -> Iterator[PacketEvents]:
        """Follow the packets that are sent and received, as by the asynchronous `packets`."""
        block = Block(self._bridge, partial(entered, self._client.packets))
        packets = block.enter()
        try:
            yield PacketEvents(packets, self)
        finally:
            block.leave()

    def call(self, work: Callable[[], Awaitable[T]], timeout: float | None = None) -> T:
        """Wait for `work` in the client's thread; whatever ends the wait here ends it there."""

        async def bounded() -> T:
            with anyio.fail_after(timeout):
                return await work()

        call = Call[T]()
        try:
            self._bridge.begin(call, bounded)
            return call.outcome.result()
        except CancelledError:
            # The client has ended, and with it what waited.
            raise self.status.reason or ConnectionLostError("The client is closed.") from None
        except BaseException:
            self._bridge.cancel(call)
            raise
