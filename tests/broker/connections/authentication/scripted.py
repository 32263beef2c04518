"""A scripted authenticator, and what clients say to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.broker.raw import Raw
from trio_mqtt.broker.access.protocols import (
    Authenticated,
    AuthenticationExchange,
    AuthenticationRefused,
)
from trio_mqtt.protocol.packets import Auth, ConnAck, Connect
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

CONTINUE = ReasonCode.CONTINUE_AUTHENTICATION


AGAIN = ReasonCode.RE_AUTHENTICATE


Step = Callable[[AuthenticationExchange], Awaitable[Authenticated | AuthenticationRefused]]


Opened = Callable[..., Raw]


class Scripted:
    """Does what a test says; by default one question, which "right" answers."""

    def __init__(self) -> None:
        self.step: Step = self.ask
        self.seen: list[AuthenticationExchange] = []

    async def authenticate(
        self, exchange: AuthenticationExchange
    ) -> Authenticated | AuthenticationRefused:
        self.seen.append(exchange)
        return await self.step(exchange)

    @staticmethod
    async def ask(exchange: AuthenticationExchange) -> Authenticated | AuthenticationRefused:
        answer = await exchange.challenge(b"?" + exchange.data)
        return (
            Authenticated(b"welcome", "somebody") if answer == b"right" else AuthenticationRefused()
        )


def method(data: bytes | None = None, name: str = "m") -> Properties:
    properties: Properties = {"authentication_method": name}
    if data is not None:
        properties["authentication_data"] = data
    return properties


def auth(data: bytes = b"right", code: ReasonCode = CONTINUE, name: str = "m") -> Auth:
    return Auth(code, method(data, name))


async def begin(client: Raw, **properties: int) -> Auth:
    """CONNECT with the method, and what the broker asks."""
    own: Properties = {**method(b"1"), **properties}  # type: ignore[typeddict-item]
    await client.send(Connect("c", properties=own))
    return await client.expect(Auth)


async def joined(opened: Opened) -> Raw:
    client = opened()
    await begin(client)
    await client.send(auth())
    assert (await client.expect(ConnAck)).reason_code == ReasonCode.SUCCESS
    return client


async def refused(client: Raw, code: ReasonCode) -> ConnAck:
    answer = await client.expect(ConnAck)
    assert answer.reason_code == code, answer
    await client.expect_closed()
    return answer


async def joined_by(opened: Opened, authenticator: Scripted) -> Raw:
    authenticator.step = authenticator.ask
    return await joined(opened)
