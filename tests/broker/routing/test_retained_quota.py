"""No more room for retained messages: told to who waits for an answer (MQTT 5.0 §3.4.2.1)."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
import trio

from tests.broker.conftest import Join
from tests.broker.raw import V311
from tests.inside import core_of
from tests.storage.in_loop import InLoop
from trio_mqtt import Broker
from trio_mqtt.broker.limits import Limits
from trio_mqtt.protocol.packets import PubAck, Publish, PubRec
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import open_memory_broker

FULL = ReasonCode.QUOTA_EXCEEDED


@pytest.fixture
def limits() -> Limits:
    return Limits(maximum_retained_messages=3, maximum_retained_bytes=10_000)


def kept(broker: Broker) -> dict[str, bytes]:
    return {message.topic: message.payload for message, *_ in core_of(broker).retained.all()}


@pytest.mark.normative("MQTT-3.4.2-1", "MQTT-3.5.2-1")
@pytest.mark.parametrize("qos", [1, 2])
async def test_a_message_that_cannot_be_kept_is_refused_and_goes_nowhere(
    join: Join, broker: Broker, qos: int
) -> None:
    watcher = await join("w")
    await watcher.subscribe("#")
    client = await join()
    for topic in "abc":
        assert await client.publish(topic, b"1", qos, retain=True) == 0
    assert await client.publish("d", b"1", qos, retain=True) == FULL
    assert await client.publish("d", b"2", qos) == 0
    assert await client.publish("a", b"2", qos, retain=True) == 0
    assert await client.publish("b", b"", qos, retain=True) == 0
    assert await client.publish("d", b"3", qos, retain=True) == 0
    assert kept(broker) == {"a": b"2", "c": b"1", "d": b"3"}
    assert await watcher.payloads() == [b"1", b"1", b"1", b"2", b"2", b"", b"3"]


@pytest.mark.parametrize("qos", [1, 2])
async def test_one_that_is_too_large_leaves_what_it_was_to_replace(
    join: Join, broker: Broker, qos: int
) -> None:
    client = await join()
    await client.publish("a", b"old", qos, retain=True)
    assert await client.publish("a", b"x" * 10_000, qos, retain=True) == FULL
    assert kept(broker) == {"a": b"old"}


async def test_the_answers_of_one_read_keep_their_order(join: Join, broker: Broker) -> None:
    client = await join()
    await client.subscribe("$share/g/#")
    topics = ["a", "b", "c", "d", "a", "e", "f"]
    await client.send(
        *(
            Publish(topic, b"x", 1 + n % 2, retain=n < 6, packet_id=n + 1)
            for n, topic in enumerate(topics)
        )
    )
    answers = [p for p in await client.drain() if isinstance(p, (PubAck, PubRec))]
    assert [(a.packet_id, a.reason_code) for a in answers] == [
        (1, 0),
        (2, 0),
        (3, 0),
        (4, FULL),
        (5, 0),
        (6, FULL),
        (7, 0),
    ]
    assert isinstance(answers[3], PubRec)
    assert "retained" in answers[3].properties["reason_string"]
    assert kept(broker) == dict.fromkeys("abc", b"x")


async def test_refused_messages_do_not_count_for_ever(join: Join) -> None:
    client = await join()
    for topic in "abc":
        await client.publish(topic, b"1", 1, retain=True)
    for number in range(1_002):
        assert await client.publish("d", b"1", 1 + number % 2, retain=True) == FULL


async def test_who_gets_no_answer_reaches_the_subscribers_at_least(
    join: Join, broker: Broker
) -> None:
    client = await join()
    old = await join("old", V311)
    await client.subscribe("#")
    for topic in "abc":
        await broker.publish(topic, b"1", retain=True)
    await client.messages()
    await client.send(Publish("d", b"2", retain=True))
    await old.publish("e", b"3", 1, retain=True)
    assert await client.payloads() == [b"2", b"3"]
    assert kept(broker) == dict.fromkeys("abc", b"1")
    assert broker.statistics.messages_dropped == 2


@pytest.mark.parametrize("seed", range(10))
async def test_what_was_acknowledged_is_kept(join: Join, broker: Broker, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # a test
    client = await join()
    expected: dict[str, bytes] = {}
    for _ in range(20):
        burst = [
            Publish(chance.choice("abcde"), b"%d" % n * chance.choice([0, 1, 900]), 1, True,
                    packet_id=n + 1)
            for n in range(10)
        ]  # fmt: skip
        await client.send(*burst)
        answers = {p.packet_id: p for p in await client.drain() if isinstance(p, PubAck)}
        assert len(answers) == len(burst)
        for message in burst:
            if not answers[message.packet_id].reason_code.is_failure:
                expected[message.topic] = message.payload
        assert kept(broker) == {topic: payload for topic, payload in expected.items() if payload}


class TestOfOneClient:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(maximum_retained_per_client=2)

    async def test_others_have_room_when_one_has_none(self, join: Join, broker: Broker) -> None:
        one, other = await join("one"), await join("other")
        for topic in "ab":
            assert await one.publish(topic, b"1", 1, retain=True) != FULL
        assert await one.publish("c", b"1", 1, retain=True) == FULL
        assert broker.statistics.retained_refused == 1
        assert await other.publish("c", b"1", 1, retain=True) != FULL
        assert await one.publish("a", b"2", 1, retain=True) != FULL  # its own, once more
        assert await other.publish("a", b"3", 1, retain=True) != FULL  # which is the other's now
        assert await one.publish("d", b"1", 1, retain=True) != FULL
        assert await one.publish("e", b"1", 1, retain=True) == FULL
        assert await other.publish("b", b"", 1, retain=True) != FULL  # anybody removes it
        assert await one.publish("e", b"1", 1, retain=True) != FULL
        assert kept(broker) == {"a": b"3", "c": b"1", "d": b"1", "e": b"1"}
        await broker.publish("own", b"1", retain=True)
        for topic in "acde":
            await other.publish(topic, b"", 0, retain=True)
        await other.ping()
        assert not core_of(broker).retained._of_client

    async def test_mqtt_3_is_not_told_and_nothing_is_kept(self, join: Join, broker: Broker) -> None:
        client = await join("c", V311)
        for topic in "abc":
            await client.publish(topic, b"1", 1, retain=True)
        assert kept(broker) == {"a": b"1", "b": b"1"}
        assert broker.statistics.retained_refused == broker.statistics.messages_dropped == 1


class TestExpiry:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(default_retained_expiry=1_000)

    async def test_what_has_none_of_its_own_expires_too(self, join: Join, broker: Broker) -> None:
        client = await join()
        await client.publish("a", b"1", retain=True)
        await client.publish(
            "own", b"1", retain=True, properties={"message_expiry_interval": 9_000}
        )
        await trio.sleep(900)
        await client.publish("b", b"1", retain=True)
        await client.publish("a", b"2", retain=True)  # from now on
        await trio.sleep(900)
        assert kept(broker) == {"a": b"2", "b": b"1", "own": b"1"}
        await trio.sleep(140)
        assert kept(broker) == {"own": b"1"}
        assert not core_of(broker).retained._stored

    async def test_what_has_expired_and_is_not_removed_yet_is_sent_to_nobody(
        self, join: Join, broker: Broker
    ) -> None:
        client = await join()
        await client.publish("a", b"1", retain=True)
        await trio.sleep(500)
        await client.publish("b", b"1", retain=True)
        await trio.sleep(501)
        await client.subscribe("#")
        assert [one.topic for one in await client.take()] == ["b"]
        assert kept(broker).keys() == {"a", "b"}

    async def test_its_time_goes_on_with_the_next_broker(
        self, tmp_path: Path, limits: Limits, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wall = time.time() - trio.current_time()
        monkeypatch.setattr(time, "time", lambda: wall + trio.current_time())
        async with open_memory_broker(limits=limits, storage=InLoop(tmp_path)) as memory:
            await memory.broker.publish("z", b"1", qos=1, retain=True)
            await trio.sleep(600)
            await memory.broker.publish("a", b"1", qos=1, retain=True)
        async with open_memory_broker(limits=limits, storage=InLoop(tmp_path)) as memory:
            await trio.sleep(500)
            assert kept(memory.broker) == {"a": b"1"}
            await trio.sleep(600)
            assert kept(memory.broker) == {}
        async with open_memory_broker(storage=InLoop(tmp_path)) as memory:
            assert kept(memory.broker) == {}
