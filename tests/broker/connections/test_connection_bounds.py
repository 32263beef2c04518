"""How many clients may be connected, and what they may ask for when they connect."""

from __future__ import annotations

import pytest
import trio

from tests.broker.raw import V5, V31, V311, Raw
from tests.broker.sessions.test_room import FULL, Named, said
from trio_mqtt import BrokerOptions, Limits
from trio_mqtt.broker.access.security import Security
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import open_memory_broker

OK = ReasonCode.SUCCESS


class TestConnectionsOfAUser:
    async def test_one_user_has_so_many_and_others_have_theirs(self) -> None:
        limits = Limits(maximum_connections_per_user=2)
        security = Security(authenticators={"named": Named()})
        async with open_memory_broker(limits=limits, security=security) as memory:
            first, _ = await said(memory, "a1", user="ann")
            await said(memory, "a2", user="ann")
            refused, answer = await said(memory, "a3", user="ann")
            assert answer.reason_code == FULL
            assert answer.properties["reason_string"] == (
                "its user has 2 connections, as many as one may have"
            )
            await refused.expect_closed()
            assert memory.broker.statistics.connections_refused == 1
            _, answer = await said(memory, "b1", user="ben")
            assert answer.reason_code == OK
            # Who takes over its own session, and who comes after another has left, is not one more.
            _, answer = await said(memory, "a2", user="ann")
            assert answer.reason_code == OK
            await first.disconnect()
            _, answer = await said(memory, "a3", user="ann")
            assert answer.reason_code == OK

    async def test_sessions_without_a_connection_do_not_count(self) -> None:
        limits = Limits(maximum_connections_per_user=1)
        security = Security(authenticators={"named": Named()})
        async with open_memory_broker(limits=limits, security=security) as memory:
            for _ in range(2):
                for name in ("a", "b", "c"):
                    client, answer = await said(memory, name, user="ann")
                    assert answer.reason_code == OK
                    await client.disconnect()
            await said(memory, "a", user="ann")
            _, answer = await said(memory, "b", user="ann")  # which it has, but not connected
            assert answer.reason_code == FULL

    async def test_those_who_prove_no_name_are_nobodys(self) -> None:
        async with open_memory_broker(limits=Limits(maximum_connections_per_user=1)) as memory:
            for name in ("a", "b", "c"):
                _, answer = await said(memory, name)
                assert answer.reason_code == OK


class TestKeepAliveOfMqtt3:
    @pytest.mark.parametrize("version", [V31, V311], ids=["3.1", "3.1.1"])
    @pytest.mark.parametrize("keep_alive", [0, 121, 65_535])
    async def test_who_asks_for_none_or_a_longer_one_is_refused(
        self, version: ProtocolVersion, keep_alive: int
    ) -> None:
        async with open_memory_broker(limits=Limits(maximum_keep_alive_mqtt_3=120)) as memory:
            client = Raw(memory.connect(), version)
            await client.send(Connect("c", keep_alive=keep_alive, protocol_version=version))
            answer = await client.expect(ConnAck)
            assert answer.reason_code == ReasonCode.CLIENT_IDENTIFIER_NOT_VALID  # code 2
            await client.expect_closed()
            assert memory.broker.statistics.keep_alives_refused == 1

    @pytest.mark.parametrize(
        ("version", "keep_alive"), [(V311, 1), (V311, 120), (V5, 0), (V5, 65_535)]
    )
    async def test_others_are_let_in(self, version: ProtocolVersion, keep_alive: int) -> None:
        async with open_memory_broker(limits=Limits(maximum_keep_alive_mqtt_3=120)) as memory:
            client = Raw(memory.connect(), version)
            await client.send(Connect("c", keep_alive=keep_alive, protocol_version=version))
            assert (await client.expect(ConnAck)).reason_code == OK
            assert memory.broker.statistics.keep_alives_refused == 0

    async def test_by_default_mqtt_3_may_ask_for_none(self) -> None:
        async with open_memory_broker() as memory:
            client = Raw(memory.connect(), V311)
            await client.send(Connect("c", keep_alive=0, protocol_version=V311))
            assert (await client.expect(ConnAck)).reason_code == OK


class TestRefusedTakeover:
    OPTIONS = BrokerOptions(takeover_refused=True)

    @pytest.mark.parametrize("version", [V311, V5], ids=["3.1.1", "5"])
    @pytest.mark.parametrize("kept", [True, False])
    async def test_who_is_connected_stays(self, version: ProtocolVersion, kept: bool) -> None:
        async with open_memory_broker(options=self.OPTIONS) as memory:
            first, _ = await said(memory, "c", kept=kept, version=version)
            second, answer = await said(memory, "c", kept=kept, version=version)
            assert answer.reason_code == ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
            await second.expect_closed()
            assert memory.broker.statistics.takeovers_refused == 1
            await first.subscribe("t")
            await first.publish("t", b"still here")
            assert [message.payload for message in await first.messages()] == [b"still here"]
            # Once it has gone, the other one is let in.
            await first.disconnect()
            _, answer = await said(memory, "c", kept=kept, version=version)
            assert answer.reason_code == OK
            assert answer.session_present is kept

    async def test_who_was_cut_off_comes_back_when_its_keep_alive_has_passed(self) -> None:
        async with open_memory_broker(options=self.OPTIONS) as memory:
            cut_off = Raw(memory.connect())
            await cut_off.connect("c", keep_alive=10)
            await trio.sleep(14)
            _, answer = await said(memory, "c")
            assert answer.reason_code.is_failure
            await trio.sleep(2)
            _, answer = await said(memory, "c")
            assert answer.reason_code == OK
