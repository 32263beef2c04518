"""Bounds that are set on the command line hold."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.broker.seen import sees
from tests.cli.programs import Program
from trio_mqtt import MqttError, sync
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    Connect,
    Disconnect,
    Packet,
    PingReq,
    Publish,
    Subscribe,
    Subscription,
)

V311 = ProtocolVersion.V311
pytestmark = pytest.mark.slow


@contextmanager
def broker_with(*settings: str) -> Iterator[str]:
    options = [part for setting in settings for part in ("--set", setting)]
    with Program("broker", "mqtt://127.0.0.1:0", *options) as broker:
        yield broker.out.expect(r"Listening at (mqtt://127.0.0.1:[1-9]\d*)")[1]
        assert broker.stop() == 0


def address_of(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("mqtt://").partition(":")
    return host, int(port)


@contextmanager
def connected(url: str, name: str, *, clean_start: bool) -> Iterator[socket.socket]:
    """A connection of MQTT 3.1.1 that was accepted; nothing is answered by itself."""
    with socket.create_connection(address_of(url), 30) as connection:
        connect = Connect(name, clean_start=clean_start, protocol_version=V311)
        connection.sendall(encode(connect, V311))
        assert connection.recv(4)[3] == 0
        yield connection
        connection.sendall(encode(Disconnect(), V311))
        while connection.recv(65_536):  # until its session is free
            pass


def published(url: str, count: int, *, retain: bool = False) -> float:
    """The seconds that it takes to publish so many messages."""
    with sync.open_client(url, client_id="source", backend="trio") as client:
        began = time.monotonic()
        for number in range(count):
            client.publish(f"t/{number}", b"%d" % number, qos=1, retain=retain)
        return time.monotonic() - began


@sees("limits.maximum_message_rate_in", "limits.maximum_byte_rate_in")
def test_a_client_sends_at_its_rate() -> None:
    with broker_with("limits.maximum_message_rate_in=50") as url:
        assert published(url, 100) > 0.9
    with broker_with("limits.maximum_byte_rate_in=500") as url:
        assert published(url, 100) > 0.9


@pytest.mark.parametrize("terminal", [True, False])
def test_who_is_slowed_down_is_seen(terminal: bool) -> None:
    rates = ("limits.maximum_message_rate_in=10", "limits.maximum_message_rate_out=5")
    options = [part for rate in rates for part in ("--set", rate)]
    with Program("broker", "mqtt://127.0.0.1:0", *options, terminal=terminal) as broker:
        url = broker.out.expect(r"Listening at (mqtt://127.0.0.1:[1-9]\d*)")[1]
        with Program("sub", "t/#", "-i", "taker", "-b", url):
            broker.out.expect("taker subscribed")
            published(url, 60)
            broker.out.expect("source sends more than its rate: it is read from more slowly\n")
            broker.out.expect("taker is sent more than its rate: its messages wait\n")
        assert broker.stop() == 0
        assert broker.out.text.count("more than its rate") == 2


@sees("limits.maximum_queued_messages")
@pytest.mark.parametrize(
    ("policy", "left"), [("drop-newest", [0, 1, 2]), ("drop-oldest", [7, 8, 9])]
)
def test_a_full_queue_keeps_to_its_policy(policy: str, left: list[int]) -> None:
    with broker_with("limits.maximum_queued_messages=3", f"options.queue_policy={policy}") as url:
        with connected(url, "away", clean_start=False) as away:
            away.sendall(encode(Subscribe(1, [Subscription("t/#", 1)]), V311))
            assert away.recv(5)[0] == 0x90
        published(url, 10)
        with connected(url, "away", clean_start=False) as away:
            decoder = PacketDecoder(PacketType.PUBLISH, V311)
            found: list[Packet] = []
            while len(found) < len(left):
                found += decoder.feed(away.recv(65_536))
            away.sendall(encode(PingReq(), V311))
            found += decoder.feed(away.recv(65_536))
        payloads = [int(one.payload) for one in found if isinstance(one, Publish)]
        assert payloads == left


@sees("limits.maximum_memory")
def test_who_has_no_memory_left_lets_nobody_in() -> None:
    with broker_with("limits.maximum_memory=1 MiB") as url:
        deadline = time.monotonic() + 30
        refused: MqttError | None = None
        while refused is None and time.monotonic() < deadline:
            try:
                with sync.open_client(url, backend="trio"):
                    pass
            except MqttError as error:
                refused = error
        assert "no memory left" in str(refused)


@sees("limits.maximum_retained_per_client")
def test_a_client_retains_no_more_than_it_may() -> None:
    with broker_with("limits.maximum_retained_per_client=5") as url, pytest.raises(MqttError):
        published(url, 6, retain=True)


@sees("options.takeover_refused")
def test_who_is_connected_may_stay() -> None:
    with (
        broker_with("options.takeover_refused=true") as url,
        sync.open_client(url, client_id="c", backend="trio") as first,
    ):
        with pytest.raises(MqttError), sync.open_client(url, client_id="c", backend="trio"):
            pass
        first.publish("t", b"still here", qos=1)


@sees("options.control_characters_in_topics")
def test_topics_may_have_control_characters() -> None:
    with (
        broker_with("options.control_characters_in_topics=true") as url,
        sync.open_client(url, backend="trio") as client,
    ):
        client.publish("a\x01", b"taken", qos=1)


@pytest.mark.parametrize(("keep_alive", "code"), [(0, 2), (61, 2), (60, 0)])
def test_mqtt_3_has_a_bound_on_its_keep_alive(keep_alive: int, code: int) -> None:
    with (
        broker_with("limits.maximum_keep_alive_mqtt_3=60") as url,
        socket.create_connection(address_of(url), 30) as connection,
    ):
        packet = Connect("c", keep_alive=keep_alive, protocol_version=V311)
        connection.sendall(encode(packet, V311))
        assert connection.recv(4) == bytes((0x20, 2, 0, code))
