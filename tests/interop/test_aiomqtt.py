"""aiomqtt against our broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiomqtt
import pytest
from anyio.from_thread import BlockingPortal
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY

from .behaviours import Behaviours
from .paho_properties import connect_properties
from .peers import (
    DEADLINE,
    AsyncPeer,
    Connecting,
    Message,
    OpenPeer,
    through_portal,
)


class AiomqttPeer:
    """An aiomqtt client; it runs in an asyncio event loop."""

    session_present: bool | None = None  # it does not tell

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client

    async def subscribe(self, topic_filter: str, qos: int) -> None:
        granted = await self._client.subscribe(topic_filter, qos)
        assert [getattr(code, "value", code) for code in granted] == [qos]

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        await self._client.publish(topic, payload, qos, retain)

    async def receive(self) -> Message:
        message = await anext(self._client.messages)
        assert isinstance(message.payload, bytes)
        return Message(str(message.topic), message.payload, message.qos, message.retain)


@asynccontextmanager
async def open_aiomqtt(connecting: Connecting) -> AsyncIterator[AsyncPeer]:
    v5 = connecting.version == "5"
    will = connecting.will
    client = aiomqtt.Client(
        connecting.server.host,
        connecting.server.port,
        identifier=connecting.client_id,
        protocol=aiomqtt.ProtocolVersion.V5 if v5 else aiomqtt.ProtocolVersion.V311,
        clean_session=None if v5 else connecting.clean,
        clean_start=connecting.clean if v5 else MQTT_CLEAN_START_FIRST_ONLY,
        properties=connect_properties(connecting.clean) if v5 else None,
        will=None
        if will is None
        else aiomqtt.Will(will.topic, will.payload, will.qos, will.retain),
        timeout=DEADLINE,
    )
    await client.__aenter__()
    try:
        yield AiomqttPeer(client)
    finally:
        with suppress(aiomqtt.MqttError):  # the connection may have been cut just before
            await client.__aexit__(None, None, None)


@pytest.fixture
def open_peer(asyncio_portal: BlockingPortal) -> OpenPeer:
    return through_portal(asyncio_portal, open_aiomqtt)


class TestAiomqtt(Behaviours):
    """aiomqtt, MQTT 3.1.1 and 5."""
