"""What tests do with a client and its session: look below the public face, cancel, take."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.lowlevel import checkpoint

from trio_mqtt import Client, Messages
from trio_mqtt.client.session.session import Session


def session_of(client: Client) -> Session:
    """The state behind a client."""
    return client._session


def topic_filters(client: Client) -> list[str]:
    """What the client is subscribed to, or asks for."""
    return list(session_of(client).incoming.subscriptions.filters)


def assert_nobody_waits(client: Client) -> None:
    """No task waits for an answer of the broker, and none that it owes is remembered."""
    session = session_of(client)
    assert session._awaiting == 0
    assert session.subscribing._pending == {}
    assert not session.outgoing.waiting_acknowledged
    assert not session.outgoing.waiting_unacknowledged


def assert_nothing_leaks(client: Client) -> None:
    """Neither messages nor subscriptions nor tasks have left anything behind."""
    session = session_of(client)
    sender = session.outgoing.sender
    assert len(sender) == 0
    assert sender.quota == sender.receive_maximum
    assert sender.reserved == set()
    assert_nobody_waits(client)
    assert topic_filters(client) == []
    assert session.incoming._all_messages == set()
    assert session.incoming.full == set()


async def cancelled_after(steps: int, operation: Callable[[], Awaitable[object]]) -> bool:
    """Cancel an operation after so many scheduler turns; whether it came to its end before."""
    completed = False
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            nonlocal completed
            await operation()
            completed = True

        tasks.start_soon(run)
        for _ in range(steps):
            await checkpoint()
        tasks.cancel_scope.cancel()
    return completed


async def publish(client: Client, payload: str, qos: int) -> None:
    await client.publish("t", payload, qos=qos)


async def payloads(messages: Messages, count: int) -> list[bytes]:
    return [(await anext(messages)).payload for _ in range(count)]
