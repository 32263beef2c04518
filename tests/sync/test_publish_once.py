"""`publish_once`: a message that is taken, and how it fails, without an event loop."""

from __future__ import annotations

import inspect
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import trio_mqtt
from trio_mqtt import ReasonCode, open_client, publish_once, sync
from trio_mqtt.client.open_arguments import ClientArguments, ConnectionArguments
from trio_mqtt.client.packets import PacketEvent
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
)
from trio_mqtt.protocol.server_connection import ServerConnection
from trio_mqtt.protocol.wire import MAX_PACKET_SIZE
from trio_mqtt.testing import BrokerAddress, broker_in_thread

Answer = Callable[[Packet], list[Packet] | bytes | None]

DEADLINE = 30.0


class Peer:
    """A broker that says what a test has it say to each packet, and closes where that is None."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"
        self.said: list[Packet] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(ConnectionError):
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        protocol = ServerConnection(
            maximum_packet_size=MAX_PACKET_SIZE, receive_maximum=10, topic_alias_maximum=0
        )
        while data := connection.recv(65_536):
            for packet in protocol.receive(data):
                with self._changed:
                    self.said.append(packet)
                    self._changed.notify_all()
                answer = self._answer(packet)
                if answer is None:
                    return
                if isinstance(answer, list):
                    answer = b"".join(protocol.send(one) for one in answer)
                connection.sendall(answer)

    def wait_for(self, kind: type[Packet]) -> None:
        """Until a packet of that kind has come."""
        with self._changed:
            came = self._changed.wait_for(
                lambda: any(isinstance(packet, kind) for packet in self.said), DEADLINE
            )
        assert came

    def close(self) -> None:
        """Nobody else is let in; who is has been answered."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(DEADLINE)

    def kinds(self) -> list[str]:
        return [type(packet).__name__ for packet in self.said]


@contextmanager
def answering(answers: dict[type[Packet], list[Packet] | bytes | None]) -> Iterator[Peer]:
    """A peer that answers packets by their kind; others it hears in silence."""
    peer = Peer(lambda packet: answers.get(type(packet), b""))
    try:
        yield peer
    finally:
        peer.close()


@pytest.fixture(scope="module")
def broker() -> Iterator[BrokerAddress]:
    with broker_in_thread() as address:
        yield address


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("version", [None, 3, 4, 5])
def test_a_message_is_there(broker: BrokerAddress, qos: int, version: int | None) -> None:
    with sync.open_client(broker.url) as client, client.subscribe("once/#", qos=2) as messages:
        publish_once(broker.url, "once/a", "Hello", qos=qos, protocol_version=version)
        message = messages.get(timeout=DEADLINE)
    assert (message.topic, message.text, message.qos) == ("once/a", "Hello", qos)


def test_its_properties_and_the_flag_to_retain_go_with_it(broker: BrokerAddress) -> None:
    publish_once(broker.url, "kept", "x", retain=True, properties={"content_type": "text/plain"})
    with sync.open_client(broker.url) as client, client.subscribe("kept") as messages:
        message = messages.get(timeout=DEADLINE)
    assert (message.retain, message.properties["content_type"]) == (True, "text/plain")


def test_a_large_message_arrives_whole(broker: BrokerAddress) -> None:
    payload = bytes(range(256)) * 20_000
    with sync.open_client(broker.url) as client, client.subscribe("large") as messages:
        publish_once(broker.url, "large", payload)
        assert messages.get(timeout=DEADLINE).payload == payload


@pytest.mark.posix
def test_through_a_unix_socket(tmp_path: Path) -> None:
    with broker_in_thread(f"unix://{tmp_path}/mqtt") as address:
        publish_once(f"unix://{tmp_path}/mqtt", "a", "b", qos=1)
    assert address.url
    with pytest.raises(trio_mqtt.ConnectionFailedError, match="There is no socket at"):
        publish_once(f"unix://{tmp_path}/none", "a")


def test_who_it_is_goes_with_connect() -> None:
    with answering({Connect: [ConnAck()]}) as peer:
        publish_once(
            peer.url.replace("//", "//ann:secret@"),
            *("a", "b"),
            client_id="me",
            keep_alive=7,
            connect_properties={"user_property": [("k", "v")]},
        )
    connect = peer.said[0]
    assert isinstance(connect, Connect)
    assert (connect.client_id, connect.username, connect.password) == ("me", "ann", b"secret")
    assert (connect.keep_alive, connect.properties["user_property"]) == (7, [("k", "v")])
    assert peer.kinds() == ["Connect", "Publish", "Disconnect"]


def test_a_broker_that_does_not_know_mqtt_5_is_spoken_to_in_3_1_1() -> None:
    versions: list[int] = []

    def answer(packet: Packet) -> list[Packet] | bytes | None:
        if isinstance(packet, Connect):
            versions.append(packet.protocol_version)
            return None if len(versions) == 1 else [ConnAck()]
        return [PubAck(packet.packet_id)] if isinstance(packet, Publish) else b""

    peer = Peer(answer)
    publish_once(peer.url, "a", qos=1)
    peer.close()
    assert versions == [5, 4]


def test_a_refusal_says_why() -> None:
    with answering({Connect: [ConnAck(reason_code=ReasonCode.BAD_USER_NAME_OR_PASSWORD)]}) as peer:
        with pytest.raises(trio_mqtt.ConnectionRefusedByBrokerError, match="No user name") as error:
            publish_once(peer.url, "a")
        assert error.value.reason_code is ReasonCode.BAD_USER_NAME_OR_PASSWORD
    assert peer.kinds() == ["Connect"]


@pytest.mark.parametrize("qos", [1, 2])
def test_a_message_that_is_refused_says_why(qos: int) -> None:
    code = ReasonCode.NOT_AUTHORIZED
    no: Packet = PubAck(1, code) if qos == 1 else PubRec(1, code, {"reason_string": "not here"})
    with (
        answering({Connect: [ConnAck()], Publish: [no]}) as peer,
        pytest.raises(trio_mqtt.RequestRefusedError, match="refused the message on 'a'") as error,
    ):
        publish_once(peer.url, "a", qos=qos)
    assert error.value.reason_code is code
    assert peer.kinds() == ["Connect", "Publish", "Disconnect"]


def test_qos_2_goes_through_its_four_packets() -> None:
    answers: dict[type[Packet], list[Packet] | bytes | None] = {
        Connect: [ConnAck()],
        Publish: [PubRec(1)],
        PubRel: [PubComp(1)],
    }
    with answering(answers) as peer:
        publish_once(peer.url, "a", qos=2)
    assert peer.kinds() == ["Connect", "Publish", "PubRel", "Disconnect"]


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (None, trio_mqtt.ConnectionLostError, "closed the connection"),
        (
            [Disconnect(ReasonCode.SERVER_SHUTTING_DOWN)],
            trio_mqtt.DisconnectedByBrokerError,
            "shutting down",
        ),
        (b"\xff\xff\xff\xff\xff", trio_mqtt.RemoteProtocolError, "broke the rules"),
    ],
    ids=["closed", "told to leave", "no MQTT"],
)
def test_a_connection_that_ends_before_the_message_is_taken_is_an_error(
    answer: list[Packet] | bytes | None, kind: type[Exception], sentence: str
) -> None:
    with (
        answering({Connect: [ConnAck()], Publish: answer}) as peer,
        pytest.raises(kind, match=sentence),
    ):
        publish_once(peer.url, "a", qos=1)


def test_what_answers_may_be_no_broker() -> None:
    with (
        answering({Connect: b"HTTP/1.1 400 Bad Request\r\n\r\n"}) as peer,
        pytest.raises(trio_mqtt.RemoteProtocolError, match=r"does not speak MQTT 5:"),
    ):
        publish_once(peer.url, "a", protocol_version=5)


def test_a_broker_that_says_nothing_is_given_up() -> None:
    with (
        answering({}) as peer,
        pytest.raises(trio_mqtt.ConnectionFailedError, match=r"did not answer within 0\.1 s"),
    ):
        publish_once(peer.url, "a", connect_timeout=0.1)


def test_it_asks_whether_the_broker_is_there() -> None:
    told: list[Packet] = []

    def answer(packet: Packet) -> list[Packet] | bytes | None:
        match packet:
            case Connect():
                return [ConnAck()]
            case PingReq() if told:
                return [PingResp(), PubAck(1)]
            case PingReq():
                told.append(packet)
                return [PingResp()]
        return b""

    peer = Peer(answer)
    publish_once(peer.url, "a", qos=1, keep_alive=1)
    peer.close()
    assert peer.kinds() == ["Connect", "Publish", "PingReq", "PingReq", "Disconnect"]


def test_a_broker_that_is_silent_is_lost() -> None:
    with (
        answering({Connect: [ConnAck()]}) as peer,
        pytest.raises(trio_mqtt.ConnectionLostError, match="did not answer for 1 s"),
    ):
        publish_once(peer.url, "a", qos=1, keep_alive=1)


def test_nobody_answers_at_a_port_that_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(trio_mqtt.ConnectionFailedError, match="connection refused") as error:
        publish_once(f"mqtt://127.0.0.1:{port}", "a")
    assert isinstance(error.value.__cause__, ConnectionRefusedError)


def test_the_next_address_of_a_host_is_tried(
    broker: BrokerAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()
    found = [(*stream, closed), (*stream, ("127.0.0.1", broker.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    publish_once("mqtt://house", "a", qos=1)


def test_an_unknown_host_is_said() -> None:
    with pytest.raises(trio_mqtt.ConnectionFailedError, match=r"'none\.invalid'.*cannot be found"):
        publish_once("mqtt://none.invalid", "a")


@pytest.mark.parametrize("way", ["ws", "one of several", "from an address", "made anew"])
def test_other_ways_to_a_broker_are_taken_by_a_client(way: str) -> None:
    seen: list[PacketEvent] = []
    with broker_in_thread("ws://127.0.0.1:0" if way == "ws" else "mqtt://127.0.0.1:0") as broker:
        url: str | list[str] = broker.url
        options: ConnectionArguments = {"client_id": "me", "on_packet": seen.append}
        if way == "one of several":
            url = ["mqtt://127.0.0.1:1", broker.url]
        elif way == "from an address":
            options["bind_address"] = "127.0.0.9"
        elif way == "made anew":
            url = "mqtt://127.0.0.1:1"
            options["transform"] = lambda attempt: broker.url
        with sync.open_client(broker.url) as client, client.subscribe("a") as messages:
            publish_once(url, "a", "b", qos=1, properties={"content_type": "x"}, **options)
            message = messages.get(timeout=DEADLINE)
    assert (message.text, message.properties["content_type"]) == ("b", "x")
    assert [event.kind for event in seen][-2:] == ["PUBACK", "DISCONNECT"]


def test_all_that_says_how_to_connect_is_taken_everywhere() -> None:
    """What `open_client` comes to take is sorted into one of the two."""
    parameters = inspect.signature(open_client).parameters
    for_who_stays = {
        "clean_start", "session_expiry_interval", "reconnect", "wait_for_broker", "on_event",
        "on_connect", "filters_per_packet", "topic_aliases", "store",
        "properties",  # which is `connect_properties` where there are those of a message
    }  # fmt: skip
    assert {*parameters} - {"url"} == ClientArguments.__optional_keys__
    assert ClientArguments.__optional_keys__ - ConnectionArguments.__optional_keys__ == (
        for_who_stays
    )
    for arguments in (ConnectionArguments, ClientArguments):
        for name, kind in arguments.__annotations__.items():
            assert parameters[name].annotation == kind.__forward_arg__


def test_what_it_does_not_take_is_told() -> None:
    with pytest.raises(TypeError, match="no argument 'store'"):
        publish_once("mqtt://localhost", "a", store="x")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="bind_address is empty"):
        publish_once("mqtt://localhost", "a", bind_address="")
    with pytest.raises(trio_mqtt.ConnectionFailedError, match="connection refused"):
        publish_once("ws://127.0.0.1:1", "a")


def test_a_will_goes_with_connect() -> None:
    with answering({Connect: [ConnAck()]}) as peer:
        publish_once(peer.url, "a", will=trio_mqtt.Will("gone", b"x"))
    connect = peer.said[0]
    assert isinstance(connect, Connect)
    assert connect.will == trio_mqtt.Will("gone", b"x")


def test_what_cannot_be_is_said_before_anything_is_sent() -> None:
    with answering({Connect: [ConnAck()]}) as peer:
        for topic, payload, qos in (("a/#", "", 0), ("a", "", 3), ("a", None, 0)):
            with pytest.raises((ValueError, TypeError)):
                publish_once(peer.url, topic, payload, qos=qos)  # type: ignore[arg-type]
    assert peer.said == []


def test_what_the_broker_does_not_take_is_not_sent() -> None:
    told = ConnAck(properties={"maximum_qos": 0, "retain_available": 0, "maximum_packet_size": 99})
    with answering({Connect: [told]}) as peer:
        for sentence, options in (
            ("no QoS above 0", {"qos": 1}),
            ("does not keep", {"retain": True}),
            ("larger than", {"payload": bytes(200)}),
        ):
            with pytest.raises(trio_mqtt.LocalProtocolError, match=sentence):
                publish_once(peer.url, "a", **options)
    assert "Publish" not in peer.kinds()
    assert peer.kinds().count("Disconnect") == 3


@pytest.mark.parametrize("options", ["", ", bind_address='127.0.0.1'"])
def test_what_ends_it_meanwhile_says_goodbye(options: str) -> None:
    with answering({Connect: [ConnAck()]}) as peer:
        program = (
            "import signal, sys, trio_mqtt\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            f"trio_mqtt.publish_once(sys.argv[1], 'a', qos=1{options})"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program, peer.url], stderr=subprocess.PIPE
        ) as process:
            peer.wait_for(Publish)
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            assert process.stderr.read().endswith(b"KeyboardInterrupt\n")
    assert peer.kinds() == ["Connect", "Publish", "Disconnect"]


def test_it_loads_no_event_loop() -> None:
    program = "import sys, trio_mqtt; trio_mqtt.publish_once; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert "trio_mqtt.sync.once" in loaded
    assert not {"anyio", "trio", "asyncio", "ssl"} & {*loaded}
