"""What is done for one client at once, whatever it sends: others have their turn in between."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
import trio
import trio.testing

from tests.broker.conftest import Join
from tests.broker.passes import LOOKS, watched
from tests.broker.raw import V5, V311, Closed
from tests.inside import core_of
from trio_mqtt import Broker
from trio_mqtt.broker import turns
from trio_mqtt.broker.connections.packets import LONG_RUN
from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.turns import PACKETS_AT_ONCE, STEPS_AT_ONCE, TURN
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
)
from trio_mqtt.protocol.reason_codes import ReasonCode

_counter = itertools.count()

pytestmark = pytest.mark.usefixtures("slow_clock")


def numbered(kind: Callable[[int], Packet], count: int) -> bytes:
    return b"".join(encode(kind(1 + number % 900), V5) for number in range(count))


REQUESTS: dict[str, tuple[Callable[[int], Packet], type[Packet]]] = {
    "PINGREQ": (lambda _number: PingReq(), PingResp),
    "SUBSCRIBE": (lambda number: Subscribe(number, [Subscription(f"s/{number}")]), SubAck),
    "the same SUBSCRIBE": (lambda number: Subscribe(number, [Subscription("#")]), SubAck),
    "UNSUBSCRIBE": (lambda number: Unsubscribe(number, ["a"]), UnsubAck),
}


@pytest.mark.parametrize("kind", REQUESTS)
async def test_requests_of_one_read_are_answered_in_turns(
    join: Join, broker: Broker, kind: str
) -> None:
    make, answer = REQUESTS[kind]
    client = await join("c")
    sent = 2_000
    written = broker.statistics
    async with watched(lambda: written.bytes_sent) as passes:
        await client.send(numbered(make, sent))
        for _ in range(sent):
            await client.expect(answer)
    # None of the answers has more bytes than SUBACK's.
    assert max(passes) <= 2 * (LOOKS + 1) * 6


@pytest.mark.parametrize(("kind", "answer"), [(PubRel, PubComp), (PubRec, PubRel)])
async def test_acknowledgements_of_one_read_are_answered_in_turns(
    join: Join,
    broker: Broker,
    kind: Callable[[int], Packet],
    answer: type[PubComp | PubRel],
) -> None:
    client = await join("c")
    sent = 20_000
    written = broker.statistics
    async with watched(lambda: written.bytes_sent) as passes:
        await client.send(numbered(kind, sent))
        for _ in range(sent):
            await client.expect(answer)
    # Each of a run counts a sixteenth of a packet, and itself once it is decoded.
    assert max(passes) <= 2 * 17 * PACKETS_AT_ONCE * len(
        encode(answer(1, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND), V5)
    )


MESSAGES: dict[str, Callable[[int], Packet]] = {
    "many topics": lambda number: Publish(f"t/{number}", b"x"),
    "retained": lambda number: Publish(f"t/{number}", b"x", retain=True),
    "QoS 1": lambda number: Publish(f"t/{number}", b"x", 1, packet_id=number),
    "QoS 1 on one topic": lambda number: Publish("t", b"x", 1, packet_id=number),
    "QoS 2": lambda number: Publish(f"t/{number}", b"x", 2, packet_id=number),
    "new topics": lambda number: Publish(f"{next(_counter)}", b"x"),
}


@pytest.mark.parametrize("kind", MESSAGES)
async def test_messages_of_one_read_are_routed_in_turns(
    join: Join, broker: Broker, kind: str
) -> None:
    client = await join("c")
    sent = 900
    statistics = broker.statistics
    async with watched(lambda: statistics.messages_received) as passes:
        await client.send(numbered(MESSAGES[kind], sent))
        await client.send(encode(PingReq(), V5))
        while not isinstance(await client.receive(), PingResp):
            pass
    assert sum(passes) == sent
    assert max(passes) <= 2 * PACKETS_AT_ONCE
    if kind == "new topics":  # each is looked up
        assert max(passes) <= 2 * (LOOKS + 1) * 1_024 / 30
    elif kind == "retained":
        assert max(passes) <= 2 * (LOOKS + 1) * 1_024 / 10


async def test_long_runs_of_one_read_are_routed_in_turns(
    join: Join, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    for number in range(40):
        await (await join(f"s{number}", V311)).subscribe("t/+")
    client = await join("c", V311)
    long, runs = LONG_RUN + 1, 100
    # What comes between them, an answer to nothing, keeps them apart.
    flood = (encode(Publish("t/1", b"x"), V311) * long + encode(PubAck(1), V311)) * runs
    monkeypatch.setattr(turns, "clock", lambda: next(ticks) * TURN)  # each look is at its end
    statistics = broker.statistics
    async with watched(lambda: statistics.messages_received) as passes:
        await client.send(flood)
        await client.ping()
    assert sum(passes) == runs * long
    assert max(passes) <= 2 * long * (STEPS_AT_ONCE // 40 + 1)


async def test_what_is_left_of_a_run_is_not_acknowledged_before_it_is_routed(
    join: Join, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, count = await join("c"), 300
    ticks = itertools.count()
    monkeypatch.setattr(turns, "clock", lambda: next(ticks) * TURN)  # each look is at its end
    statistics = broker.statistics
    core = core_of(broker)
    early: list[int] = []
    route = core.route

    def noted(batch: Batch, retained: Sequence[Publish] = ()) -> Sequence[Publish]:
        early.append(statistics.kinds_sent["PUBACK", 16] - statistics.messages_received)
        return route(batch, retained)

    monkeypatch.setattr(core, "route", noted)
    # None of the topics is known, so that few of them are as much as may be routed at once.
    flood = [Publish(f"t/{at}", b"x", 1, packet_id=1 + at) for at in range(count)]
    await client.send(*flood)
    assert await client.drain() == [
        PubAck(1 + at, ReasonCode.NO_MATCHING_SUBSCRIBERS) for at in range(count)
    ]
    assert len(early) > 5
    assert max(early) == 0


async def test_messages_of_one_topic_travel_as_one_batch(
    join: Join, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a whole read brings in a flood is not taken apart."""
    client = await join("c")
    batches: list[int] = []
    core = core_of(broker)
    route = core.route

    def noted(batch: Batch, retained: Sequence[Publish] = ()) -> Sequence[Publish]:
        batches.append(batch.count)
        return route(batch, retained)

    monkeypatch.setattr(core, "route", noted)
    await client.send(encode(Publish("t", b"x" * 70), V5) * 3_000)
    await client.ping()
    assert batches == [3_000]


@pytest.mark.parametrize("kind", ["SUBSCRIBE", "UNSUBSCRIBE"])
async def test_the_filters_of_one_packet_are_dealt_with_in_turns(
    join: Join, broker: Broker, kind: str
) -> None:
    client = await join("c")
    filters = [f"f/{number}" for number in range(500)]
    statistics = broker.statistics
    if kind == "UNSUBSCRIBE":
        await client.subscribe(*filters)
    async with watched(lambda: statistics.subscriptions) as passes:
        if kind == "SUBSCRIBE":
            assert await client.subscribe(*filters) == [ReasonCode.SUCCESS] * 500
        else:
            assert await client.unsubscribe(*filters) == [ReasonCode.SUCCESS] * 500
    assert abs(sum(passes)) == 500
    assert max(map(abs, passes)) <= 2 * (LOOKS + 1)
    await broker.publish("f/7", b"x")
    assert len(await client.messages()) == (kind == "SUBSCRIBE")


async def test_suback_comes_before_the_messages_of_its_subscriptions(
    join: Join, broker: Broker
) -> None:
    for number in range(200):
        await broker.publish(f"f/{number}", b"x", retain=True)
    client = await join("c")
    await client.subscribe(*(f"f/{number}" for number in range(200)))
    assert len(await client.messages()) == 200


async def test_a_request_that_is_cut_off_leaves_nothing_half_done(
    join: Join, broker: Broker
) -> None:
    """Another connection takes the session over in the midst of a SUBSCRIBE."""
    client = await join("c", expiry=100)
    await broker.publish("f/0", b"kept", retain=True)
    many = [Subscription(f"f/{number}", 1) for number in range(500)]
    await client.send(Subscribe(1, many))
    while not broker.statistics.subscriptions:
        await trio.lowlevel.checkpoint()
    again = await join("c", clean_start=False, expiry=100)
    held = broker.statistics.subscriptions
    assert held < 500
    await again.expect_message("f/0", b"kept", 0)
    await broker.publish("f/0", b"x", qos=1)
    await again.expect_message("f/0", b"x", 1)
    assert await again.unsubscribe("f/0") == [ReasonCode.SUCCESS]
    assert broker.statistics.subscriptions == held - 1


@pytest.mark.parametrize("count", [5, 3_000])
async def test_nothing_is_done_for_a_session_that_was_taken_over(
    join: Join, broker: Broker, count: int
) -> None:
    first = await join("c", expiry=100)

    def subscribe(number: int) -> Packet:
        return Subscribe(number, [Subscription(f"a/{next(_counter)}")])

    await first.send(numbered(subscribe, count))
    second = await join("c", clean_start=False, expiry=100)
    held = broker.statistics.subscriptions
    if count == 5:
        assert held == 5
    else:
        assert held < count
    await trio.sleep(1)
    await second.ping()
    assert broker.statistics.subscriptions == held
    answers = [packet for packet in await first.drain() if isinstance(packet, SubAck)]
    assert len(answers) == held


async def test_a_message_is_acknowledged_in_the_turn_in_which_it_is_routed(
    join: Join, broker: Broker
) -> None:
    watcher = await join("w", expiry=100)
    await watcher.subscribe("#", qos=1)
    client = await join("c", expiry=100)

    def publish(number: int) -> Packet:
        return Publish(f"{next(_counter)}", b"x", 1, packet_id=number)

    await client.send(numbered(publish, 900))
    while not broker.statistics.messages_received:
        await trio.lowlevel.checkpoint()
    routed = broker.statistics.messages_received
    assert 0 < routed < 900
    acknowledged = [packet.packet_id for packet in await client.drain()
                    if isinstance(packet, PubAck)]  # fmt: skip
    assert acknowledged == list(range(1, 901))
    assert len(await watcher.take()) == 900


# -- a bound on filters in one packet -------------------------------------------------------------


class TestWithFewFilters:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(maximum_filters_at_once=10, maximum_request_size=1_000)

    @pytest.mark.parametrize("packet", [
        Subscribe(1, [Subscription("a")] * 11), Unsubscribe(1, ["a"] * 11),
        Subscribe(1, [Subscription("a" * 1_000)]), Unsubscribe(1, ["a" * 1_000]),
    ])  # fmt: skip
    @pytest.mark.parametrize("version", [V311, V5])
    async def test_a_request_beyond_it_ends_the_connection(
        self, join: Join, broker: Broker, version: ProtocolVersion, packet: Packet
    ) -> None:
        client = await join("c", version)
        await client.subscribe(*(["b"] * 10))
        await client.send(packet)
        await client.expect_disconnect(ReasonCode.QUOTA_EXCEEDED)
        assert broker.statistics.subscriptions == 0


async def test_an_answer_is_nothing_after_the_end(join: Join) -> None:
    """A client that says goodbye after a flood has all of it answered."""
    client = await join("c")
    await client.send(numbered(lambda _number: PingReq(), 2_000) + b"\xe0\x00")
    answers = 0
    while not isinstance(packet := await client.receive(), Closed):
        assert isinstance(packet, PingResp)
        answers += 1
    assert answers == 2_000


async def test_a_handshake_of_qos_2_goes_on_through_turns(join: Join, broker: Broker) -> None:
    client = await join("c")
    await client.send(
        numbered(lambda number: Publish("t", b"x", 2, packet_id=number), 900)
        + numbered(PubRel, 900)
    )
    kinds = [type(packet) for packet in await client.drain(1)]
    assert kinds == [PubRec] * 900 + [PubComp] * 900
    assert broker.statistics.messages_received == 900
