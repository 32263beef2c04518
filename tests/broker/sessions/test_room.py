"""No client fills the broker for ever: bounds for each user and address, and who makes room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.broker.raw import V5, V311, Raw
from tests.inside import core_of
from trio_mqtt import BrokerOptions, Limits, Security
from trio_mqtt.access import Authenticated, AuthenticationExchange
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import MemoryBroker, open_memory_broker

FULL = ReasonCode.QUOTA_EXCEEDED
HOARDER, OTHER = "10.0.0.1:1", "10.0.0.2:1"


class Named:
    """Lets everybody in as whom they say."""

    async def authenticate(self, exchange: AuthenticationExchange) -> Authenticated:
        return Authenticated(username=exchange.data.decode())


@asynccontextmanager
async def serving(*, drops: bool = False, **limits: int) -> AsyncIterator[MemoryBroker]:
    options = BrokerOptions(oldest_absent_session_ends=drops)
    security = Security(authenticators={"named": Named()})
    async with open_memory_broker(
        limits=Limits(**limits), options=options, security=security
    ) as memory:
        yield memory


async def said(
    memory: MemoryBroker,
    client_id: str,
    peer: str = OTHER,
    *,
    user: str | None = None,
    kept: bool = True,
    version: ProtocolVersion = V5,
) -> tuple[Raw, ConnAck]:
    client = Raw(memory.connect(peer=peer), version)
    properties: Properties = {"session_expiry_interval": 1_000} if kept and version == V5 else {}
    if user is not None:
        properties = {
            **properties, "authentication_method": "named", "authentication_data": user.encode()
        }  # fmt: skip
    await client.send(
        Connect(client_id, clean_start=not kept, protocol_version=version, properties=properties)
    )
    return client, await client.expect(ConnAck)


async def hoard(memory: MemoryBroker, count: int, peer: str = HOARDER, name: str = "h") -> None:
    """Leave so many sessions behind, one second after the other."""
    for number in range(count):
        client, answer = await said(memory, f"{name}{number}", peer)
        assert answer.reason_code == ReasonCode.SUCCESS
        await client.disconnect()
        await trio.sleep(1)


def left(memory: MemoryBroker) -> list[str]:
    return [session.client_id for session in core_of(memory.broker).sessions.all()]


@pytest.mark.parametrize("version", [V5, V311], ids=["5", "3.1.1"])
async def test_by_default_nobodys_messages_are_lost_and_the_new_client_is_told(
    version: ProtocolVersion,
) -> None:
    async with serving(maximum_sessions=3) as memory:
        await hoard(memory, 3)
        client, answer = await said(memory, "new", kept=False, version=version)
        if version == V5:
            assert answer.reason_code == FULL
            assert answer.properties["reason_string"] == "this broker keeps no more sessions"
        else:
            assert answer.reason_code == ReasonCode.SERVER_UNAVAILABLE  # code 3
        await client.expect_closed()
        # Who has one comes back.
        _, answer = await said(memory, "h1", HOARDER)
        assert answer.session_present


@pytest.mark.parametrize("kept", [True, False])
async def test_the_session_that_is_absent_longest_ends_where_that_is_wanted(kept: bool) -> None:
    async with serving(drops=True, maximum_sessions=3) as memory:
        await hoard(memory, 3)
        back, _ = await said(memory, "h0", HOARDER)  # it is absent last from now on
        await back.disconnect()
        _, answer = await said(memory, "new", kept=kept)
        assert answer.reason_code == ReasonCode.SUCCESS
        assert sorted(left(memory)) == ["h0", "h2", "new"]
        assert memory.broker.statistics.sessions == 3
        await said(memory, "newer", kept=kept)
        await said(memory, "newest", kept=kept)
        # All that are left are connected.
        _, answer = await said(memory, "none")
        assert answer.reason_code == FULL
        assert sorted(left(memory)) == ["new", "newer", "newest"]


@pytest.mark.parametrize("drops", [True, False])
async def test_one_address_holds_no_more_than_its_part(drops: bool) -> None:
    async with serving(drops=drops, maximum_sessions=10, maximum_sessions_per_user=3) as memory:
        await hoard(memory, 1, OTHER, "o")
        await hoard(memory, 3, "[2001:db8::1]:1")
        # The same /64.
        client, answer = await said(memory, "h3", "[2001:db8::2]:1")
        if drops:
            assert sorted(left(memory)) == ["h1", "h2", "h3", "o0"]  # its own makes room
            await client.disconnect()
        else:
            assert answer.reason_code == FULL
            assert answer.properties["reason_string"] == (
                "its address has 3 sessions, as many as one may have"
            )
        _, answer = await said(memory, "o1")
        assert answer.reason_code == ReasonCode.SUCCESS


async def test_users_count_by_their_names_wherever_they_are() -> None:
    async with serving(maximum_sessions_per_user=2) as memory:
        for number in range(2):
            _, answer = await said(memory, f"a{number}", f"10.0.{number}.1:1", user="ann")
            assert answer.reason_code == ReasonCode.SUCCESS
        _, answer = await said(memory, "a2", "10.0.2.1:1", user="ann")
        assert answer.reason_code == FULL
        assert "its user has 2 sessions" in answer.properties["reason_string"]
        _, answer = await said(memory, "b", "10.0.1.1:1", user="bob")
        assert answer.reason_code == ReasonCode.SUCCESS


async def test_sessions_that_end_give_their_room_back() -> None:
    async with serving(maximum_sessions=2, maximum_sessions_per_user=2) as memory:
        for _ in range(5):
            await hoard(memory, 2)
            # A new one in the place of the old, an expiry, and a goodbye of one that is not kept.
            client, _ = await said(memory, "h0", HOARDER, kept=False)
            await client.disconnect()
            await trio.sleep(1_001)
            assert left(memory) == []
        room = core_of(memory.broker).sessions._room
        assert (room._count, room._held, room._absent, room._absent_of) == (0, {}, {}, {})


async def test_a_session_that_is_taken_over_is_not_absent() -> None:
    async with serving(drops=True, maximum_sessions=1) as memory:
        await hoard(memory, 1)
        first, _ = await said(memory, "h0", HOARDER)
        second, _ = await said(memory, "h0", OTHER)
        await first.expect_disconnect(ReasonCode.SESSION_TAKEN_OVER)
        _, answer = await said(memory, "new")
        assert answer.reason_code == FULL
        await second.drop()
        _, answer = await said(memory, "new")
        assert answer.reason_code == ReasonCode.SUCCESS


async def test_an_address_has_no_more_connections_than_it_may_have(
    version: ProtocolVersion,
) -> None:
    async with serving(maximum_connections_per_address=2) as memory:
        clients = [await said(memory, f"c{n}", HOARDER, version=version) for n in range(2)]
        extra, answer = await said(memory, "c2", HOARDER, version=version)
        if version == V5:
            assert answer.reason_code == FULL
            reason = "its address has as many connections as one may have"
            assert answer.properties["reason_string"] == reason
        else:
            assert answer.reason_code == ReasonCode.SERVER_UNAVAILABLE
        await extra.expect_closed()
        # Those that say nothing are told nothing after a few.
        silent = [Raw(memory.connect(peer=HOARDER), version) for _ in range(10)]
        await trio.testing.wait_all_tasks_blocked()
        one_more = Raw(memory.connect(peer=HOARDER), version)
        await one_more.expect_closed()
        _, answer = await said(memory, "o", OTHER, version=version)
        assert answer.reason_code == ReasonCode.SUCCESS
        for each in silent:
            await each.drop()
        await clients[0][0].disconnect()
        _, answer = await said(memory, "c3", HOARDER, version=version)
        assert answer.reason_code == ReasonCode.SUCCESS


# Filters that have one place of wildcards each, no two of them the same.
PLACES = ["/".join("a" * number) + "/+" for number in range(1, 50)]


async def test_the_sessions_of_one_user_share_a_bound_of_wildcards() -> None:
    async with serving(
        maximum_wildcard_paths_per_session=4,
        maximum_wildcard_paths_per_user=10,
        maximum_wildcard_paths=20,
    ) as memory:
        granted = []
        for number in range(5):
            client, _ = await said(memory, f"a{number}", f"10.0.{number}.1:1", user="ann")
            codes = await client.subscribe(*PLACES[5 * number : 5 * number + 5])
            granted.append(codes.count(ReasonCode.SUCCESS))
        assert granted == [4, 4, 2, 0, 0]
        assert await client.subscribe("plain", PLACES[0]) == [ReasonCode.SUCCESS] * 2
        assert memory.broker.statistics.subscriptions_refused == 15
        # That of others is theirs, up to what all may have.
        for at, user, number in ((25, "ben", 4), (30, "carl", 4), (35, None, 2)):
            client, _ = await said(memory, f"of {user}", user=user)
            codes = await client.subscribe(*PLACES[at : at + 5])
            assert codes.count(ReasonCode.SUCCESS) == number


async def test_what_a_session_has_of_them_counts_for_whoever_has_it_and_is_given_back() -> None:
    async with serving(maximum_wildcard_paths_per_user=5) as memory:
        home, _ = await said(memory, "c", "10.0.1.1:1")
        assert await home.subscribe(*PLACES[:5]) == [ReasonCode.SUCCESS] * 5
        beside, _ = await said(memory, "d", "10.0.1.1:1")
        assert await beside.subscribe(PLACES[5]) == [FULL]
        await home.disconnect()
        await said(memory, "c", "10.0.2.1:1")  # the same session, from another address
        assert await beside.subscribe(*PLACES[5:10]) == [ReasonCode.SUCCESS] * 5
        there, _ = await said(memory, "e", "10.0.2.1:1")
        assert await there.subscribe(PLACES[6]) == [FULL]
        await said(memory, "c", "10.0.2.1:1", kept=False)  # which ends it
        assert await there.subscribe(*PLACES[:5]) == [ReasonCode.SUCCESS] * 5
        for name in ("c", "d", "e"):
            last, _ = await said(memory, name, kept=False)
            await last.disconnect()
        paths = core_of(memory.broker).subscriptions._paths
        assert (len(paths), paths._held) == (0, {})
