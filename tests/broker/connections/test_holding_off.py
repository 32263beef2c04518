"""Who connects too often or guesses passwords is held off for a while, which grows."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.broker.raw import V5, V311, Raw
from tests.inside import core_of
from trio_mqtt import Limits, Security
from trio_mqtt.access import AccessHooks, Authenticated, AuthenticationRefused, ClientInfo
from trio_mqtt.broker.holding_off import _REMEMBERED, HoldingOff
from trio_mqtt.broker.statistics import Statistics
from trio_mqtt.broker.timers import Timers
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import MemoryBroker, open_memory_broker

OK, OFTEN, BANNED = ReasonCode.SUCCESS, ReasonCode.CONNECTION_RATE_EXCEEDED, ReasonCode.BANNED
WRONG = ReasonCode.BAD_USER_NAME_OR_PASSWORD
HERE, THERE = "10.0.0.1:1000", "10.0.0.2:1000"


class Passwords(AccessHooks):
    """The password of everybody is "right". No thread looks at it: time is virtual here."""

    async def authenticate(
        self, client: ClientInfo, password: bytes | None
    ) -> Authenticated | AuthenticationRefused:
        del client
        return Authenticated() if password == b"right" else AuthenticationRefused(WRONG)


@asynccontextmanager
async def serving(*, passwords: bool = False, **limits: float) -> AsyncIterator[MemoryBroker]:
    security = Security(hooks=Passwords()) if passwords else None
    async with open_memory_broker(limits=Limits(**limits), security=security) as memory:  # type: ignore[arg-type]
        yield memory


async def answer(
    memory: MemoryBroker,
    peer: str = HERE,
    client_id: str = "c",
    *,
    username: str | None = None,
    password: bytes | None = None,
    version: ProtocolVersion = V5,
) -> ReasonCode | None:
    """What CONNACK says; None if the broker has closed before."""
    client = Raw(memory.connect(peer=peer), version)
    try:
        await client.send(
            Connect(client_id, username=username, password=password, protocol_version=version)
        )
    except trio.BrokenResourceError:
        return None
    packet = await client.receive()
    if not isinstance(packet, ConnAck):
        return None
    if not packet.reason_code.is_failure:
        await client.disconnect()
    return packet.reason_code


async def answers(memory: MemoryBroker, count: int, **options: object) -> list[ReasonCode | None]:
    return [await answer(memory, **options) for _ in range(count)]  # type: ignore[arg-type]


class TestOneClient:
    async def test_it_may_connect_each_second(self) -> None:
        async with serving() as memory:
            for _ in range(600):
                assert await answer(memory) == OK
                await trio.sleep(1)
            assert memory.broker.statistics.hold_offs == 0

    async def test_one_that_comes_too_often_is_held_off_longer_each_time(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING, "trio_mqtt.connections")
        async with serving(maximum_connects_per_minute=5, maximum_hold_off=30) as memory:
            for seconds in (10, 20, 30, 30):
                assert await answers(memory, 5) == [OK] * 5
                assert await answers(memory, 3) == [OFTEN] * 3
                await trio.sleep(seconds - 0.5)
                assert await answer(memory) == OFTEN
                await trio.sleep(1)
            statistics = memory.broker.statistics
            assert (statistics.hold_offs, statistics.clients_held_off) == (4, 16)
            found = [one for one in caplog.records if "held off" in one.message]
            assert all(one.address == "10.0.0.1" for one in found)  # type: ignore[attr-defined]
            told = [one.message for one in found]
            assert told == [
                f"The client 'c' at 10.0.0.1 is held off for {seconds} s: it connects too often"
                for seconds in (10, 20, 30, 30)
            ]
            await trio.sleep(100)  # it was quiet: it begins anew
            await answers(memory, 6)
            await trio.sleep(10.5)
            assert await answer(memory) == OK

    async def test_others_are_not(self) -> None:
        async with serving(maximum_connects_per_minute=5) as memory:
            await answers(memory, 6)
            assert await answer(memory) == OFTEN
            assert await answer(memory, client_id="other") == OK
            assert await answer(memory, peer=THERE) == OK  # nobody is kept out from elsewhere
            assert await answer(memory, client_id="") == OK

    async def test_nobody_is_held_off_for_what_others_try_by_its_name(self) -> None:
        async with serving(passwords=True, maximum_connects_per_minute=5) as memory:
            assert await answer(memory, username="owner", password=b"right") == OK
            tried = [await answer(memory, username=f"u{n}", password=b"no") for n in range(20)]
            assert tried == [WRONG] * 20
            assert await answer(memory, username="owner", password=b"right") == OK
            owner = Raw(memory.connect(peer=HERE))
            await owner.send(Connect("c", username="owner", password=b"right"))
            await owner.expect(ConnAck)
            others = [await answer(memory, username=f"u{n}", password=b"right") for n in range(20)]
            assert others == [ReasonCode.CLIENT_IDENTIFIER_NOT_VALID] * 20
            assert await answer(memory, username="owner", password=b"right") == OK

    async def test_mqtt_3_has_a_code_for_it_too(self) -> None:
        async with serving(maximum_connects_per_minute=5) as memory:
            found = await answers(memory, 6, version=V311)
            assert found == [OK] * 5 + [ReasonCode.SERVER_UNAVAILABLE]

    @pytest.mark.parametrize("peer", ["127.0.0.1:5", "[::1]:5", "a stream", "process 1 of root"])
    async def test_this_machine_is_never_held_off(self, peer: str) -> None:
        async with serving(
            maximum_connects_per_minute=1, maximum_connect_rate_per_address=0.1
        ) as memory:
            assert await answers(memory, 100, peer=peer) == [OK] * 100


class TestOneAddress:
    async def test_it_may_open_so_many_connections(self) -> None:
        async with serving(maximum_connect_rate_per_address=1) as memory:
            found = [await answer(memory, client_id=f"c{n}") for n in range(30)]
            assert found[:10] == [OK] * 10
            assert found[10:20] == [OFTEN] * 10
            assert found[20:] == [None] * 10  # enough were told
            assert memory.broker.statistics.connects_too_fast == 20
            assert await answer(memory, THERE) == OK
            await trio.sleep(5)
            found = [await answer(memory, client_id=f"d{n}") for n in range(6)]
            assert found == [OK] * 5 + [OFTEN]

    async def test_a_network_of_ipv6_is_one(self) -> None:
        async with serving(maximum_connect_rate_per_address=0.1) as memory:
            assert await answer(memory, "[2001:db8::1]:1") == OK
            assert await answer(memory, "[2001:db8::2]:1") == OFTEN
            assert await answer(memory, "[2001:db8:0:1::1]:1") == OK


class TestGuessers:
    async def test_an_address_with_many_wrong_passwords_is_held_off(self) -> None:
        async with serving(passwords=True, maximum_failed_logins_per_minute=6) as memory:
            found = [
                await answer(memory, client_id=f"c{n}", username=f"u{n}", password=b"%d" % n)
                for n in range(30)
            ]
            assert found == [WRONG] * 7 + [BANNED] * 10 + [None] * 13
            statistics = memory.broker.statistics
            assert statistics.hold_offs == 1
            assert (statistics.logins_failed, statistics.clients_held_off) == (7, 23)
            # Also with the right one, for a while.
            assert await answer(memory, username="u", password=b"right") is None
            assert await answer(memory, THERE, username="u", password=b"right") == OK
            await trio.sleep(11)
            assert await answer(memory, username="u", password=b"right") == OK

    async def test_where_others_are_right_only_the_user_is(self) -> None:
        async with serving(passwords=True, maximum_failed_logins_per_minute=3) as memory:
            assert await answer(memory, username="good", password=b"right") == OK
            found = [
                await answer(memory, client_id=f"c{n}", username="bad", password=b"%d" % n)
                for n in range(8)
            ]
            assert found == [WRONG] * 4 + [BANNED] * 4
            assert await answer(memory, username="bad", password=b"right") == BANNED
            assert await answer(memory, username="good", password=b"right") == OK
            await trio.sleep(11)
            assert await answer(memory, username="bad", password=b"right") == OK

    async def test_this_machine_may_guess(self) -> None:
        async with serving(passwords=True, maximum_failed_logins_per_minute=1) as memory:
            found = await answers(memory, 10, peer="127.0.0.1:1", username="u", password=b"no")
            assert found == [WRONG] * 10


async def test_what_is_remembered_is_bounded() -> None:
    holding_off = HoldingOff(Limits(maximum_connect_rate_per_address=1), Statistics(), Timers())
    for number in range(_REMEMBERED + 100):
        peer = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}:1"
        holding_off.connecting(peer)
        holding_off.has_session(peer, "c")
        holding_off.was_wrong(peer, "u")
        holding_off.was_right(peer, "u")
        holding_off.was_wrong(peer, "u")
    for records in (holding_off._addresses, holding_off._clients, holding_off._guesses):
        assert len(records) == _REMEMBERED
    assert len(holding_off._good) == _REMEMBERED


async def test_of_long_names_little_is_remembered_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = Limits(maximum_connects_per_minute=2, maximum_failed_logins_per_minute=2)
    holding_off = HoldingOff(limits, Statistics(), Timers())
    first, second = "n" * 60_000 + "1", "n" * 60_000 + "2"
    holding_off.was_right(HERE, None)
    for _ in range(3):
        holding_off.has_session(HERE, first)
        holding_off.was_wrong(HERE, first)
    found = holding_off.identified(HERE, first)
    assert found is not None
    assert found.reason_code is OFTEN
    assert holding_off.logging_in(HERE, first) is not None
    assert holding_off.identified(HERE, second) is None  # it only begins like the other
    assert holding_off.logging_in(HERE, second) is None
    for records in (holding_off._clients, holding_off._guesses):
        assert all(len(name) <= 64 for _, name in records._records)
    assert len(caplog.messages) == 2
    assert all(len(line) < 300 for line in caplog.messages)


async def test_without_bounds_nothing_is_remembered() -> None:
    no_bounds = Limits(
        maximum_connects_per_minute=math.inf, maximum_failed_logins_per_minute=math.inf
    )
    async with open_memory_broker(limits=no_bounds) as memory:
        assert await answers(memory, 200) == [OK] * 200
        holding_off = core_of(memory.broker).holding_off
        assert not len(holding_off._clients) + len(holding_off._guesses)
