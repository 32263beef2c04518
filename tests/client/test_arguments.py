"""What is wrong raises ValueError or TypeError, in words that help, before anything is sent."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.client.fake_broker import FakeBroker
from tests.client.sessions import topic_filters
from trio_mqtt import LocalProtocolError, Will
from trio_mqtt.protocol.packets import Connect, Publish

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("qos", [0, 1])
async def test_text_and_bytes_of_each_kind_are_payloads(broker: FakeBroker, qos: int) -> None:
    changing = bytearray(b"three")
    view = memoryview(b"-four-")[1:-1]
    async with broker.client() as client:
        for payload in ("öne", b"two", changing, view):
            await client.publish("t", payload, qos=qos)
        changing[:] = b"THREE"
    sent = [packet.payload for packet in broker.peer.all(Publish)]
    assert sent == ["öne".encode(), b"two", b"three", b"four"]


@pytest.mark.parametrize(
    ("payload", "advice"),
    [
        (None, "b''"),
        (5, r"str\(value\)"),
        (1.5, r"str\(value\)"),
        (True, "json.dumps"),
        ({"on": 1}, "json.dumps"),
        ([1], "json.dumps"),
        (object(), "bytes"),
    ],
)
@pytest.mark.parametrize("qos", [0, 1])
async def test_other_payloads_are_refused_with_advice(
    broker: FakeBroker, payload: object, advice: str, qos: int
) -> None:
    async with broker.client() as client:
        with pytest.raises(TypeError, match=advice):
            await client.publish("t", payload, qos=qos)  # type: ignore[arg-type]  # it is wrong
    assert broker.peer.all(Publish) == []


WRONG: list[tuple[type[Exception], dict[str, Any]]] = [
    (ValueError, {"topic": ""}),
    (ValueError, {"topic": "a/#"}),
    (ValueError, {"topic": "a\0"}),
    (ValueError, {"topic": "\ud800"}),
    (ValueError, {"topic": "a" * 65_536}),
    (ValueError, {"topic": "t", "payload": "\ud800"}),
    (ValueError, {"topic": "t", "qos": 3}),
    (ValueError, {"topic": "t", "qos": -1}),
    (ValueError, {"topic": "t", "properties": {"no_such": 1}}),
    (ValueError, {"topic": "t", "properties": {"server_keep_alive": 1}}),
    (ValueError, {"topic": "t", "properties": {"topic_alias": 1}}),
    (ValueError, {"topic": "t", "properties": {"message_expiry_interval": -1}}),
    (ValueError, {"topic": "t", "properties": {"response_topic": "a/#"}}),
    (ValueError, {"topic": "t", "properties": {"content_type": "\0"}}),
    (ValueError, {"topic": "t", "properties": {"correlation_data": bytes(65_536)}}),
    (TypeError, {"topic": None}),
    (TypeError, {"topic": b"t"}),
    (TypeError, {"topic": 5}),
    (TypeError, {"topic": "t", "qos": "1"}),
    (TypeError, {"topic": "t", "qos": None}),
    (TypeError, {"topic": "t", "properties": [("content_type", "text")]}),
    (TypeError, {"topic": "t", "properties": {"content_type": 5}}),
    (TypeError, {"topic": "t", "properties": {"content_type": None}}),
    (TypeError, {"topic": "t", "properties": {"correlation_data": "text"}}),
    (TypeError, {"topic": "t", "properties": {"message_expiry_interval": "1"}}),
    (TypeError, {"topic": "t", "properties": {"message_expiry_interval": 1.5}}),
    (TypeError, {"topic": "t", "properties": {"user_property": {"a": "b"}}}),
    (TypeError, {"topic": "t", "properties": {"user_property": [("a",)]}}),
    (TypeError, {"topic": "t", "properties": {"user_property": [("a", 1)]}}),
]


@pytest.mark.parametrize(("error", "arguments"), WRONG)
async def test_what_cannot_be_published_is_refused(
    broker: FakeBroker, error: type[Exception], arguments: dict[str, Any]
) -> None:
    async with broker.client() as client:
        with pytest.raises(error) as caught:
            await client.publish(**arguments)
        assert str(caught.value)[-1] == "."
    assert broker.peer.all(Publish) == []


@pytest.mark.parametrize(("error", "arguments"), WRONG)
async def test_it_is_refused_at_once_even_while_there_is_no_connection(
    broker: FakeBroker, error: type[Exception], arguments: dict[str, Any]
) -> None:
    async with broker.client() as client:
        broker.down = True
        broker.peer.end()
        await anyio.wait_all_tasks_blocked()
        assert not client.connected
        with anyio.fail_after(0), pytest.raises(error):
            await client.publish(**arguments)


@pytest.mark.parametrize(
    ("error", "filters", "options"),
    [
        (ValueError, (), {}),
        (ValueError, ("a/#/b",), {}),
        (ValueError, ("",), {}),
        (ValueError, ("a",), {"qos": 3}),
        (ValueError, ("a",), {"retain_handling": 3}),
        (ValueError, ("a",), {"buffer": 0}),
        (ValueError, ("a",), {"overflow": "explode"}),
        (ValueError, ("a",), {"overflow": "drop_oldest", "manual_acknowledgement": True}),
        (TypeError, (["a", "b"],), {}),
        (TypeError, (None,), {}),
        (TypeError, (b"a",), {}),
        (TypeError, (("a", 1),), {}),
        (TypeError, ("a",), {"qos": "1"}),
        (TypeError, ("a",), {"buffer": None}),
    ],
)
async def test_what_cannot_be_subscribed_to_is_refused(
    broker: FakeBroker, error: type[Exception], filters: tuple[Any, ...], options: dict[str, Any]
) -> None:
    async with broker.client() as client:
        with pytest.raises(error) as caught:
            async with client.subscribe(*filters, **options):
                pytest.fail("it was entered")
        assert str(caught.value)[-1] == "."
        assert topic_filters(client) == []
    assert [type(packet) for packet in broker.peer.received][:1] == [Connect]


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (TypeError, {"will": "gone"}),
        (TypeError, {"will": Will(None)}),  # type: ignore[arg-type]  # it is wrong
        (TypeError, {"will": Will("t", None)}),  # type: ignore[arg-type]  # it is wrong
        (TypeError, {"will": Will("t", properties={"content_type": 5})}),  # type: ignore[typeddict-item]  # it is wrong
        (ValueError, {"will": Will("t/#")}),
        (ValueError, {"will": Will("t", qos=3)}),
        (TypeError, {"client_id": 5}),
        (TypeError, {"client_id": None}),
        (TypeError, {"username": 5}),
        (TypeError, {"password": 5}),
        (TypeError, {"keep_alive": "60"}),
        (ValueError, {"keep_alive": -1}),
        (TypeError, {"session_expiry_interval": 1.5}),
        (ValueError, {"session_expiry_interval": -1}),
        (TypeError, {"connect_timeout": "10"}),
        (ValueError, {"connect_timeout": 0}),
        (TypeError, {"reconnect": 5}),
        (TypeError, {"properties": []}),
        (TypeError, {"properties": {"user_property": 5}}),
        (ValueError, {"properties": {"no_such": 5}}),
        (ValueError, {"protocol_version": 7}),
    ],
)
async def test_options_that_no_connection_can_have_are_refused(
    broker: FakeBroker, error: type[Exception], options: dict[str, Any]
) -> None:
    with pytest.raises(error):
        async with broker.client(**options):
            pytest.fail("it was entered")
    assert all(not peer.received for peer in broker.peers)


@pytest.mark.parametrize(
    ("topic", "problem"),
    [
        ("", "is empty"),
        ("t/#", "holds a wildcard character"),
        ("+/t", "holds a wildcard character"),
        ("t\0", "holds the null character"),
        ("$SYS/t", "begins with $"),
        ("$share/g/t", "begins with $"),
    ],
)
async def test_a_will_that_nobody_would_get_is_refused_before_connecting(
    broker: FakeBroker, topic: str, problem: str
) -> None:
    with pytest.raises(LocalProtocolError, match="of the will") as caught:
        async with broker.client(will=Will(topic)):
            pytest.fail("it was entered")
    assert problem in str(caught.value)
    assert broker.attempts == 0


async def test_the_payload_of_a_will_may_be_text(broker: FakeBroker) -> None:
    async with broker.client(will=Will("t", "gr\u00fc\u00df")):  # type: ignore[arg-type]  # taken all the same
        pass
    (packet,) = broker.peer.all(Connect)
    assert packet.will is not None
    assert packet.will.payload == "gr\u00fc\u00df".encode()
