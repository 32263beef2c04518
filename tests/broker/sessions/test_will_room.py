"""Wills take no more bytes than the bounds say, in all and of one user or address."""

from __future__ import annotations

import tracemalloc

import pytest
import trio.testing

from tests.broker.raw import V5, V311, Raw
from tests.inside import core_of
from trio_mqtt import Limits, Security
from trio_mqtt.access import Authenticated, AuthenticationExchange
from trio_mqtt.broker.sessions.will_room import size_of_will
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect, Subscription, Will
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import MemoryBroker, open_memory_broker

ONE, OTHER = "10.0.0.1:1", "10.0.0.2:1"
FULL, SUCCESS = ReasonCode.QUOTA_EXCEEDED, ReasonCode.SUCCESS
KIB = 1024


def large(size: int = 10 * KIB, delay: int = 0) -> Will:
    return Will("will", bytes(size), properties={"will_delay_interval": delay} if delay else {})


async def connected(
    memory: MemoryBroker,
    name: str,
    peer: str = ONE,
    *,
    will: Will | None = None,
    version: ProtocolVersion = V5,
    properties: Properties | None = None,
) -> tuple[Raw, ConnAck]:
    client = Raw(memory.connect(peer=peer), version)
    await client.send(
        Connect(name, protocol_version=version, will=will, properties=properties or {})
    )
    return client, await client.expect(ConnAck)


@pytest.mark.parametrize("version", [V5, V311], ids=["5", "3.1.1"])
async def test_a_client_is_refused_whose_address_leaves_too_much(
    version: ProtocolVersion,
) -> None:
    async with open_memory_broker(
        limits=Limits(maximum_will_bytes=90 * KIB, maximum_will_bytes_per_user=35 * KIB)
    ) as memory:
        statistics = memory.broker.statistics
        for number in range(3):
            _, answer = await connected(memory, f"c{number}", will=large(), version=version)
            assert answer.reason_code == SUCCESS
        refused, answer = await connected(memory, "c3", will=large(), version=version)
        if version == V5:
            assert answer.reason_code == FULL
            assert answer.properties["reason_string"] == (
                "its user or address leaves as much in wills here as one may"
            )
        else:
            assert answer.reason_code == ReasonCode.SERVER_UNAVAILABLE  # code 3
        await refused.expect_closed()
        assert statistics.wills_refused == 1
        # Who has none is let in, and so is who comes from elsewhere, until all is full.
        for name, peer, will, expected in (
            ("plain", ONE, None, SUCCESS),
            ("o0", OTHER, large(), SUCCESS),
            ("o1", OTHER, large(), SUCCESS),
            ("o2", OTHER, large(), SUCCESS),
            ("p0", "10.0.0.3:1", large(), SUCCESS),
            ("p1", "10.0.0.3:1", large(), SUCCESS),
        ):
            assert (await connected(memory, name, peer, will=will))[1].reason_code == expected
        _, answer = await connected(memory, "p2", "10.0.0.3:1", will=large())
        assert answer.reason_code == FULL
        assert answer.properties["reason_string"] == "this broker has no room for its will"
        assert statistics.wills_refused == 2


async def test_a_user_has_one_part_wherever_it_comes_from() -> None:
    class Named:
        async def authenticate(self, exchange: AuthenticationExchange) -> Authenticated:
            return Authenticated(username=exchange.data.decode())

    async with open_memory_broker(
        limits=Limits(maximum_will_bytes_per_user=15 * KIB),
        security=Security(authenticators={"named": Named()}),
    ) as memory:
        for name, peer, user, code in (
            ("a", ONE, b"ada", SUCCESS),
            ("b", OTHER, b"ada", FULL),
            ("c", ONE, b"bob", SUCCESS),
        ):
            properties: Properties = {
                "authentication_method": "named", "authentication_data": user
            }  # fmt: skip
            _, answer = await connected(memory, name, peer, will=large(), properties=properties)
            assert answer.reason_code == code, name


async def test_what_is_published_or_not_left_any_more_makes_room() -> None:
    async with open_memory_broker(limits=Limits(maximum_will_bytes_per_user=15 * KIB)) as memory:
        statistics = memory.broker.statistics
        watcher, _ = await connected(memory, "watcher", OTHER)
        await watcher.subscribe(Subscription("will", 0))
        for way in ("lost", "goodbye", "delayed", "replaced", "other session"):
            kept: Properties = {"session_expiry_interval": 60}
            first, answer = await connected(
                memory, "a", will=large(delay=30 * (way == "delayed")), properties=kept
            )
            assert answer.reason_code == SUCCESS, way
            assert statistics.will_bytes > 10 * KIB
            _, answer = await connected(memory, "b", will=large())
            assert answer.reason_code == FULL, way
            if way == "goodbye":
                await first.disconnect()
            elif way != "replaced":
                await first.drop()
            await trio.testing.wait_all_tasks_blocked()
            if way == "delayed":
                assert statistics.will_bytes > 10 * KIB
                await trio.sleep(31)
            if way == "replaced":
                # By its own, which takes no more room: then it has none.
                first, answer = await connected(memory, "a", will=large(), properties=kept)
                assert answer.reason_code == SUCCESS
                first, answer = await connected(memory, "a", properties=kept)
            assert statistics.will_bytes == 0, way


async def test_clients_that_come_at_one_time_find_no_more_room_than_there_is() -> None:
    async with open_memory_broker(limits=Limits(maximum_will_bytes_per_user=35 * KIB)) as memory:
        answers = []

        async def come(name: str) -> None:
            answers.append((await connected(memory, name, will=large()))[1].reason_code)

        async with trio.open_nursery() as nursery:
            for number in range(9):
                nursery.start_soon(come, f"c{number}")
        assert sorted(answers) == [SUCCESS] * 3 + [FULL] * 6
        core = core_of(memory.broker)
        wills = [session.will for session in core.sessions.all()]
        assert memory.broker.statistics.will_bytes == sum(map(size_of_will, wills))


@pytest.mark.slow
@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"content_type": "text/plain", "user_property": [("key", "some value")] * 20},
    ],
    ids=["plain", "properties"],
)
@pytest.mark.parametrize("size", [0, 200, 20_000])
def test_the_bytes_of_wills_are_counted(size: int, properties: Properties) -> None:
    tracemalloc.start()
    try:
        begun = tracemalloc.get_traced_memory()[0]
        wills = []
        for number in range(500):
            made: Properties = {**properties}
            if "user_property" in made:
                made["user_property"] = [
                    (f"{key} {number} {nth}", f"{value} {number} {nth}")
                    for nth, (key, value) in enumerate(made["user_property"])
                ]
            will = Will(f"a/topic/{number}", bytes(size), 1, properties=made)
            wills.append(will)
        taken = tracemalloc.get_traced_memory()[0] - begun
    finally:
        tracemalloc.stop()
    assert taken / 1.5 < sum(map(size_of_will, wills)) < taken * 1.5
