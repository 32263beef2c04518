"""Brokers that listen, and clients that come to them, for tests of what changes meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

import trio_mqtt
from tests.broker.raw import Raw
from tests.transport.dialing import dial
from trio_mqtt import Broker, Listen

LOCAL = "mqtt://127.0.0.1:0"


@asynccontextmanager
async def opened(*listeners: str | Listen, **settings: Any) -> AsyncIterator[Broker]:
    """A broker that listens at a free port, or as it is told."""
    with trio.fail_after(60):
        async with trio_mqtt.open_broker(*(listeners or (LOCAL,)), **settings) as broker:
            yield broker


@asynccontextmanager
async def joined(url: str, client_id: str = "c", **options: Any) -> AsyncIterator[Raw]:
    """A client that is connected."""
    async with await dial(url) as stream:
        client = Raw(stream)
        await client.connect(client_id, **options)
        yield client


async def may_connect(url: str, **options: Any) -> bool:
    """Whether a client is let in."""
    try:
        async with trio_mqtt.open_client(url, reconnect=False, **options):
            return True
    except trio_mqtt.MqttError:
        return False
