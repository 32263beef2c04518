"""AUTH between the two ends: who may send it when, and what it must name (MQTT 5.0 §4.12)."""

from __future__ import annotations

import pytest

from tests.protocol.ends import V5, Ends, new_server
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packets import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PubAck,
    Publish,
    Subscribe,
    Subscription,
)
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode as Code
from trio_mqtt.protocol.server_connection import ServerConnection
from trio_mqtt.protocol.states import State

METHOD: Properties = {"authentication_method": "m"}


def auth(code: Code = Code.CONTINUE_AUTHENTICATION, method: str = "m", data: bytes = b"x") -> Auth:
    return Auth(code, {"authentication_method": method, "authentication_data": data})


AGAIN = auth(Code.RE_AUTHENTICATE)
DONE = auth(Code.SUCCESS)


def connecting() -> Ends:
    """CONNECT named a method, and CONNACK is still to come."""
    ends = Ends(connect=METHOD, connack=METHOD)
    ends.up(ends.connect)
    return ends


def connected() -> Ends:
    return Ends(connect=METHOD, connack=METHOD).open()


def violations(server: ServerConnection) -> list[Code]:
    return [server.violation.reason_code] if server.violation is not None else []


def refuse_from_client(ends: Ends, packet: Auth) -> None:
    """The client does not send it, and the server does not take it."""
    with pytest.raises(LocalProtocolError, match="AUTH"):
        ends.client.send(packet)
    assert ends.server.receive(encode(packet, V5)) == []
    assert ends.server.violation is not None
    assert ends.server.violation.reason_code == Code.PROTOCOL_ERROR


def refuse_from_server(ends: Ends, packet: Auth) -> None:
    with pytest.raises(LocalProtocolError, match="AUTH"):
        ends.server.send(packet)
    assert ends.client.receive(encode(packet, V5)) == []
    assert ends.client.violation is not None
    assert ends.client.violation.reason_code == Code.PROTOCOL_ERROR


@pytest.mark.normative("MQTT-4.12.0-2", "MQTT-4.12.0-3", "MQTT-4.12.0-5", "MQTT-3.15.2-1")
def test_the_two_take_turns_until_connack() -> None:
    ends = connecting()
    for _ in range(3):
        assert ends.down(auth()) == [auth()]
        assert ends.up(auth()) == [auth()]
    assert ends.down(ends.connack) == [ends.connack]
    assert ends.client.state is ends.server.state is State.CONNECTED
    assert ends.up(PingReq()) == [PingReq()]


def test_a_refusal_ends_the_exchange_at_any_time() -> None:
    for challenged in (False, True):
        ends = connecting()
        if challenged:
            ends.down(auth())
        refusal = ConnAck(reason_code=Code.NOT_AUTHORIZED)
        assert ends.down(refusal) == [refusal]
        refuse_from_client(ends, auth())


@pytest.mark.normative("MQTT-4.12.1-1", "MQTT-4.12.0-5")
def test_the_client_may_begin_again_and_messages_go_on() -> None:
    ends = connected()
    message = Publish("t", b"x")
    for _ in range(2):
        assert ends.up(AGAIN, message) == [AGAIN, message]
        assert ends.down(auth(), message) == [auth(), message]
        assert ends.up(message, auth()) == [message, auth()]
        assert ends.down(DONE) == [DONE]


def test_success_without_anything_may_leave_out_the_method() -> None:
    ends = connected()
    ends.up(AGAIN)
    assert ends.down(Auth()) == [Auth()]


@pytest.mark.normative("MQTT-4.12.0-6", "MQTT-4.12.0-7")
def test_without_a_method_in_connect_nobody_sends_auth() -> None:
    for code in (Code.SUCCESS, Code.CONTINUE_AUTHENTICATION, Code.RE_AUTHENTICATE):
        for is_open in (False, True):
            ends = Ends()
            if is_open:
                ends.open()
            else:
                ends.up(ends.connect)
            refuse_from_client(ends, auth(code))
            refuse_from_server(ends, auth(code))


@pytest.mark.parametrize("code", [Code.SUCCESS, Code.RE_AUTHENTICATE, Code.CONTINUE_AUTHENTICATION])
def test_before_connack_a_client_only_answers(code: Code) -> None:
    refuse_from_client(connecting(), auth(code))
    if code != Code.CONTINUE_AUTHENTICATION:
        ends = connecting()
        ends.down(auth())
        refuse_from_client(ends, auth(code))


@pytest.mark.normative("MQTT-4.12.0-3", "MQTT-3.15.2-1")
def test_before_connack_a_server_only_continues_once_at_a_time() -> None:
    refuse_from_server(connecting(), DONE)
    refuse_from_server(connecting(), AGAIN)
    ends = connecting()
    ends.down(auth())
    refuse_from_server(ends, auth())


def test_while_connected_only_the_client_begins() -> None:
    for packet in (auth(), DONE, AGAIN):
        refuse_from_server(connected(), packet)
    for packet in (auth(), DONE):
        refuse_from_client(connected(), packet)


def test_re_authentication_goes_in_turns_too() -> None:
    ends = connected()
    ends.up(AGAIN)
    refuse_from_client(ends, AGAIN)
    ends = connected()
    ends.up(AGAIN)
    refuse_from_client(ends, auth())
    ends = connected()
    ends.up(AGAIN)
    ends.down(auth())
    refuse_from_server(ends, DONE)
    ends = connected()
    ends.up(AGAIN)
    ends.down(DONE)
    refuse_from_server(ends, DONE)


@pytest.mark.normative("MQTT-4.12.0-5", "MQTT-4.12.1-1")
def test_every_auth_names_the_method_of_connect() -> None:
    ends = connecting()
    refuse_from_server(ends, auth(method="M"))
    ends = connecting()
    ends.down(auth())
    refuse_from_client(ends, auth(method="M"))
    refuse_from_client(connected(), auth(Code.RE_AUTHENTICATE, method="M"))
    ends = connected()
    ends.up(AGAIN)
    refuse_from_server(ends, auth(Code.SUCCESS, method="M"))


@pytest.mark.normative("MQTT-3.1.2-30")
def test_between_its_answers_a_client_only_leaves() -> None:
    for challenged in (False, True):
        for message in (Publish("t", b"x"), PingReq()):
            ends = connecting()
            if challenged:
                ends.down(auth())
            with pytest.raises(LocalProtocolError, match="authentication"):
                ends.client.send(message)
            assert ends.server.receive(encode(message, V5)) == []
            assert ends.server.violation is not None
        assert connecting().up(Disconnect()) == [Disconnect()]


def test_after_disconnect_there_is_no_auth() -> None:
    ends = connected()
    ends.up(Disconnect())
    refuse_from_client(ends, AGAIN)


def test_auth_is_not_sent_larger_than_the_peer_accepts() -> None:
    ends = Ends(connect={**METHOD, "maximum_packet_size": 50}, connack=METHOD)
    ends.up(ends.connect)
    with pytest.raises(LocalProtocolError, match="larger"):
        ends.server.send(auth(data=bytes(50)))
    assert ends.down(auth()) == [auth()]  # the one before has not counted


def test_a_packet_that_has_begun_is_held_to_a_bound_that_is_lowered() -> None:
    server = new_server(maximum_packet_size=1_000)
    connect = encode(Connect("c", properties=METHOD), V5)
    assert len(server.receive(connect + b"\xf0\x7f")) == 1
    server.accept_packets_of(129)
    assert violations(server) == []
    server.accept_packets_of(128)
    assert violations(server) == [Code.PACKET_TOO_LARGE]


@pytest.mark.normative("MQTT-3.1.2-30")
def test_a_client_that_authenticates_sends_nothing_else_meanwhile() -> None:
    method: Properties = {"authentication_method": "m"}
    for early in (Publish("t"), PingReq(), Subscribe(1, [Subscription("t")])):
        server = new_server()
        connect = Connect("c", properties=method)
        assert server.receive(encode(connect, V5) + encode(early, V5)) == [connect]
        assert server.violation is not None
        assert server.violation.reason_code == Code.PROTOCOL_ERROR
    server = new_server()
    connect = Connect("c", properties=method)
    assert server.receive(encode(connect, V5) + encode(Disconnect(), V5)) == [
        connect,
        Disconnect(),
    ]


@pytest.mark.normative("MQTT-4.12.0-1")
def test_an_authentication_method_can_be_refused() -> None:
    ends = Ends(connect={"authentication_method": "m"})
    ends.up(ends.connect)
    refusal = ConnAck(False, Code.BAD_AUTHENTICATION_METHOD)
    assert ends.down(refusal) == [refusal]


@pytest.mark.normative("MQTT-3.1.2-30")
def test_a_client_that_authenticates_may_only_leave_before_connack() -> None:
    ends = Ends(connect={"authentication_method": "m"})
    ends.up(ends.connect)
    for packet in (Publish("t"), PingReq(), PubAck(1), Subscribe(1, [Subscription("t")])):
        with pytest.raises(LocalProtocolError, match="authentication"):
            ends.client.send(packet)
    assert ends.up(Disconnect()) == [Disconnect()]


@pytest.mark.normative("MQTT-4.12.0-5")
def test_a_method_that_is_accepted_at_once_is_named_in_connack() -> None:
    method: Properties = {"authentication_method": "m"}
    ends = Ends(connect=method, connack=method).open()
    assert ends.up(PingReq()) == [PingReq()]
    assert ends.server.violation is None


@pytest.mark.normative("MQTT-4.12.0-5", "MQTT-4.12.0-6")
@pytest.mark.parametrize(("asked", "named"), [(None, "m"), ("m", None), ("m", "M")])
def test_connack_names_the_method_of_connect_and_no_other(
    asked: str | None, named: str | None
) -> None:
    connect: Properties = {"authentication_method": asked} if asked else {}
    answer = ConnAck(properties={"authentication_method": named} if named else {})
    ends = Ends(connect=connect)
    ends.up(ends.connect)
    with pytest.raises(LocalProtocolError, match="authentication method"):
        ends.server.send(answer)
    assert ends.server.state is State.CONNECTING
    assert ends.client.receive(encode(answer, V5)) == []
    assert ends.client.violation is not None
    assert ends.client.state is State.CONNECTING
