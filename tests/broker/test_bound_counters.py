"""Each time that a bound is met is counted, also of those bounds that have tests elsewhere."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.broker.conftest import Join
from tests.broker.raw import V5, V311, Open, Raw
from trio_mqtt import Broker, Limits, Security
from trio_mqtt.access import AccessHooks, Authenticated, ClientInfo, Publication
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Packet,
    Publish,
    Subscribe,
    Subscription,
)
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import open_memory_broker


@pytest.fixture
def limits() -> Limits:
    return Limits(
        maximum_connect_size=1_000,
        maximum_packet_size=10_000,
        maximum_user_properties=2,
        maximum_filters_at_once=2,
        maximum_client_identifier=30,
        receive_maximum=2,
        topic_alias_maximum=2,
        maximum_unfinished_bytes=6_000,
        write_buffer=1_000,
    )


async def test_who_does_not_connect_in_time(opened: Open, broker: Broker) -> None:
    await opened().expect_closed()
    assert broker.statistics.connects_timed_out == 1


@pytest.mark.parametrize("length", [30, 31])
async def test_whose_identifier_is_too_long(opened: Open, broker: Broker, length: int) -> None:
    client = opened()
    await client.send(Connect("x" * length))
    assert (await client.expect(ConnAck)).reason_code.is_failure is (length > 30)
    assert broker.statistics.identifiers_refused == length - 30


async def test_whose_connect_is_too_large(opened: Open, broker: Broker) -> None:
    client = opened()
    await client.send(Connect("c", username="x" * 1_000))
    await client.drain()
    assert broker.statistics.packets_refused == 1


@pytest.mark.parametrize(
    ("packets", "code"),
    [
        ([Publish("t", b"x" * 10_000)], ReasonCode.PACKET_TOO_LARGE),
        ([Publish("t", b"", properties={"topic_alias": 3})], ReasonCode.TOPIC_ALIAS_INVALID),
        (
            [Publish("t", b"", properties={"user_property": [("a", "b")] * 3})],
            ReasonCode.QUOTA_EXCEEDED,
        ),
        ([Subscribe(1, [Subscription(name) for name in "abc"])], ReasonCode.QUOTA_EXCEEDED),
        (
            [Publish("t", b"", 2, packet_id=number) for number in (1, 2, 3)],
            ReasonCode.RECEIVE_MAXIMUM_EXCEEDED,
        ),
    ],
)
async def test_who_sends_more_than_it_may(
    join: Join, broker: Broker, packets: list[Packet], code: ReasonCode
) -> None:
    client = await join()
    await client.send(*packets)
    found = await client.drain()
    assert getattr(found[-1], "reason_code", None) == code
    assert broker.statistics.packets_refused == 1


async def test_what_breaks_another_rule_is_none_of_these(join: Join, broker: Broker) -> None:
    client = await join()
    await client.send(b"\x36\x05\x00\x01t\x00\x01")  # QoS 3
    await client.drain()
    assert broker.statistics.clients_connected == broker.statistics.packets_refused == 0


async def test_who_has_a_packet_unfinished_when_there_are_too_many(
    join: Join, broker: Broker
) -> None:
    for name in ("a", "b"):
        client = await join(name)
        await client.send(b"\x30\xc0\x3e" + b"x" * 5_000)
        await trio.testing.wait_all_tasks_blocked()
    assert broker.statistics.packets_given_up == 1


async def test_who_is_silent(join: Join, broker: Broker) -> None:
    client = await join(keep_alive=10)
    await trio.sleep(16)
    assert broker.statistics.keep_alives_expired == 1
    await client.drain()


async def test_who_stops_reading(join: Join, broker: Broker) -> None:
    client = await join(lockstep=True)
    await client.subscribe("t")
    source = await join("source", V311)
    await source.publish("t", b"x" * 9_000)
    await trio.sleep(61)
    assert broker.statistics.stopped_reading == 1


class Slow(AccessHooks):
    """Takes for ever to decide."""

    async def authenticate(self, client: ClientInfo, password: bytes | None) -> Authenticated:
        del password
        if client.client_id == "slow":
            await trio.sleep_forever()
        return Authenticated()

    async def authorize_publish(self, client: ClientInfo, publication: Publication) -> Publication:
        del client
        if publication.topic == "slow":
            await trio.sleep_forever()
        return publication


async def test_hooks_that_take_too_long() -> None:
    async with open_memory_broker(security=Security(hooks=Slow())) as memory:
        slow, quick = Raw(memory.connect(), V5), Raw(memory.connect(), V5)
        await slow.send(Connect("slow"))
        assert (await slow.expect(ConnAck)).reason_code == ReasonCode.UNSPECIFIED_ERROR
        assert memory.broker.statistics.hooks_timed_out == 1
        await quick.connect("quick")
        assert (await quick.publish("slow", b"", 1)).is_failure
        assert memory.broker.statistics.hooks_timed_out == 2
