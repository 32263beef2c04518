"""Enhanced authentication by the client: on every connection, and again (MQTT 5.0 §4.12)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import anyio
import pytest
import scramp.core

from tests.client.fake_broker import FakeBroker, Peer
from trio_mqtt import (
    AuthenticationError,
    ConnectionFailedError,
    ConnectionLostError,
    ConnectionRefusedByBrokerError,
    DisconnectedByBrokerError,
    LocalProtocolError,
    ReasonCode,
    RemoteProtocolError,
    ScramClient,
)
from trio_mqtt.client.connection.authentication import MAX_STEPS
from trio_mqtt.client.scram import MAX_ITERATIONS
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Auth, ConnAck, Connect, Disconnect, Packet, Publish
from trio_mqtt.protocol.properties import Properties

pytestmark = pytest.mark.anyio

V5 = ProtocolVersion.V5
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


@pytest.fixture
def broker() -> FakeBroker:
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


async def fail_to_connect(broker: FakeBroker, **options: object) -> None:
    given = {"authentication": Counting(), **options}
    async with broker.client(**given):
        pytest.fail("it was let in")


@pytest.mark.normative("MQTT-4.12.0-5", "MQTT-3.15.2-1", "MQTT-3.1.2-30")
async def test_what_the_broker_asks_is_answered(broker: FakeBroker) -> None:
    async with broker.client(authentication=Counting()) as client:
        await client.publish("t", b"x", qos=1)
    received = broker.peer.received
    assert isinstance(received[0], Connect)
    assert received[0].properties["authentication_method"] == "m"
    assert received[0].properties["authentication_data"] == b"first"
    assert received[1:3] == [Auth(CONTINUE, method(b"q1")), Auth(CONTINUE, method(b"q2"))]
    assert isinstance(received[3], Publish)


async def test_a_method_may_need_no_challenge(broker: FakeBroker) -> None:
    broker.answers[Connect] = lambda peer, _packet: peer.send(ConnAck(properties=method(b"done")))
    async with broker.client(authentication=Counting()) as client:
        await client.publish("t", b"x", qos=1)


async def test_each_connection_is_authenticated_anew(broker: FakeBroker) -> None:
    counting = Counting()
    async with broker.client(authentication=counting) as client:
        broker.peer.reset()
        second = await broker.connection(2)
        await client.wait_connected()
        assert second.all(Auth) == [Auth(CONTINUE, method(b"q1")), Auth(CONTINUE, method(b"q2"))]
    assert counting.begun == 2


@pytest.mark.normative("MQTT-4.12.0-4")
async def test_a_refusal_is_told(broker: FakeBroker) -> None:
    broker.answers[Auth] = lambda peer, _packet: peer.send(
        ConnAck(reason_code=ReasonCode.NOT_AUTHORIZED)
    )
    with pytest.raises(ConnectionRefusedByBrokerError, match="not authorized"):
        await fail_to_connect(broker, wait_for_broker=True)
    assert broker.attempts == 1
    # In one piece with the challenge, which is not answered then.
    broker.answers[Connect] = lambda peer, _packet: peer.send(
        Auth(CONTINUE, method(b"q")), ConnAck(reason_code=ReasonCode.NOT_AUTHORIZED)
    )
    with pytest.raises(ConnectionRefusedByBrokerError, match="not authorized"):
        await fail_to_connect(broker)
    assert broker.peer.all(Auth) == []


@pytest.mark.normative("MQTT-4.12.0-1")
async def test_a_broker_without_the_method_refuses(broker: FakeBroker) -> None:
    broker.answers[Connect] = lambda peer, _packet: peer.send(
        ConnAck(reason_code=ReasonCode.BAD_AUTHENTICATION_METHOD)
    )
    with pytest.raises(ConnectionRefusedByBrokerError, match="bad authentication method"):
        await fail_to_connect(broker, wait_for_broker=True)


async def test_a_broker_that_is_not_to_be_trusted_is_left_for_good(broker: FakeBroker) -> None:
    for data in (b"", b"don"):
        broker.answers[Auth] = partial(send, ConnAck(properties=method(data)))
        before = broker.attempts
        with pytest.raises(AuthenticationError):
            await fail_to_connect(broker, wait_for_broker=True)
        assert broker.attempts == before + 1
        assert broker.peer.received[-1] == Disconnect(ReasonCode.UNSPECIFIED_ERROR)


@pytest.mark.normative("MQTT-4.12.0-3", "MQTT-4.12.0-5", "MQTT-3.15.2-1", "MQTT-3.15.1-1")
@pytest.mark.parametrize(
    "answer",
    [
        encode(Auth(CONTINUE, method(b"q", "M")), V5),
        encode(Auth(ReasonCode.SUCCESS, method(b"q")), V5),
        encode(Auth(AGAIN, method(b"q")), V5),
        encode(Auth(CONTINUE, method(b"q")), V5) * 2,
        encode(ConnAck(), V5),
        encode(ConnAck(properties=method(b"done", "M")), V5),
        encode(Publish("t", b"x"), V5),
        b"\xf1" + encode(Auth(CONTINUE, method(b"q")), V5)[1:],
        encode(Auth(CONTINUE, method(b"q")), V5).replace(b"\x18", b"\x87"),
        b"\xf0\x00",
    ],
    ids=["other method", "success", "again", "twice", "CONNACK without method",
         "CONNACK of another", "PUBLISH", "flags", "reason", "empty"],
)  # fmt: skip
async def test_a_broker_that_breaks_the_rules_is_not_answered(
    broker: FakeBroker, answer: bytes
) -> None:
    broker.answers[Connect] = lambda peer, _packet: peer.send_raw(answer)
    with pytest.raises(RemoteProtocolError):
        await fail_to_connect(broker)
    assert broker.peer.all(Auth) == []
    assert broker.peer.stream.closed


@pytest.mark.normative("MQTT-4.12.0-6", "MQTT-4.12.0-7")
async def test_a_client_without_a_method_accepts_no_auth(broker: FakeBroker) -> None:
    broker.answers[Connect] = lambda peer, _packet: peer.send_raw(
        encode(Auth(CONTINUE, method(b"q")), V5)
    )
    with pytest.raises(RemoteProtocolError):
        await fail_to_connect(broker, authentication=None)
    assert broker.peer.all(Auth) == []


async def test_it_has_the_time_of_connecting(broker: FakeBroker) -> None:
    broker.answers[Auth] = lambda _peer, _packet: None
    began = anyio.current_time()
    with pytest.raises(ConnectionFailedError, match="within 7 s"):
        await fail_to_connect(broker, connect_timeout=7)
    assert anyio.current_time() - began == pytest.approx(7)


async def test_a_broker_that_never_ceases_to_ask_is_left(broker: FakeBroker) -> None:
    broker.answers[Auth] = lambda peer, _packet: peer.send(Auth(CONTINUE, method(b"q")))
    with pytest.raises(AuthenticationError, match=str(MAX_STEPS)):
        await fail_to_connect(broker)
    assert len(broker.peer.all(Auth)) == MAX_STEPS


async def test_a_defect_of_the_program_is_not_hidden(broker: FakeBroker) -> None:
    broker.answers[Connect] = lambda peer, _packet: peer.send(Auth(CONTINUE, method(b"defect")))
    with pytest.raises(ZeroDivisionError):
        await fail_to_connect(broker)
    assert broker.peer.stream.closed


@pytest.mark.parametrize(
    "options",
    [
        {"protocol_version": 4, "authentication": Counting()},
        {"properties": method(b"x"), "authentication": None},
        {"properties": method(b"x"), "authentication": Counting()},
    ],
)
async def test_only_mqtt_5_has_methods_and_only_by_the_parameter(
    broker: FakeBroker, options: dict[str, object]
) -> None:
    with pytest.raises(LocalProtocolError, match="authentication"):
        await fail_to_connect(broker, **options)
    assert broker.attempts == 0


# -- once more (§4.12.1) ------------------------------------------------------------------------


@pytest.mark.normative("MQTT-4.12.1-1", "MQTT-4.12.0-5")
async def test_a_client_authenticates_again_while_messages_go_on(broker: FakeBroker) -> None:
    async with broker.client(authentication=Counting()) as client:
        broker.answers[Auth] = lambda _peer, _packet: None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.reauthenticate)
            peer = broker.peer
            while peer.received[-1] != Auth(AGAIN, method(b"first")):
                await peer.changed.wait()
            await client.publish("t", b"x", qos=1)
            broker.answers[Auth] = on_auth
            peer.send(Auth(CONTINUE, method(b"q")))
        await client.reauthenticate()
        assert client.connected
    assert broker.attempts == 1


async def test_one_after_the_other(broker: FakeBroker) -> None:
    async with (
        broker.client(authentication=Counting()) as client,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(3):
            tasks.start_soon(client.reauthenticate)
    assert len([a for a in broker.peer.all(Auth) if a.reason_code == AGAIN]) == 3


async def reauthenticate(broker: FakeBroker, answer: Packet) -> None:
    """Connect, and then meet this answer."""
    async with broker.client(authentication=Counting()) as client:
        broker.answers[Auth] = partial(send, answer)
        await client.reauthenticate()


@pytest.mark.normative("MQTT-4.12.1-2")
async def test_a_broker_that_refuses_ends_the_client(broker: FakeBroker) -> None:
    with pytest.raises(DisconnectedByBrokerError, match="not authorized"):
        await reauthenticate(broker, Disconnect(ReasonCode.NOT_AUTHORIZED))
    assert broker.attempts == 1


@pytest.mark.normative("MQTT-4.12.1-2")
async def test_a_broker_that_proves_nothing_is_left_for_good(broker: FakeBroker) -> None:
    with pytest.raises(AuthenticationError, match="fake"):
        await reauthenticate(broker, Auth(ReasonCode.SUCCESS, method(b"fake")))
    assert broker.peer.received[-1] == Disconnect(ReasonCode.UNSPECIFIED_ERROR)
    assert broker.attempts == 1


async def test_a_broker_that_does_not_answer_is_connected_to_again(broker: FakeBroker) -> None:
    async with broker.client(authentication=Counting(), connect_timeout=7) as client:
        broker.answers[Auth] = lambda _peer, _packet: None
        first = broker.peer
        began = anyio.current_time()
        with pytest.raises(ConnectionLostError, match="within 7 s"):
            await client.reauthenticate()
        assert anyio.current_time() - began == pytest.approx(7)
        assert first.received[-1] == Disconnect(ReasonCode.UNSPECIFIED_ERROR)
        broker.answers[Auth] = on_auth
        await client.wait_connected()
        await client.reauthenticate()
    assert broker.attempts == 2


async def test_a_connection_that_is_lost_meanwhile_is_told(broker: FakeBroker) -> None:
    async with broker.client(authentication=Counting()) as client:
        broker.answers[Auth] = lambda peer, _packet: peer.reset()
        with pytest.raises(ConnectionLostError, match="lost"):
            await client.reauthenticate()
        broker.answers[Auth] = on_auth
        await client.reauthenticate()


async def test_a_defect_met_again_reaches_who_asked(broker: FakeBroker) -> None:
    async with broker.client(authentication=Counting()) as client:
        broker.answers[Auth] = lambda peer, _packet: peer.send(Auth(CONTINUE, method(b"defect")))
        with pytest.raises(ZeroDivisionError):
            await client.reauthenticate()
        broker.answers[Auth] = on_auth
        await client.wait_connected()


async def test_what_was_begun_goes_on_without_its_caller(broker: FakeBroker) -> None:
    async with broker.client(authentication=Counting()) as client:
        broker.answers[Auth] = lambda _peer, _packet: None
        with anyio.move_on_after(1):
            await client.reauthenticate()
        broker.answers[Auth] = on_auth
        broker.peer.send(Auth(CONTINUE, method(b"q")))
        await client.reauthenticate()
    assert len([a for a in broker.peer.all(Auth) if a.reason_code == AGAIN]) == 2
    assert broker.attempts == 1


async def test_it_reads_past_messages_that_nobody_takes(broker: FakeBroker) -> None:
    async with (
        broker.client(authentication=Counting()) as client,
        client.subscribe("t", buffer=1) as messages,
    ):
        for _ in range(5):
            broker.peer.publish("t", b"x")
            await anyio.sleep(1)
        await client.reauthenticate()
        assert (await anext(messages)).payload == b"x"


@pytest.mark.normative("MQTT-4.12.0-7")
async def test_without_a_method_there_is_nothing_to_do_again() -> None:
    broker = FakeBroker()
    async with broker.client() as client:
        with pytest.raises(LocalProtocolError, match="without an authentication method"):
            await client.reauthenticate()
        await client.publish("t", b"x", qos=1)
    assert broker.peer.all(Auth) == []


async def hear(broker: FakeBroker, packet: Packet, **options: object) -> None:
    """Be connected, and then hear this."""
    async with broker.client(reconnect=False, **options):
        broker.peer.send_raw(encode(packet, V5))
        await anyio.sleep(100)


@pytest.mark.normative("MQTT-4.12.0-6")
async def test_auth_that_nobody_asked_for_ends_the_connection(broker: FakeBroker) -> None:
    plain = FakeBroker()
    for server, authentication in ((plain, None), (broker, Counting())):
        with pytest.raises(RemoteProtocolError, match="AUTH"):
            await hear(server, Auth(CONTINUE, method(b"q")), authentication=authentication)
        assert server.peer.received[-1] == Disconnect(ReasonCode.PROTOCOL_ERROR)


# -- SCRAM-SHA-256 (RFC 7677 §3) ----------------------------------------------------------------

NONCE = "rOprNGfwEbeRWgbNEkqO"
BOTH = NONCE + "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SERVER_FIRST = f"r={BOTH},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode()
CLIENT_FINAL = f"c=biws,r={BOTH},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=".encode()
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def scram(data: bytes) -> Properties:
    return method(data, "SCRAM-SHA-256")


@pytest.fixture
def known_nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scramp.core.Nonce, "create", classmethod(lambda cls: cls(NONCE)))


def scram_broker(first: bytes = SERVER_FIRST, final: bytes = SERVER_FINAL) -> FakeBroker:
    broker = FakeBroker()
    broker.answers[Connect] = lambda peer, _packet: peer.send(Auth(CONTINUE, scram(first)))
    broker.answers[Auth] = lambda peer, _packet: peer.send(ConnAck(properties=scram(final)))
    return broker


@pytest.mark.normative("MQTT-4.12.0-5")
@pytest.mark.usefixtures("known_nonce")
async def test_the_vectors_of_the_rfc() -> None:
    broker = scram_broker()
    async with broker.client(authentication=ScramClient("user", "pencil")) as client:
        connect = broker.peer.received[0]
        assert isinstance(connect, Connect)
        assert connect.properties["authentication_data"] == f"n,,n=user,r={NONCE}".encode()
        assert broker.peer.received[1] == Auth(CONTINUE, scram(CLIENT_FINAL))

        def again(peer: Peer, packet: Auth) -> None:
            answer: Packet = Auth(CONTINUE, scram(SERVER_FIRST))
            if packet.reason_code != AGAIN:
                assert packet == Auth(CONTINUE, scram(CLIENT_FINAL))
                answer = Auth(ReasonCode.SUCCESS, scram(SERVER_FINAL))
            peer.send(answer)

        broker.answers[Auth] = again
        await client.reauthenticate()


@pytest.mark.usefixtures("known_nonce")
async def test_a_broker_may_ask_for_the_first_message_once_more() -> None:
    broker = scram_broker()
    steps: Iterator[Packet] = iter(
        [Auth(CONTINUE, scram(SERVER_FIRST)), ConnAck(properties=scram(SERVER_FINAL))]
    )
    broker.answers[Connect] = lambda peer, _packet: peer.send(Auth(CONTINUE, scram(b"")))
    broker.answers[Auth] = lambda peer, _packet: peer.send(next(steps))
    async with broker.client(authentication=ScramClient("user", "pencil")):
        assert broker.peer.all(Auth)[-1] == Auth(CONTINUE, scram(CLIENT_FINAL))


@pytest.mark.usefixtures("known_nonce")
@pytest.mark.parametrize(
    "final",
    [
        SERVER_FINAL.replace(b"v=6", b"v=7"), SERVER_FINAL[:-8], b"", b"e=other-error", b"\xff",
        b"v=", CLIENT_FINAL,
    ],
    ids=["tampered", "cut", "none", "error", "no text", "empty", "not its own"],
)  # fmt: skip
async def test_a_broker_that_does_not_know_the_password_is_not_talked_to(final: bytes) -> None:
    broker = scram_broker(final=final)
    with pytest.raises(AuthenticationError, match="did not prove"):
        await fail_to_connect(broker, authentication=ScramClient("user", "pencil"))
    assert broker.peer.received[-1] == Disconnect(ReasonCode.UNSPECIFIED_ERROR)


@pytest.mark.usefixtures("known_nonce")
@pytest.mark.parametrize(
    "first",
    [
        SERVER_FIRST.replace(NONCE.encode(), b"another"), SERVER_FIRST.replace(b"4096", b"1"),
        SERVER_FIRST.replace(b"4096", str(MAX_ITERATIONS + 1).encode()), b"\xff", b"x",
        SERVER_FIRST.replace(b"W22ZaJ0SNY7soEsUEjb6gQ==", b"?"), b"e=unknown-user",
        f"r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode(),
    ],
    ids=["nonce", "few", "many", "no text", "no message", "salt", "error", "own nonce"],
)  # fmt: skip
async def test_a_challenge_that_is_none_is_not_answered(first: bytes) -> None:
    broker = scram_broker(first)
    with pytest.raises(AuthenticationError, match="SCRAM-SHA-256"):
        await fail_to_connect(broker, authentication=ScramClient("user", "pencil"))
    assert broker.peer.all(Auth) == []


async def test_a_broker_that_lets_in_without_a_challenge_proves_nothing() -> None:
    broker = FakeBroker()
    broker.answers[Connect] = lambda peer, _packet: peer.send(
        ConnAck(properties=scram(SERVER_FINAL))
    )
    with pytest.raises(AuthenticationError, match="did not prove"):
        await fail_to_connect(broker, authentication=ScramClient("user", "pencil"))


def test_what_scram_does_not_allow_is_told_at_once() -> None:
    for name, password in (("", "x"), ("a\0", "x"), ("a", "x\0")):
        with pytest.raises(LocalProtocolError, match="SCRAM-SHA-256"):
            ScramClient(name, password)
    assert "secret" not in repr(ScramClient("user", "secret"))
