"""Many topic filters go in few packets, each within what the broker takes, also when renewed."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import pytest

from tests.client.fake_broker import FakeBroker, Peer
from trio_mqtt import LocalProtocolError, Properties, ReasonCode, RequestRefusedError, Subscription
from trio_mqtt.events import Reconnecting
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packets import ConnAck, SubAck, Subscribe, Unsubscribe

pytestmark = pytest.mark.anyio

WORDS: Properties = {"user_property": [("for", "subscribing")]}
LAST_WORDS: Properties = {"user_property": [("for", "leaving")]}


def sizes(packets: Iterable[Subscribe | Unsubscribe]) -> list[int]:
    return [len(filters_of(one)) for one in packets]


def filters_of(packet: Subscribe | Unsubscribe) -> list[str]:
    if isinstance(packet, Subscribe):
        return [one.topic_filter for one in packet.subscriptions]
    return list(packet.topic_filters)


@pytest.mark.parametrize(
    ("count", "most", "each"), [(20, 100, [20]), (20, 8, [8, 8, 4]), (3, 1, [1, 1, 1])]
)
async def test_they_go_in_as_few_packets_as_may_be(
    broker: FakeBroker, count: int, most: int, each: list[int]
) -> None:
    filters = [f"t/{number}" for number in range(count)]
    async with broker.client(filters_per_packet=most) as client:
        async with client.subscribe(*filters, qos=1) as messages:
            assert sizes(broker.peer.all(Subscribe)) == each
            broker.peer.publish(f"t/{count - 1}", b"1", qos=1)
            assert (await anext(messages)).payload == b"1"
            broker.peer.end()
            peer = await broker.connection(2)
            await client.wait_connected()
            assert sizes(peer.all(Subscribe)) == each
        assert sizes(broker.peer.all(Unsubscribe)) == each
        assert [*chain(*map(filters_of, broker.peer.all(Unsubscribe)))] == filters


async def test_none_is_larger_than_the_broker_takes(broker: FakeBroker) -> None:
    broker.connack = ConnAck(properties={"maximum_packet_size": 200})
    filters = [f"{'ü' * 20}/{number:03}" for number in range(50)]
    async with broker.client() as client:
        async with client.subscribe(*filters, properties=WORDS, unsubscribe_properties=LAST_WORDS):
            pass
        version = client.protocol_version
    packets: list[Subscribe | Unsubscribe] = [
        *broker.peer.all(Subscribe),
        *broker.peer.all(Unsubscribe),
    ]
    assert max(len(encode(one, version)) for one in packets) <= 200
    assert sum(sizes(packets)) == 100
    assert len(packets) <= 40


async def test_user_properties_go_along_and_come_again(broker: FakeBroker) -> None:
    async with broker.client() as client:
        async with client.subscribe("a", "b", properties=WORDS, unsubscribe_properties=LAST_WORDS):
            [asked] = broker.peer.all(Subscribe)
            assert (filters_of(asked), asked.properties) == (["a", "b"], WORDS)
            async with client.subscribe("c"):
                broker.peer.end()
                peer = await broker.connection(2)
                await client.wait_connected()
                again = [(filters_of(one), one.properties) for one in peer.all(Subscribe)]
                assert again == [(["a", "b"], WORDS), (["c"], {})]
        left = [(filters_of(one), one.properties) for one in broker.peer.all(Unsubscribe)]
        assert left == [(["c"], {}), (["a", "b"], LAST_WORDS)]


async def test_what_is_left_while_away_is_left_with_its_properties(broker: FakeBroker) -> None:
    async with broker.client(session_expiry_interval=60) as client:
        broker.connack = ConnAck(session_present=True)
        async with (
            client.subscribe("a", "b", unsubscribe_properties=LAST_WORDS),
            client.subscribe("c"),
        ):
            broker.down = True
            broker.peer.end()
            with client.events() as events:
                async for event in events:
                    if isinstance(event, Reconnecting):
                        break
        broker.down = False
        peer = await broker.connection(2)
        await client.wait_connected()
        left = [(filters_of(one), one.properties) for one in peer.all(Unsubscribe)]
        assert left == [(["c"], {}), (["a", "b"], LAST_WORDS)]


async def test_of_one_packet_each_filter_is_refused_for_itself(broker: FakeBroker) -> None:
    def refuse(peer: Peer, packet: Subscribe) -> None:
        codes = [
            ReasonCode.NOT_AUTHORIZED if name == "b" else ReasonCode.GRANTED_QOS_1
            for name in filters_of(packet)
        ]
        peer.send(SubAck(packet.packet_id, codes))

    broker.answers[Subscribe] = refuse
    async with broker.client() as client:
        with pytest.raises(RequestRefusedError, match="'b'") as caught:
            async with client.subscribe("a", "b", "c", qos=1):
                pytest.fail("one is refused")
        assert "'a'" not in str(caught.value)
        assert sizes(broker.peer.all(Subscribe)) == [3]
        assert sizes(broker.peer.all(Unsubscribe)) == [3]


async def test_options_of_each_stay_its_own(broker: FakeBroker) -> None:
    asked = [Subscription("a", 2), Subscription("b", 0, no_local=True), Subscription("c", 1)]
    async with broker.client() as client, client.subscribe(*asked):
        assert broker.peer.all(Subscribe)[0].subscriptions == asked


@pytest.mark.parametrize("name", ["properties", "unsubscribe_properties"])
async def test_what_a_request_cannot_carry_is_refused(broker: FakeBroker, name: str) -> None:
    wrong: Any
    async with broker.client() as client:
        for wrong in ({"content_type": "x"}, {"subscription_identifier": [1]}):
            with pytest.raises(LocalProtocolError, match="a program sets user_property"):
                async with client.subscribe("t", **{name: wrong}):
                    pytest.fail("it cannot be asked")
        wrong = {name: {"user_property": "x"}}
        with pytest.raises(TypeError, match="list of pairs"):
            async with client.subscribe("t", **wrong):
                pytest.fail("it cannot be asked")
    async with broker.client(protocol_version=4) as client:
        wrong = {name: WORDS}
        with pytest.raises(LocalProtocolError, match="has no properties"):
            async with client.subscribe("t", **wrong):
                pytest.fail("it cannot be asked")


@pytest.mark.parametrize(
    ("count", "kind"), [(0, LocalProtocolError), (-1, LocalProtocolError), ("8", TypeError)]
)
async def test_what_is_no_number_of_filters_is_refused(
    broker: FakeBroker, count: object, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        async with broker.client(filters_per_packet=count):
            pytest.fail("nothing could be asked for")
