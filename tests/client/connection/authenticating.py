"""A method of authentication that counts its steps, and a broker that knows it."""

from __future__ import annotations

from tests.client.fake_broker import FakeBroker, Peer
from trio_mqtt import (
    AuthenticationError,
    ReasonCode,
)
from trio_mqtt.protocol.packets import Auth, ConnAck, Connect, Packet
from trio_mqtt.protocol.properties import Properties

CONTINUE, AGAIN = ReasonCode.CONTINUE_AUTHENTICATION, ReasonCode.RE_AUTHENTICATE


def method(data: bytes = b"", name: str = "m") -> Properties:
    properties: Properties = {"authentication_method": name}
    if data:
        properties["authentication_data"] = data
    return properties


def send(answer: Packet, peer: Peer, _packet: Packet) -> None:
    peer.send(answer)


class Counting:
    """Sends "first", answers "q" by "q1", "q2", and wants to hear "done" at the end."""

    method = "m"

    def __init__(self) -> None:
        self.begun = 0

    def begin(self) -> CountingExchange:
        self.begun += 1
        return CountingExchange()


class CountingExchange:
    data = b"first"

    def __init__(self) -> None:
        self._asked = 0

    async def respond(self, challenge: bytes) -> bytes:
        self._asked += 1
        if challenge == b"defect":
            raise ZeroDivisionError("a defect of the program")
        return challenge + str(self._asked).encode()

    async def finish(self, data: bytes) -> None:
        if data != b"done":
            raise AuthenticationError(f"The broker said {data!r}.")


def asking_broker() -> FakeBroker:
    """Asks "q" twice; then, or after re-authentication, says "done"."""
    broker = FakeBroker()
    broker.answers[Connect] = lambda peer, _packet: peer.send(Auth(CONTINUE, method(b"q")))
    broker.answers[Auth] = on_auth
    return broker


def on_auth(peer: Peer, packet: Auth) -> None:
    if packet.properties.get("authentication_data") != b"q2":
        peer.send(Auth(CONTINUE, method(b"q")))
    elif any(auth.reason_code == AGAIN for auth in peer.all(Auth)):
        peer.send(Auth(ReasonCode.SUCCESS, method(b"done")))
    else:
        peer.send(ConnAck(properties=method(b"done")))
