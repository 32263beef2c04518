"""The client for programs without async: scripts, notebooks, threads.

    from trio_mqtt import sync

    with sync.open_client("mqtt://localhost") as client:
        client.publish("test", "Hello")
        with client.subscribe("test") as messages:
            for message in messages:
                print(message.topic, message.text)

It is the asynchronous client, run in a thread of its own; each call here waits for one there. All
of it may be used by several threads at once, and Ctrl-C ends any wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from types import TracebackType
from typing import TypeVar

import anyio

from trio_mqtt.client import opening
from trio_mqtt.client.arguments import Payload
from trio_mqtt.client.blocks import plain_block
from trio_mqtt.client.client import Client as AsyncClient
from trio_mqtt.client.events import ConnectionEvent
from trio_mqtt.client.events import ConnectionEvents as AsyncConnectionEvents
from trio_mqtt.client.message import Message as AsyncMessage
from trio_mqtt.client.message import MessageContent
from trio_mqtt.client.messages import Messages as AsyncMessages
from trio_mqtt.client.packets import PacketEvent
from trio_mqtt.client.packets import PacketEvents as AsyncPacketEvents
from trio_mqtt.client.session.handles import PublishHandle as AsyncPublishHandle
from trio_mqtt.client.status import ClientStatus
from trio_mqtt.client.threads import Block, Bridge, Call, Inlet, Soon, called, entered
from trio_mqtt.errors import ConnectionLostError, MqttError
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Subscription
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

__all__ = [
    "Client",
    "ConnectionEvents",
    "Message",
    "Messages",
    "PacketEvents",
    "PublishHandle",
    "open_client",
]

T = TypeVar("T")

# Messages fetched by one call of the other thread, and given to it by one.
_FETCHED = 64
_GIVEN = 1_000


@plain_block("with sync.open_client(...) as client:")
def open_client(
    url: str | Sequence[str] = "mqtt://localhost:1883",
    *,
    backend: str = "asyncio",
    **options: object,
) -> Iterator[Client]:
    """Connect to a broker; yields a `Client` once it has accepted the connection.

    `options` are those of `trio_mqtt.open_client`, and so are the errors. What ends the client for
    good is raised by the calls that wait, and at the end of the block. `backend` is the event loop
    that runs in the thread: "asyncio" or "trio".

    In a notebook, where the block does not fit a cell, `contextlib.ExitStack` holds it open:
    `stack = ExitStack(); client = stack.enter_context(sync.open_client())`, and in the end
    `stack.close()`.
    """
    with Bridge(backend, _into_trio if backend == "trio" else _into_asyncio) as bridge:
        block = Block(bridge, partial(opening.open_client, url, **options))  # type: ignore[arg-type]  # checked there
        client = block.enter()
        try:
            yield Client(bridge, client)
        except BaseException as error:
            # What happened here is nothing to raise in the other thread.
            try:
                _close(bridge, block)
            except MqttError:
                raise error from None  # it came first
            raise
        else:
            _close(bridge, block)


def _into_asyncio() -> Soon:
    return asyncio.get_running_loop().call_soon_threadsafe


def _into_trio() -> Soon:
    import trio

    return trio.lowlevel.current_trio_token().run_sync_soon


def _close(bridge: Bridge, block: Block[AsyncClient]) -> None:
    """End the client, and with it what other threads still wait for."""
    bridge.close()
    try:
        block.leave()
    finally:
        bridge.leave_blocks()


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
        return _message(answer, self)

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


class PublishHandle:
    """A message that is being published: wait for it, or withdraw it while it has not been sent."""

    def __init__(self, handle: AsyncPublishHandle, client: Client) -> None:
        self._handle = handle
        self._client = client

    @property
    def topic(self) -> str:
        """What it is published on."""
        return self._handle.topic

    @property
    def done(self) -> bool:
        """Whether it has come to its end: taken, refused or withdrawn."""
        return self._handle.done

    def withdraw(self) -> bool:
        """Have it never sent; returns whether that came in time."""
        return self._client.call(partial(called, self._handle.withdraw))

    def wait(self, timeout: float | None = None) -> ReasonCode:
        """Wait until the broker has taken it; returns and raises as `publish`."""
        return self._client.call(self._handle.wait, timeout)


class Messages:
    """The messages of one `subscribe`, in the order of their arrival: iterate over it.

    Several threads may iterate; each message goes to one of them. Up to 64 messages are fetched at
    once, beside the `buffer` that the subscription was given.
    """

    def __init__(self, messages: AsyncMessages, client: Client) -> None:
        self._messages = messages
        self._client = client
        most = min(_FETCHED, messages.buffer)
        self._inlet = Inlet(client.call, lambda: messages.take(most))

    @property
    def filters(self) -> tuple[str, ...]:
        """The topic filters subscribed to."""
        return self._messages.filters

    @property
    def dropped(self) -> int:
        """How many messages were dropped because nobody took them in time."""
        return self._messages.dropped

    def __len__(self) -> int:
        """How many messages wait to be taken."""
        return len(self._messages) + len(self._inlet)

    def __iter__(self) -> Messages:
        return self

    def __next__(self) -> Message:
        return _message(self._inlet.next(None), self._client)

    def get(self, timeout: float | None = None) -> Message:
        """The next message. Raises TimeoutError where none comes within `timeout` seconds."""
        try:
            message = self._inlet.next(timeout)
        except StopIteration:
            raise ConnectionLostError("The subscription is closed.") from None
        return _message(message, self._client)

    def until_quiet(self, timeout: float) -> Iterator[Message]:
        """The messages that come, until none has come for `timeout` seconds."""
        while True:
            try:
                message = self._inlet.next(timeout)
            except (TimeoutError, StopIteration):
                return
            yield _message(message, self._client)


class ConnectionEvents:
    """What becomes of a client's connection: iterate over it, until the client is closed.

    Several threads may iterate; each event goes to one. Of more than 100, the oldest is forgotten.
    """

    def __init__(self, events: AsyncConnectionEvents, client: Client) -> None:
        self._inlet = Inlet(client.call, events.take)

    def __iter__(self) -> ConnectionEvents:
        return self

    def __next__(self) -> ConnectionEvent:
        try:
            return self._inlet.next(None)
        except MqttError:  # the client is closed: nothing else keeps from asking
            raise StopIteration from None

    def get(self, timeout: float | None = None) -> ConnectionEvent:
        """The next event. Raises TimeoutError where none comes within `timeout` seconds."""
        try:
            return self._inlet.next(timeout)
        except StopIteration:
            raise ConnectionLostError("The client is closed.") from None


class PacketEvents:
    """The packets of a client's connections: iterate over it, until the client is closed."""

    def __init__(self, packets: AsyncPacketEvents, client: Client) -> None:
        self._packets = packets
        self._inlet = Inlet(client.call, packets.take)

    @property
    def missed(self) -> int:
        """How many were forgotten because nobody took them in time."""
        return self._packets.missed

    def __iter__(self) -> PacketEvents:
        return self

    def __next__(self) -> PacketEvent:
        try:
            return self._inlet.next(None)
        except MqttError:  # the client is closed: nothing else keeps from asking
            raise StopIteration from None


@dataclass(slots=True)
class Message(MessageContent):
    """A message that a subscription received.

    With `manual_acknowledgement` of `subscribe`, `with message:` acknowledges it at the end of the
    block, unless an exception leaves it, and so does `message.ack()`.
    """

    _message: AsyncMessage | None = field(default=None, repr=False, compare=False)
    _client: Client | None = field(default=None, repr=False, compare=False)

    def ack(self, reason_code: ReasonCode = ReasonCode.SUCCESS, *, reason_string: str = "") -> None:
        """Let the broker know that the message has been dealt with, or is refused."""
        if self._message is not None and self._client is not None:
            self._client.call(partial(self._message.ack, reason_code, reason_string=reason_string))

    def __enter__(self) -> Message:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.ack()

    def respond(
        self,
        payload: Payload = b"",
        *,
        qos: int | None = None,
        retain: bool = False,
        properties: Properties | None = None,
        timeout: float | None = None,
    ) -> ReasonCode:
        """Publish a response: on the message's response topic, with its correlation data."""
        if self._message is None or self._client is None:
            raise ValueError("This message did not come through a client.")
        return self._client.call(
            partial(self._message.respond, payload, qos=qos, retain=retain, properties=properties),
            timeout,
        )


def _message(message: AsyncMessage, client: Client) -> Message:
    return Message(
        message.topic,
        message.payload,
        message.qos,
        message.retain,
        message.dup,
        message.properties,
        message,
        client,
    )
