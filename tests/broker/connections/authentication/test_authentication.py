"""Enhanced authentication: AUTH between a client and an authenticator (MQTT 5.0 §4.12)."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from tests.broker.connections.authentication.scripted import (
    AGAIN,
    CONTINUE,
    Opened,
    Scripted,
    auth,
    begin,
    joined,
    joined_by,
    method,
    refused,
)
from tests.broker.raw import V5, V311, Raw
from tests.inside import core_of
from trio_mqtt import Broker
from trio_mqtt.broker.access.protocols import (
    Authenticated,
    AuthenticationExchange,
    AuthenticationRefused,
)
from trio_mqtt.broker.access.security import Security
from trio_mqtt.broker.limits import Limits
from trio_mqtt.events import ClientConnected
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    Publish,
    Will,
)
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import open_memory_broker


@pytest.mark.normative("MQTT-4.12.0-2", "MQTT-4.12.0-3", "MQTT-4.12.0-5", "MQTT-3.15.2-1")
async def test_a_client_that_answers_is_let_in(opened: Opened, broker: Broker) -> None:
    client = opened()
    assert await begin(client) == Auth(CONTINUE, method(b"?1"))
    await client.send(auth())
    answer = await client.expect(ConnAck)
    assert answer.reason_code == ReasonCode.SUCCESS
    assert answer.properties["authentication_method"] == "m"
    assert answer.properties["authentication_data"] == b"welcome"
    await client.ping()


async def test_who_it_is_comes_from_the_method(
    opened: Opened, broker: Broker, authenticator: Scripted
) -> None:
    with broker.sample(ClientConnected) as sample:
        await joined(opened)
        events = sample.take()
    assert [e.username for e in events if isinstance(e, ClientConnected)] == ["somebody"]
    seen = authenticator.seen[0]
    assert (seen.method, seen.data, seen.client_id, seen.username) == ("m", b"1", "c", None)
    assert not seen.again


async def test_a_method_may_need_no_challenge(opened: Opened, authenticator: Scripted) -> None:
    async def at_once(exchange: AuthenticationExchange) -> Authenticated:
        assert exchange.data == b""
        return Authenticated()

    authenticator.step = at_once
    client = opened()
    answer = await client.connect(properties=method())
    assert answer.properties["authentication_method"] == "m"
    assert "authentication_data" not in answer.properties
    # What could not be said before CONNACK can be said now.
    assert await client.publish("t", b"x" * 200_000, qos=1) == ReasonCode.NO_MATCHING_SUBSCRIBERS


@pytest.mark.normative("MQTT-4.12.0-4")
@pytest.mark.parametrize("code", [ReasonCode.NOT_AUTHORIZED, ReasonCode.BAD_USER_NAME_OR_PASSWORD])
async def test_a_refusal_is_told_and_the_connection_closed(
    opened: Opened, broker: Broker, authenticator: Scripted, code: ReasonCode
) -> None:
    async def refuse(exchange: AuthenticationExchange) -> AuthenticationRefused:
        await exchange.challenge()
        return AuthenticationRefused(code, "because")

    authenticator.step = refuse
    client = opened()
    await begin(client)
    await client.send(auth(b"wrong"))
    answer = await refused(client, code)
    assert answer.properties == {"reason_string": "because"}
    assert len(core_of(broker).sessions) == 0


@pytest.mark.normative("MQTT-4.12.0-1")
async def test_an_unknown_method_is_refused(opened: Opened, authenticator: Scripted) -> None:
    for name in ("M", ""):
        client = opened()
        await client.send(Connect("c", properties=method(b"1", name)))
        await refused(client, ReasonCode.BAD_AUTHENTICATION_METHOD)
    assert not authenticator.seen


@pytest.mark.normative("MQTT-4.12.0-6", "MQTT-4.12.0-7")
@pytest.mark.parametrize("code", [CONTINUE, AGAIN])
async def test_without_a_method_there_is_no_auth(
    opened: Opened, authenticator: Scripted, code: ReasonCode
) -> None:
    client = opened()
    answer = await client.connect()
    assert "authentication_method" not in answer.properties
    await client.send(auth(code=code))
    await client.expect_disconnect(ReasonCode.PROTOCOL_ERROR)
    assert not authenticator.seen


async def test_a_broker_may_require_a_method(
    authenticator: Scripted, version: ProtocolVersion
) -> None:
    security = Security(authenticators={"m": authenticator}, authentication_required=True)
    async with open_memory_broker(security=security) as memory:
        client = Raw(memory.connect(), version)
        await client.send(Connect("c", protocol_version=version, username="u"))
        await refused(client, ReasonCode.NOT_AUTHORIZED)
        assert len(core_of(memory.broker).sessions) == 0
        client = Raw(memory.connect())
        await begin(client)
        await client.send(auth())
        assert (await client.expect(ConnAck)).reason_code == ReasonCode.SUCCESS


async def test_mqtt_3_clients_do_not_notice(opened: Opened) -> None:
    client = opened(V311)
    await client.connect()
    await client.ping()


@pytest.mark.normative("MQTT-3.1.2-30", "MQTT-4.12.0-5")
@pytest.mark.parametrize(
    "packet",
    [
        Publish("t", b"x", retain=True),
        PingReq(),
        Connect("c"),
        auth(code=AGAIN),
        auth(name="other"),
        b"\xf0\x00",
        b"\xf0\x02\x18\x00",
    ],
    ids=["PUBLISH", "PINGREQ", "CONNECT", "again", "other method", "success", "no method"],
)
async def test_a_client_that_is_asked_only_answers(
    opened: Opened, broker: Broker, packet: Packet | bytes
) -> None:
    client = opened()
    await begin(client)
    await client.send(packet)
    await refused(client, ReasonCode.PROTOCOL_ERROR)
    assert len(core_of(broker).sessions) == 0
    assert broker.statistics.messages_received == 0


@pytest.mark.normative("MQTT-3.15.1-1")
async def test_reserved_flags_of_auth_are_malformed(opened: Opened) -> None:
    for flags in (1, 2, 4, 8):
        client = opened()
        await begin(client)
        data = bytearray(encode(auth(), V5))
        data[0] |= flags
        await client.send(bytes(data))
        await refused(client, ReasonCode.MALFORMED_PACKET)


@pytest.mark.normative("MQTT-3.15.2-1")
async def test_only_the_reason_codes_of_auth_are_known(opened: Opened) -> None:
    client = opened()
    await begin(client)
    await client.send(encode(auth(), V5).replace(b"\x18", b"\x87", 1))
    await refused(client, ReasonCode.MALFORMED_PACKET)


@pytest.mark.normative("MQTT-3.1.2-30")
async def test_nothing_may_come_with_connect_or_before_it_is_asked_for(
    opened: Opened, authenticator: Scripted
) -> None:
    for early in (Publish("t", b"x"), auth()):
        client = opened()
        await client.send(Connect("c", properties=method(b"1")), early)
        await refused(client, ReasonCode.PROTOCOL_ERROR)
    assert not authenticator.seen
    client = opened()
    await begin(client)
    await client.send(auth(), auth())
    await refused(client, ReasonCode.PROTOCOL_ERROR)


async def test_a_client_may_leave_while_it_is_asked(
    opened: Opened, broker: Broker, authenticator: Scripted
) -> None:
    cancelled = []

    async def wait(exchange: AuthenticationExchange) -> Authenticated:
        try:
            await exchange.challenge()
        except trio.Cancelled:
            cancelled.append(exchange.client_id)
            raise
        return Authenticated()

    authenticator.step = wait
    client = opened()
    await begin(client)
    await client.send(Disconnect())
    await client.expect_closed()
    client = opened()
    await begin(client)
    await client.drop()
    assert cancelled == ["c", "c"]
    assert len(core_of(broker).sessions) == 0


async def test_no_will_of_a_client_that_was_not_let_in(opened: Opened) -> None:
    watcher = opened()
    await watcher.connect("watcher")
    await watcher.subscribe("#")
    client = opened()
    await client.send(Connect("c", will=Will("will", b"x"), properties=method(b"1")))
    await client.expect(Auth)
    await client.drop()
    await watcher.expect_nothing()


async def test_a_session_is_not_taken_over_by_who_is_not_let_in(opened: Opened) -> None:
    owner = await joined(opened)
    thief = opened()
    await begin(thief)
    await thief.send(auth(b"wrong"))
    await refused(thief, ReasonCode.NOT_AUTHORIZED)
    await owner.ping()
    await joined(opened)
    await owner.expect_disconnect(ReasonCode.SESSION_TAKEN_OVER)


async def test_it_has_the_time_of_connect(opened: Opened, limits: Limits) -> None:
    client = opened()
    began = trio.current_time()
    await begin(client)
    await client.expect_closed()
    assert trio.current_time() - began == pytest.approx(limits.connect_timeout)


async def test_it_has_so_many_steps(
    opened: Opened, limits: Limits, authenticator: Scripted
) -> None:
    async def never_enough(exchange: AuthenticationExchange) -> Authenticated:
        while True:
            await exchange.challenge()

    authenticator.step = never_enough
    client = opened()
    await begin(client)
    for _ in range(limits.maximum_authentication_steps - 1):
        await client.send(auth())
        await client.expect(Auth)
    await client.send(auth())
    await refused(client, ReasonCode.NOT_AUTHORIZED)


async def test_a_large_answer_is_not_held(opened: Opened, limits: Limits) -> None:
    client = opened()
    await begin(client)
    await client.send(b"\xf0\xff\xff\x7f")
    await refused(client, ReasonCode.PACKET_TOO_LARGE)
    client = opened()
    await client.send(encode(Connect("c", properties=method(b"1")), V5) + b"\xf0\xff\xff\x7f")
    await refused(client, ReasonCode.PACKET_TOO_LARGE)


async def test_a_challenge_that_the_client_does_not_take_ends_it(
    opened: Opened, authenticator: Scripted
) -> None:
    async def large(exchange: AuthenticationExchange) -> Authenticated:
        await exchange.challenge(bytes(1_000))
        return Authenticated()

    authenticator.step = large
    client = opened()
    own: Properties = {**method(b"1"), "maximum_packet_size": 100}
    await client.send(Connect("c", properties=own))
    await refused(client, ReasonCode.PACKET_TOO_LARGE)


@pytest.mark.parametrize("returns", [False, True], ids=["raises", "refuses with success"])
async def test_an_authenticator_that_fails_lets_nobody_in(
    opened: Opened, authenticator: Scripted, caplog: pytest.LogCaptureFixture, returns: bool
) -> None:
    async def fail(_exchange: AuthenticationExchange) -> AuthenticationRefused:
        if returns:
            return AuthenticationRefused(ReasonCode.SUCCESS)
        raise OSError("the database is gone")

    authenticator.step = fail
    client = opened()
    await client.send(Connect("c", properties=method()))
    with caplog.at_level(logging.ERROR, "trio_mqtt.broker"):
        await refused(client, ReasonCode.UNSPECIFIED_ERROR)
    assert "authenticator of 'm' failed" in caplog.text
    await joined_by(opened, authenticator)


async def test_an_exchange_that_is_over_challenges_nobody(
    opened: Opened, authenticator: Scripted
) -> None:
    client = await joined(opened)
    with pytest.raises(RuntimeError, match="challenge"):
        await authenticator.seen[0].challenge(b"late")
    await client.expect_nothing()


async def test_the_broker_ends_while_clients_authenticate(authenticator: Scripted) -> None:
    security = Security(authenticators={"m": authenticator})
    async with open_memory_broker(security=security) as memory:
        client = Raw(memory.connect())
        await begin(client)
    await refused(client, ReasonCode.SERVER_UNAVAILABLE)
