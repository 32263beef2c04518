"""What a message offers: its properties, its acknowledgement, its response."""

from __future__ import annotations

import anyio
import pytest

from tests.client.fake_broker import FakeBroker
from trio_mqtt import LocalProtocolError, Message
from trio_mqtt.protocol.packets import PubAck, Publish, PubRec

pytestmark = pytest.mark.anyio


async def test_each_property_is_an_attribute(broker: FakeBroker) -> None:
    async with broker.client() as client, client.subscribe("a") as messages:
        broker.peer.publish(
            "a", b"{}",
            properties={
                "payload_format_indicator": 1,
                "message_expiry_interval": 60,
                "content_type": "application/json",
                "response_topic": "answers",
                "correlation_data": b"7",
                "subscription_identifier": [3],
                "user_property": [("a", "1"), ("a", "2")],
            },
        )  # fmt: skip
        broker.peer.publish("a", b"")
        full, plain = [await anext(messages) for _ in range(2)]
    assert full.is_text
    assert full.message_expiry_interval == 60
    assert full.content_type == "application/json"
    assert (full.response_topic, full.correlation_data) == ("answers", b"7")
    assert full.user_properties == [("a", "1"), ("a", "2")]
    assert full.subscription_identifiers == [3]
    assert not plain.is_text
    assert (plain.content_type, plain.message_expiry_interval) == (None, None)
    assert (plain.response_topic, plain.correlation_data) == (None, None)
    assert (plain.user_properties, plain.subscription_identifiers) == ([], [])


async def test_json_is_read_and_what_is_none_is_a_value_error(broker: FakeBroker) -> None:
    async with broker.client() as client, client.subscribe("a") as messages:
        broker.peer.publish("a", b'{"on": true}', b"on", b"\xff\xfe\xfa")
        good, bad, binary = [await anext(messages) for _ in range(3)]
    assert good.json() == {"on": True}
    for message in (bad, binary):
        with pytest.raises(ValueError):  # noqa: PT011 # json says what is wrong
            message.json()


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_block_acknowledges_at_its_end_but_not_when_it_fails(
    broker: FakeBroker, qos: int
) -> None:
    kind: type[PubAck] | type[PubRec] = PubAck if qos == 1 else PubRec
    peer_of = broker
    async with (
        broker.client() as client,
        client.subscribe("a", qos=qos, manual_acknowledgement=True) as messages,
    ):
        peer = peer_of.peer
        peer.publish("a", b"1", b"2", qos=qos)
        async with await anext(messages) as message:
            assert message.payload == b"1"
            await anyio.wait_all_tasks_blocked()
            assert peer.all(kind) == []
        await anyio.wait_all_tasks_blocked()
        assert [packet.packet_id for packet in peer.all(kind)] == [1]
        with pytest.raises(KeyError):
            async with await anext(messages):
                raise KeyError
        await anyio.wait_all_tasks_blocked()
        assert len(peer.all(kind)) == 1


async def test_a_block_that_has_done_its_work_acknowledges_though_cancelled(
    broker: FakeBroker,
) -> None:
    async with (
        broker.client() as client,
        client.subscribe("a", qos=1, manual_acknowledgement=True) as messages,
    ):
        broker.peer.publish("a", b"1", b"2", qos=1)
        with anyio.CancelScope() as scope:
            async with await anext(messages):
                scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert len(broker.peer.all(PubAck)) == 1
        message = await anext(messages)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await message.ack()
        await anyio.wait_all_tasks_blocked()
        assert len(broker.peer.all(PubAck)) == 1
        await message.ack()
        await anyio.wait_all_tasks_blocked()
        assert len(broker.peer.all(PubAck)) == 2


async def test_a_response_goes_where_the_request_says(broker: FakeBroker) -> None:
    async with broker.client() as client, client.subscribe("a", qos=1) as messages:
        broker.peer.publish(
            "a", b"?", qos=1, properties={"response_topic": "back", "correlation_data": b"7"}
        )
        broker.peer.publish("a", b"?", properties={"response_topic": "back"})
        await (await anext(messages)).respond("!", properties={"content_type": "text/plain"})
        await (await anext(messages)).respond(b"!", qos=1)
        first, second = broker.peer.all(Publish)
    assert (first.topic, first.payload, first.qos) == ("back", b"!", 1)
    assert first.properties == {"content_type": "text/plain", "correlation_data": b"7"}
    assert (second.qos, second.properties) == (1, {})


async def test_what_asks_for_no_response_gets_none(broker: FakeBroker) -> None:
    async with broker.client() as client, client.subscribe("a") as messages:
        broker.peer.publish("a", b"?")
        with pytest.raises(LocalProtocolError, match="no response topic"):
            await (await anext(messages)).respond("!")
    alone = Message("a", b"", 0, False, False, {"response_topic": "back"})
    with pytest.raises(LocalProtocolError, match="client"):
        await alone.respond("!")
