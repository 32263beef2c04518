"""Our client, on both backends of AnyIO, against Mosquitto and aedes."""

from __future__ import annotations

import secrets
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import anyio
import pytest
from anyio.from_thread import BlockingPortal

import trio_mqtt
from tests.ports import free_port
from trio_mqtt import ProtocolVersion

from .behaviours import Behaviours
from .cable import Cable, open_cable
from .peers import (
    DEADLINE,
    SESSION_EXPIRY,
    AsyncPeer,
    Connect,
    Connecting,
    Message,
    OpenPeer,
    Server,
    Version,
    through_portal,
)

VERSIONS = {"3.1.1": ProtocolVersion.V311, "5": ProtocolVersion.V5}


class OurPeer:
    """Our client, and the messages of the one subscription that the behaviours make."""

    def __init__(
        self, client: trio_mqtt.Client, stack: AsyncExitStack, session_present: bool
    ) -> None:
        self.session_present: bool | None = session_present
        self.client = client
        self._stack = stack
        self._messages: trio_mqtt.Messages

    async def subscribe(self, topic_filter: str, qos: int) -> None:
        self._messages = await self._stack.enter_async_context(
            self.client.subscribe(topic_filter, qos=qos, unsubscribe=False)
        )

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        await self.client.publish(topic, payload, qos=qos, retain=retain)

    async def receive(self) -> Message:
        message = await anext(self._messages)
        return Message(message.topic, message.payload, message.qos, message.retain)


@asynccontextmanager
async def open_client(
    connecting: Connecting, protocol_version: ProtocolVersion | None
) -> AsyncIterator[AsyncPeer]:
    will = connecting.will
    sessions_present: list[bool] = []

    def on_event(event: trio_mqtt.events.ConnectionEvent) -> None:
        if isinstance(event, trio_mqtt.events.Connected):
            sessions_present.append(event.session_present)

    async with (
        trio_mqtt.open_client(
            connecting.server.url,
            client_id=connecting.client_id,
            protocol_version=protocol_version,
            clean_start=connecting.clean,
            session_expiry_interval=0 if connecting.clean else SESSION_EXPIRY,
            will=None
            if will is None
            else trio_mqtt.Will(will.topic, will.payload, will.qos, will.retain),
            connect_timeout=DEADLINE,
            on_event=on_event,
        ) as client,
        AsyncExitStack() as stack,
    ):
        assert client.protocol_version == VERSIONS[connecting.version]
        yield OurPeer(client, stack, sessions_present[0])


@pytest.fixture(params=["asyncio", "trio"])
def portal(
    request: pytest.FixtureRequest, asyncio_portal: BlockingPortal, trio_portal: BlockingPortal
) -> BlockingPortal:
    """The event loop that our client runs in."""
    return {"asyncio": asyncio_portal, "trio": trio_portal}[request.param]


@pytest.fixture
def open_peer(portal: BlockingPortal, version: Version) -> OpenPeer:
    # 5 is what it tries by itself.
    asked = None if version == "5" else VERSIONS[version]
    return through_portal(portal, partial(open_client, protocol_version=asked))


class Staying(Behaviours):
    """What our client does besides: it stays connected."""

    @pytest.mark.parametrize("qos", [1, 2])
    def test_the_client_returns_for_what_came_meanwhile(
        self, connect: Connect, cable: Cable, topic: str, qos: int
    ) -> None:
        client_id = f"returning-{secrets.token_hex(4)}"
        payloads = [f"message {number}".encode() for number in range(10)]
        with connect(client_id, at=cable.server, clean=False) as client, connect() as other:
            client.subscribe(topic, qos)
            with cable.interrupted():
                other.publish(topic, *payloads, qos=qos)

            assert [client.receive() for _ in payloads] == [
                Message(topic, payload, qos) for payload in payloads
            ]

    @pytest.mark.parametrize("qos", [1, 2])
    def test_the_client_returns_to_publish_and_subscribes_again(
        self, connect: Connect, cable: Cable, topic: str, qos: int
    ) -> None:
        with connect(at=cable.server) as client:
            client.subscribe(topic, qos)
            with cable.interrupted():
                pass
            client.publish(topic, b"back", qos=qos)

            assert client.receive() == Message(topic, b"back", qos)


class TestAgainstMosquitto(Staying):
    """Our client and Mosquitto, MQTT 3.1.1 and 5."""

    @pytest.fixture
    def server(self, mosquitto: Server) -> Server:
        return mosquitto


class TestAgainstAedes(Staying):
    """Our client and aedes, which knows no MQTT 5: the client finds out by itself."""

    @pytest.fixture
    def server(self, aedes: Server) -> Server:
        return aedes

    @pytest.fixture
    def version(self) -> Version:
        return "3.1.1"

    @pytest.fixture
    def open_peer(self, portal: BlockingPortal) -> OpenPeer:
        return through_portal(portal, partial(open_client, protocol_version=None))


class TestAgainstOurBroker(Staying):
    """Our client and our broker, MQTT 3.1.1 and 5."""


def test_the_next_server_is_taken_where_one_is_gone(
    portal: BlockingPortal,
    trio_portal: BlockingPortal,
    mosquitto: Server,
    aedes: Server,
    topic: str,
) -> None:
    """From one that is down to Mosquitto, and with the cable cut to aedes; and MQTT 3.1.1."""

    async def move(cable: Cable) -> None:
        urls = [f"mqtt://127.0.0.1:{free_port()}", cable.server.url, aedes.url]
        with anyio.fail_after(DEADLINE):
            async with trio_mqtt.open_client(urls, protocol_version=4) as client:
                assert client.url == cable.server.url
                async with client.subscribe(topic, qos=1) as messages:
                    with client.events() as events:
                        cut.set()
                        async for event in events:
                            if getattr(event, "url", None) == aedes.url:
                                break
                    await client.publish(topic, "here", qos=1)
                    assert (await anext(messages)).text == "here"

    cut = threading.Event()
    with open_cable(mosquitto, trio_portal) as cable:
        moving = portal.start_task_soon(move, cable)
        assert cut.wait(DEADLINE)
        cable.cut()
        moving.result(DEADLINE)


def test_a_broker_is_left_with_the_will(
    portal: BlockingPortal, mosquitto: Server, topic: str
) -> None:
    will = trio_mqtt.Will(topic, b"gone", qos=1)

    async def leave() -> None:
        async with (
            trio_mqtt.open_client(mosquitto.url) as watching,
            watching.subscribe(topic, qos=1) as messages,
        ):
            async with trio_mqtt.open_client(mosquitto.url, will=will) as client:
                await client.reconnect()  # which is no reason for the will
                await client.publish(topic, "here", qos=1)
                await client.disconnect(trio_mqtt.ReasonCode.DISCONNECT_WITH_WILL_MESSAGE)
            with anyio.fail_after(DEADLINE):
                assert [(await anext(messages)).text for _ in range(2)] == ["here", "gone"]

    portal.call(leave)


def test_many_filters_are_asked_for_in_few_packets(
    portal: BlockingPortal, mosquitto: Server, topic: str
) -> None:
    """Of eight each, as some brokers take no more, and in one, with user properties."""
    filters = [f"{topic}/{number}" for number in range(50)]

    async def subscribe(most: int) -> None:
        async with (
            trio_mqtt.open_client(mosquitto.url, filters_per_packet=most) as client,
            client.subscribe(
                *filters,
                qos=1,
                properties={"user_property": [("a", "b")]},
                unsubscribe_properties={"user_property": [("c", "d")]},
            ) as messages,
        ):
            await client.reconnect()
            for one in filters:
                await client.publish(one, one, qos=1)
            with anyio.fail_after(DEADLINE):
                assert [(await anext(messages)).topic for _ in filters] == filters

    for most in (8, 100):
        portal.call(subscribe, most)


@pytest.mark.parametrize("name", ["mosquitto", "aedes"])
def test_what_an_earlier_program_left_is_unsubscribed_from(
    portal: BlockingPortal, request: pytest.FixtureRequest, name: str, topic: str
) -> None:
    server: Server = request.getfixturevalue(name)
    session = partial(
        trio_mqtt.open_client,
        server.url,
        client_id="leaves-something",
        clean_start=False,
        session_expiry_interval=60,
    )

    async def leave() -> None:
        async with session() as client, client.subscribe(topic, qos=1, unsubscribe=False):
            pass
        async with session() as client:
            codes = await client.unsubscribe(topic, f"{topic}/none")
        existed = trio_mqtt.ReasonCode.NO_SUBSCRIPTION_EXISTED
        assert codes == [0, existed if name == "mosquitto" else 0]
        async with trio_mqtt.open_client(server.url) as other:
            await other.publish(topic, "for nobody", qos=1)
        async with session() as client, client.subscribe(f"{topic}/#", qos=1) as messages:
            await client.publish(topic, "new", qos=1)
            with anyio.fail_after(DEADLINE):
                assert (await anext(messages)).text == "new"

    portal.call(leave)


@pytest.mark.parametrize("qos", [1, 2])
def test_a_message_may_be_refused(
    portal: BlockingPortal, mosquitto: Server, topic: str, qos: int
) -> None:
    """It does not come again, and the next ones do."""
    code = trio_mqtt.ReasonCode.PAYLOAD_FORMAT_INVALID

    async def refuse() -> None:
        async with (
            trio_mqtt.open_client(
                mosquitto.url,
                client_id=f"refusing-{topic}",
                session_expiry_interval=60,
            ) as client,
            client.subscribe(topic, qos=qos, manual_acknowledgement=True) as messages,
        ):
            for number in range(10):
                await client.publish(topic, str(number), qos=qos)
            with anyio.fail_after(DEADLINE):
                for number in range(5):
                    message = await anext(messages)
                    assert message.text == str(number)
                    await message.ack(code if number % 2 else trio_mqtt.ReasonCode.SUCCESS)
                await client.publish(topic, "last", qos=qos)
                await client.reconnect()
                seen = []
                while "last" not in seen:
                    message = await anext(messages)
                    await message.ack(code)
                    seen.append(message.text)
            # What had come and was not acknowledged comes again.
            assert list(dict.fromkeys(seen)) == ["5", "6", "7", "8", "9", "last"]

    portal.call(refuse)


def test_topic_aliases_are_understood(
    portal: BlockingPortal, mosquitto: Server, topic: str
) -> None:
    """More topics than Mosquitto allows aliases (10), on two connections, at each QoS."""
    names = [f"{topic}/{number}" for number in range(15)]

    async def publish() -> None:
        async with (
            trio_mqtt.open_client(mosquitto.url) as watching,
            watching.subscribe(f"{topic}/#", qos=2) as messages,
            trio_mqtt.open_client(mosquitto.url, topic_aliases=True) as client,
        ):
            sent = [name for name in names[:5] for _ in range(5)] + names * 3
            for qos in (0, 1, 2):
                for name in sent:
                    await client.publish(name, name, qos=qos)
                with anyio.fail_after(DEADLINE):
                    for name in sent:
                        message = await anext(messages)
                        assert (message.topic, message.text) == (name, name)
                await client.reconnect()
            assert client.bytes_saved > 0

    portal.call(publish)
