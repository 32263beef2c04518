"""A client of several servers: which is tried when, and what becomes of its session."""

from __future__ import annotations

from collections import deque
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from tests.client.fake_broker import FakeBroker
from trio_mqtt import (
    Backoff,
    ConnectionFailedError,
    ConnectionRefusedByBrokerError,
    InvalidUrlError,
    ProtocolVersion,
    ReasonCode,
    events,
    open_client,
)
from trio_mqtt.protocol.packets import ConnAck, Connect, Subscribe
from trio_mqtt.transport.urls import Address

pytestmark = pytest.mark.anyio

BUSY = ConnAck(False, ReasonCode.SERVER_BUSY)
BANNED = ConnAck(False, ReasonCode.BANNED)
RESUMED = ConnAck(session_present=True)


class Servers:
    """Brokers at hosts, of which some are down."""

    def __init__(self, *hosts: str) -> None:
        self.brokers = {host: FakeBroker() for host in hosts}
        self.asked: list[str] = []
        self.told: list[events.ConnectionEvent] = []

    async def connect(self, address: Address) -> ByteStream:
        self.asked.append(address.host)
        return await self.brokers[address.host].connect(address)

    def client(self, **options: Any) -> Any:  # noqa: ANN401 # a client
        urls = [f"mqtt://{host}" for host in self.brokers]
        return open_client(urls, connector=self.connect, on_event=self.told.append, **options)

    def connects(self, host: str) -> list[Connect]:
        return [peer.all(Connect)[0] for peer in self.brokers[host].peers]


async def test_the_first_that_accepts_is_the_broker() -> None:
    servers = Servers("a", "b", "c", "d")
    servers.brokers["a"].down = True
    servers.brokers["b"].connack = BANNED
    async with servers.client() as client:
        assert client.url == "mqtt://c:1883"
        await client.publish("t", qos=1)
    assert servers.asked == ["a", "b", "c"]
    failed = [one for one in servers.told if isinstance(one, events.ServerFailed)]
    assert [one.url for one in failed] == ["mqtt://a:1883", "mqtt://b:1883"]
    assert isinstance(failed[1].reason, ConnectionRefusedByBrokerError)


async def test_the_last_good_one_is_tried_first() -> None:
    servers = Servers("a", "b", "c")
    servers.brokers["a"].down = True
    async with servers.client() as client:
        servers.brokers["a"].down = False
        servers.brokers["b"].peer.end()
        await servers.brokers["b"].connection(2)
        await client.wait_connected()
        assert client.url == "mqtt://b:1883"
        servers.brokers["b"].down = True
        servers.brokers["b"].peer.end()
        await servers.brokers["a"].connection(1)
        await client.wait_connected()
        assert client.url == "mqtt://a:1883"
    assert servers.asked == ["a", "b", "b", "b", "a"]


async def test_where_none_accepts_each_is_told_of() -> None:
    servers = Servers("a", "b")
    servers.brokers["a"].connack = BANNED
    servers.brokers["b"].down = True
    with pytest.raises(
        ConnectionFailedError, match=r"None of 2 servers can be used\. .*banned"
    ) as e:
        async with servers.client():
            pytest.fail("none accepts")
    assert "Nothing answers at mqtt://b:1883." in str(e.value)


async def test_where_one_may_accept_later_all_are_tried_again() -> None:
    servers = Servers("a", "b")
    servers.brokers["a"].connack = BANNED
    servers.brokers["b"].next_connacks = deque([BUSY, BUSY])
    async with servers.client(wait_for_broker=True, reconnect=Backoff(first=1)) as client:
        assert client.url == "mqtt://b:1883"
    assert servers.asked == ["a", "b"] * 3


async def test_where_all_refuse_for_good_it_ends() -> None:
    servers = Servers("a", "b")
    for broker in servers.brokers.values():
        broker.connack = BANNED
    with pytest.raises(ConnectionRefusedByBrokerError, match="mqtt://a:1883 refused") as caught:
        async with servers.client(wait_for_broker=True):
            pytest.fail("none accepts")
    assert "None of 2 servers accepts" in caught.value.__notes__[0]
    assert servers.asked == ["a", "b"]


@pytest.mark.parametrize("present", [True, False])
async def test_a_session_goes_on_where_the_next_knows_it(present: bool) -> None:
    servers = Servers("a", "b")
    servers.brokers["b"].connack = ConnAck(session_present=present)
    async with servers.client(session_expiry_interval=60) as client, client.subscribe("t", qos=1):
        servers.brokers["a"].down = True
        servers.brokers["a"].peer.end()
        peer = await servers.brokers["b"].connection(1)
        await client.wait_connected()
        if present:
            assert peer.all(Subscribe) == []
        else:
            await peer.expect(Subscribe)
        connected = [one for one in servers.told if isinstance(one, events.Connected)]
        assert (connected[-1].url, connected[-1].session_present) == ("mqtt://b:1883", present)
    assert [one.clean_start for one in servers.connects("b")] == [False]


@pytest.mark.parametrize("version", [ProtocolVersion.V311, ProtocolVersion.V5])
@pytest.mark.parametrize("shared", [True, False])
async def test_a_session_from_before_is_not_taken_for_the_present_one(
    shared: bool, version: ProtocolVersion
) -> None:
    """Its packet identifiers would stand for other messages."""
    servers = Servers("a", "b")
    servers.brokers["b"].connack = ConnAck(session_present=shared)
    options = {"clean_start": False, "session_expiry_interval": 60, "protocol_version": version}
    async with servers.client(client_id="me", **options) as client:
        servers.brokers["a"].down = True
        servers.brokers["a"].peer.end()
        await servers.brokers["b"].connection(1)
        await client.wait_connected()
        servers.brokers["a"].down = False
        servers.brokers["b"].down = True
        servers.brokers["b"].peer.end()
        await servers.brokers["a"].connection(2)
        await client.wait_connected()
    # In MQTT 3 the flag would say that the session ends with the connection.
    outdated = not shared and version == 5
    assert [one.clean_start for one in servers.connects("a")] == [False, outdated]


async def test_each_url_has_its_own_credentials() -> None:
    servers = Servers("a", "b")
    servers.brokers["a"].connack = BUSY
    urls = ["mqtt://ann:1@a", "mqtt://bob@b"]
    async with open_client(urls, connector=servers.connect):
        pass
    async with open_client(urls, connector=servers.connect, username="u", password="p"):
        pass
    named = [
        [(one.username, one.password) for one in servers.connects(host)] for host in ("a", "b")
    ]
    assert named == [[("ann", b"1"), ("u", b"p")], [("bob", None), ("u", b"p")]]


@pytest.mark.parametrize(
    ("urls", "kind", "text"),
    [
        ([], InvalidUrlError, "list of servers is empty"),
        ((), InvalidUrlError, "list of servers is empty"),
        ([1], TypeError, "Each url is a str, not int"),
        (None, TypeError, "url is a str, or a list of such, not None"),
        (["mqtt://a", "b"], InvalidUrlError, "'b' does not start with mqtt://"),
        (["mqtts+srv://"], InvalidUrlError, "names no host"),
        (["tcp://a?clientId=a", "tcp://a?clientId=b"], InvalidUrlError, "name several clients"),
    ],
)
async def test_what_is_no_list_of_servers_is_refused(
    urls: Any,  # noqa: ANN401 # nothing that it should be
    kind: type[Exception],
    text: str,
) -> None:
    with anyio.fail_after(1), pytest.raises(kind, match=text):
        async with open_client(urls):
            pytest.fail("there is nowhere to go")
