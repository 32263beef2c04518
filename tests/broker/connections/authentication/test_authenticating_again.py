"""Clients that authenticate once more on a connection that stands (MQTT 5.0 §4.12.1)."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.broker.connections.authentication.scripted import (
    AGAIN,
    Opened,
    Scripted,
    auth,
    joined,
    joined_by,
)
from trio_mqtt.broker.access.protocols import (
    Authenticated,
    AuthenticationExchange,
    AuthenticationRefused,
)
from trio_mqtt.broker.limits import Limits
from trio_mqtt.protocol.packets import Auth, Disconnect, Packet
from trio_mqtt.protocol.reason_codes import ReasonCode


@pytest.mark.normative("MQTT-4.12.1-1", "MQTT-4.12.0-5")
async def test_a_client_authenticates_again_while_messages_go_on(
    opened: Opened, authenticator: Scripted
) -> None:
    client = await joined(opened)
    await client.subscribe("t")
    for _ in range(2):
        await client.send(auth(b"2", AGAIN))
        assert await client.expect(Auth) == auth(b"?2")
        await client.publish("t", b"meanwhile")
        await client.expect_message("t", b"meanwhile")
        await client.send(auth())
        assert await client.expect(Auth) == auth(b"welcome", ReasonCode.SUCCESS)
    await client.ping()
    again = authenticator.seen[-1]
    assert again.again
    assert (again.client_id, again.username) == ("c", "somebody")


@pytest.mark.normative("MQTT-4.12.1-2")
async def test_who_fails_to_authenticate_again_is_disconnected(
    opened: Opened, authenticator: Scripted
) -> None:
    for code in (ReasonCode.NOT_AUTHORIZED, ReasonCode.BAD_USER_NAME_OR_PASSWORD):

        async def refuse(
            exchange: AuthenticationExchange, code: ReasonCode = code
        ) -> AuthenticationRefused:
            await exchange.challenge()
            return AuthenticationRefused(code)

        client = await joined_by(opened, authenticator)
        authenticator.step = refuse
        await client.send(auth(b"2", AGAIN))
        await client.expect(Auth)
        await client.send(auth(b"wrong"))
        await client.expect_disconnect(ReasonCode.NOT_AUTHORIZED)


async def test_nobody_becomes_another_user(
    opened: Opened, authenticator: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    async def another(_exchange: AuthenticationExchange) -> Authenticated:
        return Authenticated(username="somebody else")

    client = await joined(opened)
    authenticator.step = another
    await client.send(auth(b"2", AGAIN))
    await client.expect_disconnect(ReasonCode.NOT_AUTHORIZED)
    assert "may not stay connected: it authenticated again as another user" in caplog.text


async def test_authenticating_again_takes_no_longer_than_connecting(
    opened: Opened, limits: Limits
) -> None:
    client = await joined(opened)
    await client.send(auth(b"2", AGAIN))
    await client.expect(Auth)
    began = trio.current_time()
    await client.expect_disconnect(ReasonCode.NOT_AUTHORIZED)
    assert trio.current_time() - began == pytest.approx(limits.connect_timeout)


@pytest.mark.normative("MQTT-4.12.1-1", "MQTT-4.12.0-5")
@pytest.mark.parametrize(
    "packets",
    [
        [auth()],
        [auth(code=AGAIN, name="other")],
        [auth(code=AGAIN), auth(code=AGAIN)],
        [auth(code=AGAIN), auth()],
        [b"\xf0\x00"],
    ],
    ids=["not asked", "other method", "twice", "before it is asked", "success"],
)
async def test_auth_out_of_turn_is_a_protocol_error(
    opened: Opened, packets: list[Packet | bytes]
) -> None:
    client = await joined(opened)
    await client.send(*packets)
    found = await client.drain()
    end = found[-1]
    assert isinstance(end, Disconnect)
    assert end.reason_code == ReasonCode.PROTOCOL_ERROR
    assert all(isinstance(packet, Auth) for packet in found[:-1])


async def test_goodbye_while_authenticating_again_is_a_goodbye(opened: Opened) -> None:
    client = await joined(opened)
    await client.send(auth(b"2", AGAIN), Disconnect())
    assert all(isinstance(packet, Auth) for packet in await client.drain())
    client = await joined(opened)
    await client.send(auth(b"2", AGAIN))
    await client.expect(Auth)
    await client.disconnect()
