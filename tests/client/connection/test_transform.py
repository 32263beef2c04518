"""A URL, credentials and headers that the program makes anew for each attempt."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from tests.client.connection.test_redirection import Net, sends
from tests.client.fake_broker import FakeBroker, Peer, stay
from trio_mqtt import (
    Backoff,
    ConnectionAttempt,
    ConnectionFailedError,
    ConnectionRefusedByBrokerError,
    InvalidUrlError,
    ReasonCode,
    events,
    open_client,
)
from trio_mqtt.protocol.packets import ConnAck, Connect

pytestmark = pytest.mark.anyio


def numbered() -> Callable[[ConnectionAttempt], ConnectionAttempt]:
    """Gives each attempt a password of its own."""
    seen: list[ConnectionAttempt] = []

    def transform(attempt: ConnectionAttempt) -> ConnectionAttempt:
        seen.append(attempt)
        return replace(attempt, username="u", password=f"token {len(seen)}")

    return transform


def passwords(broker: FakeBroker) -> list[bytes | None]:
    return [connect.password for peer in broker.peers for connect in peer.all(Connect)]


async def test_each_attempt_has_its_own_credentials(broker: FakeBroker) -> None:
    broker.next_connacks = deque([ConnAck(False, ReasonCode.SERVER_BUSY)])
    async with broker.client(transform=numbered(), wait_for_broker=True) as client:
        broker.peer.end()
        await broker.connection(3)
        await client.wait_connected()
    assert passwords(broker) == [b"token 1", b"token 2", b"token 3"]


async def test_a_coroutine_may_make_them(broker: FakeBroker) -> None:
    async def transform(attempt: ConnectionAttempt) -> str:
        await anyio.sleep(5)
        assert attempt == ConnectionAttempt("mqtt://fake:1883", "u", b"p")
        return "tcp://fake:7"

    async with broker.client(transform=transform, username="u", password="p") as client:
        assert client.url == "mqtt://fake:7"
    assert passwords(broker) == [b"p"]


async def test_what_returns_nothing_changes_nothing(broker: FakeBroker) -> None:
    async with broker.client(transform=lambda _attempt: None, password="p") as client:
        assert client.url == "mqtt://fake:1883"
    assert passwords(broker) == [b"p"]


async def test_each_server_is_asked_for_by_its_own_url() -> None:
    net = Net(b=[sends("c")], c=[])
    asked: list[str] = []

    def transform(attempt: ConnectionAttempt) -> str:
        asked.append(attempt.url)
        return f"{attempt.url.removesuffix(':1883')}:{len(asked)}"

    async with net.client(["mqtt://a", "mqtt://b"], transform=transform) as client:
        assert client.url == "mqtt://c:3"
    assert asked == ["mqtt://a:1883", "mqtt://b:1883", "mqtt://c:1883"]
    assert net.asked == ["mqtt://a:1", "mqtt://b:2", "mqtt://c:3"]


async def test_what_it_raises_is_a_failed_attempt(broker: FakeBroker) -> None:
    def transform(_attempt: ConnectionAttempt) -> None:
        raise LookupError("no token today")

    text = r"mqtt://fake:1883 was not connected to: .* raised LookupError \(no token today\)"
    with pytest.raises(ConnectionFailedError, match=text) as caught:
        async with broker.client(transform=transform):
            pytest.fail("it never connects")
    assert isinstance(caught.value.__cause__, LookupError)
    assert broker.attempts == 0


async def test_it_is_asked_again_after_it_has_raised(broker: FakeBroker) -> None:
    told: list[events.ConnectionEvent] = []
    answers: list[Exception | None] = [OSError(), None, OSError(), OSError(), None]

    async def transform(_attempt: ConnectionAttempt) -> None:
        if error := answers.pop(0):
            raise error

    backoff = Backoff(first=1)
    async with broker.client(
        transform=transform, wait_for_broker=True, reconnect=backoff, on_event=told.append
    ):
        broker.peer.end()
        await broker.connection(2)
    assert answers == []
    reasons = [one.reason for one in told if isinstance(one, events.ConnectionLost)]
    assert [isinstance(one, ConnectionFailedError) for one in reasons] == [True, False, True, True]
    assert "raised OSError (without a word)" in str(reasons[0])


async def test_an_error_of_ours_is_raised_as_it_is(broker: FakeBroker) -> None:
    refusal = ConnectionRefusedByBrokerError("No.", ReasonCode.BANNED)

    def transform(_attempt: ConnectionAttempt) -> None:
        raise refusal

    with pytest.raises(ConnectionRefusedByBrokerError) as caught:
        async with broker.client(transform=transform, wait_for_broker=True):
            pytest.fail("it never connects")
    assert caught.value is refusal


async def test_it_has_the_time_of_an_attempt(broker: FakeBroker) -> None:
    async def transform(_attempt: ConnectionAttempt) -> None:
        await anyio.sleep_forever()

    with pytest.raises(ConnectionFailedError, match="did not return within 3 s"):
        async with broker.client(transform=transform, connect_timeout=3):
            pytest.fail("it never connects")


Lie = Callable[[ConnectionAttempt], Any]


@pytest.mark.parametrize(
    ("lie", "kind", "text"),
    [
        (lambda _: 7, TypeError, "a URL, a ConnectionAttempt or None, not int: 7"),
        (lambda _: "nowhere", InvalidUrlError, "'nowhere' does not start with"),
        (lambda a: replace(a, url=None), TypeError, "a url that is None"),
        (lambda a: replace(a, username=b"u"), TypeError, "a username that is bytes"),
        (lambda a: replace(a, password=1), TypeError, "a password that is int"),
        (lambda a: replace(a, websocket_headers=[("a b", "c")]), ValueError, "'a b'"),
        (lambda _: "mqtt+srv://example.org", InvalidUrlError, "looked up before"),
    ],
)
async def test_what_lies_ends_the_client(
    broker: FakeBroker, lie: Lie, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        async with broker.client(transform=lie, wait_for_broker=True):
            pytest.fail("it never connects")
    assert broker.attempts == 0
    answers: list[Lie] = [lambda _: None, lie]

    def transform(attempt: ConnectionAttempt) -> Awaitable[None]:
        made: Awaitable[None] = answers.pop(0)(attempt)
        return made

    with pytest.raises(kind, match=text):
        await stay(broker, Peer.end, transform=transform)
    assert broker.attempts == 1


async def test_headers_for_what_is_no_websocket_are_refused() -> None:
    def transform(attempt: ConnectionAttempt) -> ConnectionAttempt:
        return replace(attempt, websocket_headers={"Authorization": "Bearer 1"})

    with pytest.raises(ValueError, match="no WebSocket"):
        async with open_client("mqtt://localhost", transform=transform):
            pytest.fail("it never connects")


async def test_what_is_no_function_is_refused(broker: FakeBroker) -> None:
    with pytest.raises(TypeError, match="transform is a function, not str"):
        async with broker.client(transform="mqtt://a"):
            pytest.fail("it never connects")
