"""Sessions (MQTT 5.0 §3.1.2.4, §3.1.2.11.2, §4.1): kept, resumed, expired, and gone."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.broker.conftest import Join
from tests.broker.raw import V5, V311
from tests.inside import core_of, has_filters, links_of, sessions_of
from trio_mqtt import Broker
from trio_mqtt.broker.limits import Limits
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.reason_codes import ReasonCode


@pytest.mark.normative(
    "MQTT-3.1.2-4", "MQTT-3.1.2-5", "MQTT-3.2.2-3", "MQTT-3.2.2-2", "MQTT-3.1.2-23"
)
@pytest.mark.normative_v311("MQTT-3.1.2-4", "MQTT-3.1.2-5", "MQTT-3.1.2-6", "MQTT-3.2.2-1",
                            "MQTT-3.2.2-3", "MQTT-4.5.0-1")  # fmt: skip
async def test_what_comes_while_a_client_is_away_waits_for_it(
    join: Join, broker: Broker, version: ProtocolVersion
) -> None:
    client = await join("c", version, clean_start=False, expiry=100)
    assert client.connack is not None
    assert not client.connack.session_present
    await client.subscribe("t/+", "t/1", qos=2)
    await client.disconnect()
    for number in range(9):
        await broker.publish(f"t/{number % 2}", str(number), qos=number % 3)
    client = await join("c", version, clean_start=False, expiry=100)
    assert client.connack is not None
    assert client.connack.session_present
    found = await client.take()
    assert sorted(int(m.payload) for m in found) == [1, 2, 4, 5, 7, 8]  # QoS 0 is not kept
    assert [int(m.payload) for m in found if m.topic == "t/1"] == [1, 5, 7]
    assert not any(m.dup for m in found)
    client = await join("c", version, clean_start=True)
    assert client.connack is not None
    assert not client.connack.session_present
    await broker.publish("t/1", "x", qos=1)
    await client.expect_nothing()


@pytest.mark.normative("MQTT-4.1.0-2")
@pytest.mark.parametrize(
    ("expiry", "changed", "away", "kept"),
    [
        (0, None, 0, False),
        (100, None, 99, True),
        (100, None, 101, False),
        (100, 10, 11, False),
        (100, 0, 0, False),
        (10, 200, 150, True),
        (0xFFFF_FFFF, None, 8_000, True),
        (10, 0xFFFF_FFFF, 8_000, True),
    ],
)
async def test_a_session_is_kept_for_its_expiry_interval(
    join: Join, broker: Broker, expiry: int, changed: int | None, away: int, kept: bool
) -> None:
    client = await join("c", expiry=expiry)
    await client.subscribe("t")
    if changed is None:
        await client.drop()
    else:
        await client.disconnect(properties={"session_expiry_interval": changed})
    await trio.sleep(away)
    assert len(core_of(broker).sessions) == kept
    assert broker.statistics.subscriptions == kept
    assert has_filters(broker) is kept
    client = await join("c", clean_start=False, expiry=expiry)
    assert client.connack is not None
    assert client.connack.session_present is kept


async def test_a_session_does_not_expire_while_its_client_is_connected(join: Join) -> None:
    client = await join("c", V5, expiry=10)
    await client.drop()
    await trio.sleep(9)
    client = await join("c", V5, clean_start=False, expiry=10)
    await trio.sleep(3_000)
    await client.ping()


async def test_a_session_of_version_3_may_go_on_in_version_5(join: Join, broker: Broker) -> None:
    client = await join("c", V311, clean_start=False)
    await client.subscribe("t", qos=1)
    await client.drop()
    await broker.publish("t", "x", qos=1)
    client = await join("c", V5, clean_start=False, expiry=5)
    assert [m.payload for m in await client.take()] == [b"x"]
    await client.drop()
    await trio.sleep(6)
    assert len(core_of(broker).sessions) == 0


async def test_a_goodbye_must_not_prolong_a_session_that_ends_with_it(join: Join) -> None:
    client = await join("c")
    with pytest.raises(AssertionError):
        await client.disconnect(properties={"session_expiry_interval": 5})
    await client.expect_closed()


class TestWithSmallQueues:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(maximum_queued_messages=10, maximum_queued_bytes=12_000)

    async def test_the_offline_queue_has_bounds_and_what_goes_beyond_is_counted(
        self, join: Join, broker: Broker, version: ProtocolVersion
    ) -> None:
        client = await join("c", version, clean_start=False, expiry=100)
        await client.subscribe("#", "t", qos=1)
        await client.drop()
        publisher = await join("p", version)
        for number in range(15):
            await publisher.publish("t", b"%d" % number, 1)
        assert broker.statistics.messages_dropped == 5
        client = await join("c", version, clean_start=False, expiry=100)
        assert [m.payload for m in await client.take()] == [b"%d" % n for n in range(10)]
        await client.drop()
        for _ in range(15):
            await publisher.publish("t", b"x" * 2_400, 1)
        client = await join("c", version, clean_start=False, expiry=100)
        assert len(await client.take()) == 4

    async def test_messages_by_alias_count_with_their_properties(
        self, join: Join, broker: Broker
    ) -> None:
        client = await join("c", expiry=100)
        await client.subscribe("#", qos=1)
        await client.drop()
        publisher = await join("p")
        for _ in range(9):
            await publisher.publish(
                "t", b"x", 1, properties={"topic_alias": 1, "content_type": "x" * 3_000}
            )
        assert broker.statistics.messages_dropped == 6
        session = sessions_of(broker)["c"]
        assert 9_000 < session.queued_bytes <= 12_000


class TestWithFewSessions:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(maximum_sessions=2, maximum_connections=3, maximum_session_expiry=50)

    async def test_there_are_only_so_many_and_who_has_one_comes_back(
        self, join: Join, memory: object, broker: Broker, version: ProtocolVersion
    ) -> None:
        first = await join("a", version)
        await join("b", version)
        with pytest.raises(AssertionError) as refused:
            await join("c", version)
        code = ReasonCode.QUOTA_EXCEEDED if version == V5 else ReasonCode.SERVER_UNAVAILABLE
        assert repr(code) in str(refused.value)
        await trio.testing.wait_all_tasks_blocked()
        again = await join("a", version)
        await first.expect_disconnect(ReasonCode.SESSION_TAKEN_OVER)
        await again.ping()

    async def test_an_expiry_interval_above_the_limit_is_lowered_and_told(
        self, join: Join, broker: Broker
    ) -> None:
        client = await join("c", expiry=1_000)
        assert client.connack is not None
        assert client.connack.properties["session_expiry_interval"] == 50
        await client.disconnect(properties={"session_expiry_interval": 1_000})
        three = await join("three", V311, clean_start=False)
        await three.drop()
        await trio.sleep(51)
        assert len(core_of(broker).sessions) == 0

    async def test_connections_beyond_the_limit_are_closed(
        self, join: Join, opened: object, memory: object, broker: Broker
    ) -> None:
        clients = [opened() for _ in range(4)]  # type: ignore[operator]  # a factory
        await trio.testing.wait_all_tasks_blocked()
        assert len(links_of(broker)) == 3
        closed = 0
        for client in clients:
            with trio.move_on_after(0.01):
                await client.expect_closed()
                closed += 1
        assert closed == 1
