"""Enhanced authentication by the client: on every connection, and again (MQTT 5.0 §4.12)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import anyio
import pytest
import scramp.core

from tests.client.connection.authenticating import (
    AGAIN,
    CONTINUE,
    Counting,
    asking_broker,
    method,
    send,
)
from tests.client.fake_broker import FakeBroker, Peer
from trio_mqtt import (
    AuthenticationError,
    ConnectionFailedError,
    ConnectionRefusedByBrokerError,
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


@pytest.fixture
def broker() -> FakeBroker:
    return asking_broker()


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
