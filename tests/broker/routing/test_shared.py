"""Who gets the messages of a shared subscription, and what becomes of what a member leaves behind
(MQTT 5.0 §4.8.2)."""

from __future__ import annotations

import pytest

from tests.broker.conftest import Join
from tests.broker.raw import V311, Raw
from tests.inside import core_of
from trio_mqtt import Broker
from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.options import BrokerOptions, SharedStrategy
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.protocol.packets import PubAck, Publish, PubRec, PubRel
from trio_mqtt.protocol.reason_codes import ReasonCode

SHARED = "$share/g/t"


@pytest.fixture
def strategy() -> SharedStrategy:
    return SharedStrategy.ROUND_ROBIN


@pytest.fixture
def options(strategy: SharedStrategy) -> BrokerOptions:
    return BrokerOptions(shared_strategy=strategy)


async def members(join: Join, count: int, qos: int = 1, **options: object) -> list[Raw]:
    found = [await join(f"m{n}", expiry=100, **options) for n in range(count)]
    for member in found:
        await member.subscribe(SHARED, qos=qos)
    return found


def burst(count: int, qos: int = 0) -> list[Publish]:
    """Messages that the broker gets in one read; at QoS 1 they do not make a run."""
    return [Publish("t", b"%d" % n, qos, packet_id=n + 1 if qos else 0) for n in range(count)]


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_burst_is_dealt_out_in_turn(join: Join, qos: int) -> None:
    group = await members(join, 3)
    publisher = await join("p")
    for _ in range(3):
        await publisher.send(*burst(7, qos))
    found = [[m.payload for m in await member.take()] for member in group]
    assert [len(one) for one in found] == [7, 7, 7]
    assert sorted(p for one in found for p in one) == sorted(
        b"%d" % n for n in range(7) for _ in "abc"
    )


async def test_turns_pass_over_who_is_away_and_come_back_to_it(join: Join, broker: Broker) -> None:
    group = await members(join, 3)
    await group[1].drop()
    for number in range(6):
        await broker.publish("t", str(number), qos=1)
    assert [len(await member.take()) for member in (group[0], group[2])] == [3, 3]
    group[1] = await join("m1", clean_start=False, expiry=100)
    for number in range(6):
        await broker.publish("t", str(number), qos=1)
    assert [len(await member.take()) for member in group] == [2, 2, 2]


async def test_while_all_are_away_their_sessions_keep_the_messages(
    join: Join, broker: Broker
) -> None:
    group = await members(join, 2)
    for member in group:
        await member.drop()
    for number in range(4):
        await broker.publish("t", str(number), qos=1)
    again = [await join(f"m{n}", clean_start=False, expiry=100) for n in range(2)]
    assert [len(await member.take()) for member in again] == [2, 2]


class TestLeastLoaded:
    @pytest.fixture
    def strategy(self) -> SharedStrategy:
        return SharedStrategy.LEAST_LOADED

    async def test_who_has_most_to_do_gets_least(self, join: Join) -> None:
        group = await members(join, 2)
        publisher = await join("p")
        for qos1 in burst(6, 1):
            await publisher.send(qos1)
        lazy, busy = group
        assert len(await busy.take()) == 3  # and the other one acknowledges nothing
        for qos1 in burst(3, 1):
            await publisher.send(qos1)
        assert len(await busy.take()) == 3
        await publisher.send(*burst(7, 1))
        assert len(await busy.take()) == 5  # 3 to draw level, then 2 of 4
        assert len(await lazy.messages()) == 5

    async def test_members_that_are_away_have_no_part(self, join: Join) -> None:
        group = await members(join, 3)
        await group[0].drop()
        publisher = await join("p")
        await publisher.send(*burst(8, 1))
        assert [len(await member.take()) for member in group[1:]] == [4, 4]


class TestHash:
    @pytest.fixture
    def strategy(self) -> SharedStrategy:
        return SharedStrategy.HASH

    async def test_a_publisher_keeps_its_member(self, join: Join) -> None:
        group = await members(join, 3)
        owners = set()
        for number in range(12):
            publisher = await join(f"p{number}")
            await publisher.send(*burst(5), *burst(5, 1))
            counts = [len(await member.take()) for member in group]
            assert sorted(counts) == [0, 0, 10]
            owners.add(counts.index(10))
        assert owners == {0, 1, 2}

    async def test_another_gets_what_was_for_who_is_away(self, join: Join, broker: Broker) -> None:
        group = await members(join, 2)
        await broker.publish("t", "1", qos=1)
        counts = [len(await member.take()) for member in group]
        await group.pop(counts.index(1)).drop()
        await broker.publish("t", "2", qos=1)
        assert len(await group[0].take()) == 1


class TestSticky:
    @pytest.fixture
    def strategy(self) -> SharedStrategy:
        return SharedStrategy.STICKY

    async def test_one_member_gets_all_until_it_goes_away(self, join: Join, broker: Broker) -> None:
        group = await members(join, 3)
        seen = []
        while group:
            publisher = await join("p")
            await publisher.send(*burst(5), *burst(5, 1))
            await broker.publish("t", "last", qos=1)
            counts = [len(await member.take()) for member in group]
            assert sorted(counts) == [0] * (len(group) - 1) + [11]
            seen.append(group.pop(counts.index(11)))
            await seen[-1].drop()
        assert len(seen) == 3

    async def test_one_that_unsubscribes_is_not_the_one_any_more(
        self, join: Join, broker: Broker
    ) -> None:
        group = await members(join, 2)
        await broker.publish("t", "1", qos=1)
        counts = [len(await member.take()) for member in group]
        await group.pop(counts.index(1)).unsubscribe(SHARED)
        await broker.publish("t", "2", qos=1)
        assert len(await group[0].take()) == 1


# -- what a member leaves behind -----------------------------------------------------------------


async def one_with_a_receive_maximum(join: Join, qos: int, count: int = 5) -> tuple[Raw, Raw]:
    """A member with one message unacknowledged and the rest of `count` waiting; and another."""
    slow = await join("slow", expiry=100, properties={"receive_maximum": 1})
    await slow.subscribe(SHARED, qos=qos)
    publisher = await join("p")
    for number in range(count):
        await publisher.publish("t", b"%d" % number, 2)
    await slow.expect_message("t", b"0", qos)
    other = await join("other", expiry=100)
    await other.subscribe(SHARED, qos=2)
    return slow, other


@pytest.mark.parametrize("how", ["lost", "ended"])
async def test_qos_1_goes_to_another_with_all_that_waits(
    join: Join, broker: Broker, how: str
) -> None:
    slow, other = await one_with_a_receive_maximum(join, 1)
    if how == "lost":
        await slow.drop()
    else:
        await slow.disconnect(properties={"session_expiry_interval": 0})
    assert [m.payload for m in await other.take()] == [b"0", b"1", b"2", b"3", b"4"]
    assert core_of(broker).sessions.all()[0].queued_messages == 0
    if how == "lost":
        slow = await join("slow", clean_start=False)
        await slow.expect_nothing()  # nobody gets it twice


@pytest.mark.normative("MQTT-4.8.2-4")
async def test_qos_2_is_completed_by_the_member_that_it_was_sent_to(join: Join) -> None:
    slow, other = await one_with_a_receive_maximum(join, 2)
    await slow.drop()
    assert [m.payload for m in await other.take()] == [b"1", b"2", b"3", b"4"]
    slow = await join("slow", clean_start=False, expiry=100)
    again = await slow.expect_message("t", b"0", 2)
    assert again.dup
    await slow.send(PubRec(again.packet_id))
    await slow.expect(PubRel)
    await other.expect_nothing()


@pytest.mark.normative("MQTT-4.8.2-5")
async def test_qos_2_that_was_sent_is_given_to_nobody_else(join: Join) -> None:
    slow, other = await one_with_a_receive_maximum(join, 2)
    await slow.disconnect(properties={"session_expiry_interval": 0})
    assert [m.payload for m in await other.take()] == [b"1", b"2", b"3", b"4"]


@pytest.mark.normative("MQTT-4.8.2-6")
@pytest.mark.parametrize("qos", [1, 2])
async def test_what_a_member_refuses_is_given_to_nobody_else(join: Join, qos: int) -> None:
    slow, other = await one_with_a_receive_maximum(join, qos, count=1)
    refusal = (PubAck if qos == 1 else PubRec)(1, ReasonCode.NOT_AUTHORIZED)
    await slow.send(refusal)
    await slow.ping()
    await slow.drop()
    await other.expect_nothing()
    slow = await join("slow", clean_start=False)
    await slow.expect_nothing()


async def test_what_waits_is_shared_by_the_others_after_unsubscribe(join: Join) -> None:
    slow, other = await one_with_a_receive_maximum(join, 1)
    await slow.unsubscribe(SHARED)
    assert [m.payload for m in await other.take()] == [b"1", b"2", b"3", b"4"]
    await slow.send(PubAck(1))
    await slow.expect_nothing()


async def test_a_session_that_ends_leaves_it_to_members_that_are_away(join: Join) -> None:
    slow, other = await one_with_a_receive_maximum(join, 1)
    await other.drop()
    await slow.disconnect(properties={"session_expiry_interval": 0})
    other = await join("other", clean_start=False)
    assert [m.payload for m in await other.take()] == [b"0", b"1", b"2", b"3", b"4"]


async def test_who_comes_back_at_once_keeps_what_is_its_own(join: Join) -> None:
    slow, other = await one_with_a_receive_maximum(join, 1)
    again = await join("slow", clean_start=False, expiry=100)
    assert [(m.payload, m.dup) for m in await again.take()] == [
        (b"%d" % n, n == 0) for n in range(5)
    ]
    await other.expect_nothing()
    await slow.expect_disconnect(ReasonCode.SESSION_TAKEN_OVER)


async def test_a_clean_start_gives_up_what_the_session_had(join: Join) -> None:
    slow, other = await one_with_a_receive_maximum(join, 1)
    again = await join("slow")
    assert [m.payload for m in await other.take()] == [b"0", b"1", b"2", b"3", b"4"]
    await again.expect_nothing()
    await slow.expect_disconnect(ReasonCode.SESSION_TAKEN_OVER)


async def test_what_is_handed_on_keeps_its_properties_in_any_version(join: Join) -> None:
    slow = await join("slow", expiry=100)
    await slow.subscribe(SHARED, qos=1, identifier=7)
    publisher = await join("p", V311)
    await publisher.publish("t", b"from 3", 1)
    modern = await join("p5")
    await modern.publish("t", b"from 5", 1, properties={"content_type": "text"})
    await slow.drain()
    await slow.drop()  # nobody else is there
    other = await join("other")
    await other.subscribe(SHARED, qos=1, identifier=8)
    slow = await join("slow", clean_start=False, expiry=100)
    await slow.drop()
    found = await other.take()
    assert [m.payload for m in found] == [b"from 3", b"from 5"]
    assert [m.properties for m in found] == [
        {"subscription_identifier": [8]},
        {"content_type": "text", "subscription_identifier": [8]},
    ]


class TestWithShortQueues:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(maximum_queued_messages=8)

    async def test_nothing_is_handed_on_that_would_be_dropped_there(
        self, join: Join, broker: Broker
    ) -> None:
        slow, other = await one_with_a_receive_maximum(join, 1, count=6)
        await slow.drop()  # 6 are more than half of what may wait
        await other.expect_nothing()
        slow = await join("slow", clean_start=False)
        assert [m.payload for m in await slow.take()] == [b"%d" % n for n in range(6)]
        assert broker.statistics.messages_dropped == 0


async def test_what_comes_by_a_log_goes_back_there_and_the_rest_to_a_member(
    join: Join, broker: Broker
) -> None:
    (member,) = await members(join, 1)
    group = core_of(broker).router.index.group(TopicFilter(SHARED))
    assert group is not None
    logged: list[Batch] = []
    group.to_log = logged.append
    messages = burst(2) + burst(2, 1)
    group.deliver(Batch(messages))
    assert [message.qos for message in await member.take()] == [0, 0]
    (batch,) = logged
    assert [one for one in batch.messages if one.qos] == messages[2:]
    assert group.takes_over(1 << 40, 1 << 40)
    group.deliver_anywhere(Batch(messages[2:]))
    assert [message.qos for message in await member.take()] == [1, 1]
