"""A broker that sends its client elsewhere (MQTT 5.0 §4.11): followed if allowed, within bounds."""

from __future__ import annotations

from collections import deque
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from tests.client.fake_broker import Answer, FakeBroker, Peer
from trio_mqtt import (
    ConnectionFailedError,
    ConnectionRefusedByBrokerError,
    DisconnectedByBrokerError,
    ReasonCode,
    open_client,
)
from trio_mqtt.protocol.packets import ConnAck, Connect, Disconnect
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.transport.urls import Address

pytestmark = pytest.mark.anyio

ANOTHER = ReasonCode.USE_ANOTHER_SERVER
MOVED = ReasonCode.SERVER_MOVED


def sends(reference: str | None, code: ReasonCode = ANOTHER) -> ConnAck:
    properties: Properties = {} if reference is None else {"server_reference": reference}
    return ConnAck(False, code, properties)


class Net:
    """Brokers at addresses, each told what to answer; all others do not answer."""

    def __init__(self, **answers: list[ConnAck]) -> None:
        self.brokers: dict[str, FakeBroker] = {}
        self.asked: list[str] = []
        for host, connacks in answers.items():
            broker = self.brokers[host] = FakeBroker()
            broker.next_connacks = deque(connacks)

    async def connect(self, address: Address) -> ByteStream:
        self.asked.append(address.url)
        broker = self.brokers.get(address.host)
        if broker is None:
            raise ConnectionFailedError(f"Nothing answers at {address.url}.")
        return await broker.connect(address)

    def client(self, url: str | list[str] = "mqtt://a", **options: Any) -> Any:  # noqa: ANN401 # a client
        options.setdefault("follow_redirection", True)
        return open_client(url, connector=self.connect, **options)


def accept_and_send_to(reference: str) -> Answer:
    """How a broker answers CONNECT that sends its client away at once."""

    def on_connect(peer: Peer, _packet: Connect) -> None:
        peer.send(ConnAck())
        peer.send(Disconnect(ANOTHER, {"server_reference": reference}))

    return on_connect


@pytest.mark.parametrize("code", [ANOTHER, MOVED])
async def test_it_is_not_followed_unless_allowed(code: ReasonCode) -> None:
    net = Net(a=[sends("b", code)], b=[])
    with pytest.raises(ConnectionRefusedByBrokerError, match="it refers to b") as caught:
        async with net.client(follow_redirection=False, wait_for_broker=True):
            pytest.fail("it is sent elsewhere")
    assert caught.value.server_reference == "b"
    assert "allow to follow redirection" in str(caught.value)
    assert net.asked == ["mqtt://a:1883"]


async def test_it_is_not_followed_from_a_connection_either() -> None:
    net = Net(a=[], b=[])
    net.brokers["a"].answers[Connect] = accept_and_send_to("b")
    with pytest.raises(DisconnectedByBrokerError, match="it refers to b") as caught:
        async with net.client(follow_redirection=False):
            await anyio.sleep_forever()
    assert caught.value.server_reference == "b"
    assert net.asked == ["mqtt://a:1883"]


@pytest.mark.parametrize(
    ("url", "reference", "asked"),
    [
        ("mqtt://a", "b", "mqtt://b:1883"),
        ("mqtt://a:1", "b:2", "mqtt://b:2"),
        ("mqtts://a", "b", "mqtts://b:8883"),
        ("ws://a/path", "b:9001", "ws://b:9001/path"),
        ("mqtt://a", "mqtts://b", "mqtts://b:8883"),
        ("mqtts://a", "wss://b/x", "wss://b:443/x"),
        ("mqtt://a", "nowhere  b", "mqtt://b:1883"),
        ("mqtt://a", "unix:///run/x b:x b", "mqtt://b:1883"),
        ("mqtts://a", "mqtt://b mqtts://b:1", "mqtts://b:1"),
    ],
)
async def test_it_goes_to_the_first_server_that_answers(
    url: str, reference: str, asked: str
) -> None:
    net = Net(a=[sends(reference)], b=[])
    async with net.client(url, username="u", password="p") as client:
        assert client.url == asked
        await client.publish("t", qos=1)
    assert net.asked[-1] == asked
    connect = net.brokers["b"].peer.all(Connect)[0]
    assert (connect.username, connect.password) == ("u", b"p")


async def test_an_ipv6_address_is_one() -> None:
    net = Net(a=[sends("[::1]:7")])
    net.brokers["::1"] = FakeBroker()
    async with net.client() as client:
        assert client.url == "mqtt://[::1]:7"


@pytest.mark.parametrize(
    ("url", "reference", "words"),
    [
        ("mqtts://a", "mqtt://b", "would do without TLS"),
        ("wss://a", "ws://b", "would do without TLS"),
        ("mqtt://a", "unix:///run/x", "is not an address that can be followed"),
        ("mqtt://a", "b:99999", "is not an address that can be followed"),
        ("mqtt://a", "/etc/passwd ?", "is not an address that can be followed"),
        ("mqtt://a", None, "it does not say where"),
        ("mqtt://a", "  ", "it does not say where"),
    ],
)
async def test_what_cannot_be_followed_ends_the_client(
    url: str, reference: str | None, words: str
) -> None:
    net = Net(a=[sends(reference)], b=[])
    with pytest.raises(ConnectionRefusedByBrokerError, match=words):
        async with net.client(url, wait_for_broker=True):
            pytest.fail("there is nowhere to go")
    assert len(net.asked) == 1


async def test_from_a_unix_socket_it_goes_by_tls_only() -> None:
    asked: list[str] = []
    broker = FakeBroker()
    broker.next_connacks += [sends("mqtt://b b")]

    async def connect(address: Address) -> ByteStream:
        asked.append(address.url)
        return await broker.connect(address)

    async with open_client("unix:///s", connector=connect, follow_redirection=True):
        assert asked == ["unix:///s", "mqtts://b:8883"]


@pytest.mark.parametrize("code", [ANOTHER, MOVED])
async def test_a_circle_ends_the_client(code: ReasonCode) -> None:
    net = Net(a=[sends("b", code)] * 10, b=[sends("a", code)] * 10)
    with pytest.raises(ConnectionRefusedByBrokerError, match="After 5 servers in a row"):
        async with net.client(wait_for_broker=True):
            pytest.fail("it goes in a circle")
    assert len(net.asked) == 6


async def test_a_circle_of_connections_that_end_at_once_ends_the_client() -> None:
    net = Net(a=[], b=[])
    net.brokers["a"].answers[Connect] = accept_and_send_to("b")
    net.brokers["b"].answers[Connect] = accept_and_send_to("a")
    with pytest.raises(DisconnectedByBrokerError, match="After 5 servers in a row"):
        async with net.client():
            await anyio.sleep_forever()
    assert len(net.asked) == 6


@pytest.mark.parametrize(("code", "then"), [(ANOTHER, "a"), (MOVED, "b")])
async def test_it_returns_unless_the_server_has_moved_for_good(code: ReasonCode, then: str) -> None:
    net = Net(a=[sends("b", code)], b=[])
    async with net.client() as client:
        net.brokers["b"].peer.end()
        await net.brokers[then].connection(2)
        await client.wait_connected()
        assert client.url == f"mqtt://{then}:1883"
    assert net.asked == ["mqtt://a:1883", "mqtt://b:1883", f"mqtt://{then}:1883"]


@pytest.mark.parametrize("by", ["CONNACK", "DISCONNECT"])
async def test_who_has_moved_is_found_there_as_the_same_user(by: str) -> None:
    net = Net(a=[sends("b", MOVED)] if by == "CONNACK" else [], b=[])
    async with net.client("mqtt://ann:secret@a") as client:
        if by == "DISCONNECT":
            net.brokers["a"].peer.send(Disconnect(MOVED, {"server_reference": "b"}))
        for number in (1, 2, 3):
            peer = await net.brokers["b"].connection(number)
            connect = peer.all(Connect)[0]
            assert (connect.username, connect.password) == ("ann", b"secret")
            await client.wait_connected()
            peer.end()
    assert set(net.asked[1:]) == {"mqtt://b:1883"}


async def test_disconnect_is_followed_and_publishing_goes_on() -> None:
    net = Net(a=[], b=[])
    async with net.client(reconnect=False) as client:
        net.brokers["a"].peer.send(Disconnect(ANOTHER, {"server_reference": "b"}))
        await net.brokers["b"].connection(1)
        assert await client.publish("t", qos=2) is ReasonCode.SUCCESS
        assert client.url == "mqtt://b:1883"


async def test_where_the_other_server_is_down_it_begins_again_at_home() -> None:
    net = Net(a=[], b=[])
    del net.brokers["b"]
    async with net.client() as client:
        net.brokers["a"].peer.send(Disconnect(ANOTHER, {"server_reference": "b"}))
        await net.brokers["a"].connection(2)
        await client.publish("t", qos=1)
    assert net.asked == ["mqtt://a:1883", "mqtt://b:1883", "mqtt://a:1883"]


async def test_being_refused_there_ends_the_client() -> None:
    net = Net(a=[sends("b")], b=[ConnAck(False, ReasonCode.BAD_USER_NAME_OR_PASSWORD)])
    with pytest.raises(ConnectionRefusedByBrokerError, match=r"mqtt://b:1883 .* bad user name"):
        async with net.client():
            pytest.fail("it is refused")
