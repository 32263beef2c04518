"""What is in a client's store, and how tests wait for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

from anyio.lowlevel import checkpoint

from tests.client.fake_broker import FakeBroker
from trio_mqtt import Client
from trio_mqtt.protocol.packets import ConnAck

Opens = Callable[..., AbstractAsyncContextManager[Client]]


def kept(path: Path) -> list[str]:
    """The topics of the messages in a store that nobody has open."""
    with closing(sqlite3.connect(path)) as database:
        return [row[0] for row in database.execute("SELECT topic FROM outgoing ORDER BY number")]


async def delivered(client: Client) -> None:
    """Wait until the broker has acknowledged everything."""
    while client.undelivered:
        await checkpoint()


def present(broker: FakeBroker, *sessions: bool) -> None:
    """What CONNACK says of the session, connection by connection."""
    broker.next_connacks += [ConnAck(one) for one in sessions]
