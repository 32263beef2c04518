"""The network before a broker, on real sockets: what clients of any kind meet there."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from trio_mqtt import ConnectionFailedError, sync
from trio_mqtt.testing import BrokerInThread, NetworkPacket, broker_in_thread

CONNECT = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01c"
PINGREQ, PINGRESP = b"\xc0\x00", b"\xd0\x00"


@pytest.fixture
def broker() -> Iterator[BrokerInThread]:
    with broker_in_thread() as broker:
        yield broker


@contextmanager
def connected(broker: BrokerInThread) -> Iterator[socket.socket]:
    """A client on a bare socket, through the network."""
    with socket.create_connection((broker.network.host, broker.network.port)) as client:
        client.settimeout(60)
        client.sendall(CONNECT)
        assert receive(client, 1) == b"\x20"
        receive(client, receive(client, 1)[0])
        yield client


def receive(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = client.recv(size - len(data))
        if not more:
            break
        data += more
    return data


def ping(client: socket.socket) -> None:
    client.sendall(PINGREQ)
    assert receive(client, 2) == PINGRESP


def publish(topic: bytes, payload: bytes, number: int = 0) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic + (number.to_bytes(2, "big") if number else b"")
    body += b"\0" + payload
    return bytes((0x32 if number else 0x30, len(body))) + body


def test_by_itself_it_changes_nothing(broker: BrokerInThread) -> None:
    with (
        sync.open_client(broker.network.url, client_id="me") as client,
        client.subscribe("a", qos=2) as messages,
    ):
        client.publish("a", bytes(3_000_000), qos=2)
        assert messages.get(timeout=60).payload == bytes(3_000_000)
    broker.assert_disconnected("me")


def test_what_is_no_plain_mqtt_passes_as_it_comes() -> None:
    with (
        broker_in_thread("ws://127.0.0.1:0") as broker,
        sync.open_client(broker.network.url, client_id="me") as client,
        client.subscribe("a", qos=2) as messages,
    ):
        client.publish("a", bytes(3_000_000), qos=2)
        assert messages.get(timeout=60).payload == bytes(3_000_000)
        with pytest.raises(RuntimeError, match="sees no packets"):
            broker.network.cut("me")


def test_what_is_delayed_comes_later_and_in_order(broker: BrokerInThread) -> None:
    with connected(broker) as client:
        broker.network.delay(0.05, "to client")
        began = time.monotonic()
        ping(client)
        assert time.monotonic() - began >= 0.05
        broker.network.heal()
        ping(client)


def test_a_connection_that_is_cut_is_reset(broker: BrokerInThread) -> None:
    with connected(broker) as client:
        assert broker.network.cut("another") == 0
        assert broker.network.cut("c") == 1
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    broker.assert_disconnected("c")


def test_nothing_arrives_while_it_is_frozen(broker: BrokerInThread) -> None:
    with connected(broker) as client:
        broker.network.freeze()
        client.sendall(publish(b"a", b"1") + PINGREQ)
        client.shutdown(socket.SHUT_WR)
        broker.assert_not_published("a", within=0.05)
        broker.network.thaw("to broker")
        broker.assert_published("a", count=1)
        broker.network.thaw()
        assert receive(client, 3) == PINGRESP
    broker.assert_disconnected("c")


def test_connections_are_refused_until_they_are_accepted(broker: BrokerInThread) -> None:
    with connected(broker) as client:
        broker.network.refuse()
        with pytest.raises(ConnectionFailedError):
            sync.open_client(broker.network.url).__enter__()
        ping(client)
        broker.network.accept()
        with sync.open_client(broker.network.url):
            pass


@pytest.mark.parametrize("what", [{"packets": 2}, {"bytes": 12}])
def test_it_is_cut_after_so_much(broker: BrokerInThread, what: dict[str, int]) -> None:
    with connected(broker) as client:
        broker.network.cut_after(direction="to broker", **what)
        client.sendall(publish(b"a", b"1") + publish(b"a", b"2") + publish(b"a", b"3"))
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    broker.assert_disconnected("c")
    assert [one.text for one in broker.published("a")] == ["1", "2"][: what.get("packets", 1)]
    with connected(broker) as client:  # that was all
        client.sendall(publish(b"a", b"4"))
        broker.assert_published("a", "4")


def test_a_message_whose_acknowledgement_is_lost_is_sent_again(broker: BrokerInThread) -> None:
    broker.network.cut_at("PUBACK")
    with sync.open_client(broker.network.url, client_id="me") as client:
        client.publish("a", "1", qos=1, timeout=60)
    broker.assert_published("a", "1", count=2)


def test_single_packets_are_lost_and_doubled(broker: BrokerInThread) -> None:
    with connected(broker) as client:
        broker.network.drop("PUBACK")
        broker.network.duplicate("PUBLISH", topic="b/#", direction="to broker")
        broker.network.drop("PUBLISH", topic="c", count=2)
        for number, topic in enumerate((b"a", b"b/1", b"c", b"c", b"c"), 1):
            client.sendall(publish(topic, b"%d" % number, number))
        assert len(receive(client, 3 * 5)) == 3 * 5  # PUBACK of b/1 twice, and of the last
        assert [(one.topic, one.text) for one in broker.messages] == [
            ("a", "1"),
            ("b/1", "2"),
            ("b/1", "2"),
            ("c", "5"),
        ]


def test_a_message_is_overtaken_where_that_is_lawful(broker: BrokerInThread) -> None:
    with connected(broker) as client:
        broker.network.reorder(direction="to broker", within=60)
        client.sendall(publish(b"a", b"1") + publish(b"b", b"2"))
        broker.assert_published("#", count=2)
        assert [one.text for one in broker.messages] == ["2", "1"]
        broker.forget()
        broker.network.reorder(direction="to broker", within=60)
        client.sendall(publish(b"a", b"1") + publish(b"a", b"2"))
        broker.assert_published("#", count=2)
        assert [one.text for one in broker.messages] == ["1", "2"]
        broker.forget()
        broker.network.reorder(direction="to broker", within=0.01)
        client.sendall(publish(b"a", b"1"))
        broker.assert_published("#", count=1)


def test_a_function_sees_packets_and_says_what_becomes_of_them(broker: BrokerInThread) -> None:
    seen: list[NetworkPacket] = []
    done = threading.Event()

    @broker.network.on_packet
    def lose_the_second(packet: NetworkPacket) -> None:
        seen.append(packet)
        if packet.topic == "lost":
            packet.drop()
        if packet.kind == "PINGRESP":
            packet.duplicate()
            packet.delay(0.01)
            done.set()

    with connected(broker) as client:
        client.sendall(publish(b"kept", b"1", 7) + publish(b"lost", b"1") + PINGREQ)
        assert done.wait(60)
        assert receive(client, 5 + 2 + 2).endswith(2 * PINGRESP)
    broker.assert_not_published("lost")
    broker.assert_published("kept")
    first = seen[0]
    assert (first.kind, first.direction, first.client_id) == ("CONNECT", "to broker", "c")
    message = next(one for one in seen if one.topic == "kept")
    assert (message.qos, message.packet_id, message.retain, message.dup) == (1, 7, False, False)
    assert repr(message) == "<PUBLISH 'kept' QoS 1 number 7 to broker, client 'c'>"


def test_a_function_may_ask_for_more_than_its_packet(broker: BrokerInThread) -> None:
    seen: list[int] = []

    @broker.network.on_packet
    def lose_the_answer(packet: NetworkPacket) -> None:
        if packet.topic == "a":
            seen.append(len(broker.published("before")))
            broker.network.drop("PUBACK", count=2)

    broker.publish("before", "1")
    with connected(broker) as client:
        client.sendall(publish(b"a", b"1", 1) + publish(b"b", b"1", 2) + PINGREQ)
        assert receive(client, 2) == PINGRESP
    assert seen == [1]


def test_what_a_function_raises_is_told() -> None:
    def fail(packet: NetworkPacket) -> None:
        assert packet.kind != "PINGREQ", "so the test says"

    def use(then: Callable[[BrokerInThread], object]) -> None:
        with broker_in_thread() as broker, connected(broker) as client:
            broker.network.on_packet(fail)
            client.sendall(PINGREQ)
            receive(client, 1)
            then(broker)

    with pytest.raises(AssertionError, match="so the test says"):
        use(lambda _: None)
    with pytest.raises(RuntimeError, match="has ended") as raised:
        use(lambda broker: broker.assert_published("a", within=600))
    [note] = raised.value.__notes__
    assert note.startswith("The broker of the test raised as well: so the test says")


def test_a_rate_is_kept(broker: BrokerInThread) -> None:
    with connected(broker) as client:
        broker.network.limit_rate(2_000, "to broker")
        began = time.monotonic()
        client.sendall(publish(b"a", bytes(100)) + PINGREQ)
        assert receive(client, 2) == PINGRESP
        assert time.monotonic() - began >= 0.05


def test_it_stays_while_the_broker_is_restarted(broker: BrokerInThread) -> None:
    url = broker.network.url
    with sync.open_client(url, client_id="me"):
        broker.kill()
        broker.start()
        broker.assert_connected("me", within=60)
    broker.stop()
    with pytest.raises(ConnectionFailedError):
        sync.open_client(url).__enter__()
    broker.start()


MISTAKES: list[tuple[Callable[[BrokerInThread], object], str]] = [
    (lambda broker: broker.network.drop("PUBAK"), "There is no packet 'PUBAK'"),
    (lambda broker: broker.network.drop("PUBACK", count=0), "count is 1 or more"),
    (lambda broker: broker.network.delay(-1), "0 seconds or more"),
    (lambda broker: broker.network.limit_rate(0), "more than 0 bytes"),
    (lambda broker: broker.network.freeze("up"), "A direction is"),  # type: ignore[arg-type]
    (lambda broker: broker.network.cut_after(direction="to client"), "either packets or bytes"),
    (lambda broker: broker.network.cut_after(direction="to client", bytes=0), "1 or more"),
]


@pytest.mark.parametrize(("mistake", "says"), MISTAKES)
def test_mistakes_are_told(
    broker: BrokerInThread, mistake: Callable[[BrokerInThread], object], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        mistake(broker)
