"""gmqtt against our broker: MQTT 5 is what it is for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import gmqtt  # type: ignore[import-untyped]  # it comes without types
import pytest
from anyio.from_thread import BlockingPortal
from gmqtt.storage import PersistentStorage  # type: ignore[import-untyped]  # as above

from .behaviours import Behaviours
from .peers import (
    DEADLINE,
    SESSION_EXPIRY,
    AsyncPeer,
    Connecting,
    Message,
    OpenPeer,
    Server,
    Version,
    through_portal,
)


class GmqttPeer:
    """A gmqtt client; it runs in an asyncio event loop."""

    def __init__(self, connecting: Connecting) -> None:
        self.session_present: bool | None = None
        self.messages: asyncio.Queue[tuple[Message, dict[str, Any]]] = asyncio.Queue()
        self._granted: asyncio.Queue[tuple[int, ...]] = asyncio.Queue()
        self._unacknowledged = PersistentStorage()
        will = connecting.will
        self.client = gmqtt.Client(
            connecting.client_id,
            clean_session=connecting.clean,
            will_message=will
            and gmqtt.Message(will.topic, will.payload, qos=will.qos, retain=will.retain),
            persistent_storage=self._unacknowledged,
            session_expiry_interval=0 if connecting.clean else SESSION_EXPIRY,
        )
        self.client.stop_reconnect()
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message

    def _on_connect(self, _client: object, flags: int, _code: int, _properties: object) -> None:
        self.session_present = bool(flags & 1)

    def _on_subscribe(
        self, _client: object, _mid: int, granted: tuple[int, ...], _properties: object
    ) -> None:
        self._granted.put_nowait(granted)

    def _on_message(
        self, _client: object, topic: str, payload: bytes, qos: int, properties: dict[str, Any]
    ) -> int:
        message = Message(topic, payload, qos, bool(properties["retain"]))
        self.messages.put_nowait((message, properties))
        return 0  # the reason code of the acknowledgement

    async def subscribe(self, topic_filter: str, qos: int) -> None:
        self.client.subscribe(topic_filter, qos=qos)
        assert tuple(await self._granted.get()) == (qos,)

    async def publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, **properties: object
    ) -> None:
        self.client.publish(topic, payload, qos=qos, retain=retain, **properties)
        await self._unacknowledged.wait_empty()

    async def receive(self) -> Message:
        message, _properties = await self.messages.get()
        return message


@asynccontextmanager
async def open_gmqtt(connecting: Connecting) -> AsyncIterator[GmqttPeer]:
    peer = GmqttPeer(connecting)
    server = connecting.server
    async with asyncio.timeout(DEADLINE):
        await peer.client.connect(server.host, server.port)
    try:
        yield peer
    finally:
        await peer.client.disconnect()


@asynccontextmanager
async def open_as_peer(connecting: Connecting) -> AsyncIterator[AsyncPeer]:
    async with open_gmqtt(connecting) as peer:
        yield peer


@pytest.fixture
def open_peer(asyncio_portal: BlockingPortal) -> OpenPeer:
    return through_portal(asyncio_portal, open_as_peer)


@pytest.fixture(params=["5"])
def version(request: pytest.FixtureRequest) -> Version:
    chosen: Version = request.param
    return chosen


class TestGmqtt(Behaviours):
    """gmqtt, MQTT 5."""


def test_properties_arrive_as_they_were_sent(
    our_broker: Server, asyncio_portal: BlockingPortal, topic: str
) -> None:
    async def exchange() -> dict[str, Any]:
        async with open_gmqtt(Connecting(our_broker, "5", "gmqtt-properties")) as peer:
            await peer.subscribe(topic, 1)
            await peer.publish(
                topic,
                b"payload",
                1,
                False,
                content_type="text/plain",
                response_topic="answers/räume",
                user_property=[("key", "first"), ("key", "second")],
            )
            async with asyncio.timeout(DEADLINE):
                _message, properties = await peer.messages.get()
            return properties

    properties = asyncio_portal.call(exchange)
    assert properties["content_type"] == ["text/plain"]
    assert properties["response_topic"] == ["answers/räume"]
    assert properties["user_property"] == [("key", "first"), ("key", "second")]
