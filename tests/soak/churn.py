"""Clients that come and go without end, by blocking sockets: each load is a thread."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    Subscription,
)
from trio_mqtt.protocol.properties import Properties

V5 = ProtocolVersion.V5
TIMEOUT = 20.0  # seconds in which the broker must answer
MIB = 1024 * 1024


class Client:
    """One connection, which does one thing after the other."""

    def __init__(
        self,
        port: int,
        client_id: str,
        *,
        clean: bool = True,
        expiry: int = 0,
        keep_alive: int = 60,
    ) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._decoder = PacketDecoder(PacketType.CONNACK, V5)
        self._packets: list[Packet] = []
        properties: Properties = {"session_expiry_interval": expiry}
        self.send(Connect(client_id, clean, keep_alive, properties=properties))
        self.expect(ConnAck)

    def send(self, packet: Packet) -> None:
        self.socket.sendall(encode(packet, V5))

    def receive(self) -> Packet:
        while not self._packets:
            data = self.socket.recv(65_536)
            if not data:
                raise ConnectionError("the broker has closed")
            self._packets = self._decoder.feed(data)
        return self._packets.pop(0)

    def expect(self, kind: type[Packet]) -> None:
        """Read on until a packet of this kind comes."""
        while not isinstance(self.receive(), kind):
            pass

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        self.send(Subscribe(1, [Subscription(topic_filter, qos)]))
        self.expect(SubAck)

    def leave(self) -> None:
        self.send(Disconnect())
        self.socket.close()


def short_sessions(port: int, turn: int) -> None:
    """A session that outlives its connection by a second, and a message that waits in it."""
    client = Client(port, f"short-{turn}", expiry=1)
    client.subscribe(f"short/{turn}")
    client.send(Publish(f"short/{turn}", b"kept", 1, packet_id=7))
    client.expect(PubAck)
    client.leave()
    time.sleep(0.01)


def polite(port: int, turn: int) -> None:
    """Connect, subscribe, publish, say goodbye: as many do who wake up for a measurement."""
    client = Client(port, f"polite-{turn % 50}")
    client.subscribe("polite/#", 0)
    client.send(Publish(f"polite/{turn}", b"21.5", 1, packet_id=7))
    client.expect(PubAck)
    client.leave()


def cut_off(port: int, turn: int) -> None:
    """Most of a packet as large as the broker takes, and no end."""
    client = Client(port, f"cut-{turn % 3}")
    with suppress(OSError):
        client.socket.sendall(b"\x30\xff\xff\xff\x07" + bytes(15 * MIB))
    client.socket.close()
    time.sleep(0.1)


def takeover(port: int, turn: int) -> None:
    """The same client again, before the broker has noticed that it was gone."""
    first = Client(port, "taken", clean=turn % 3 == 0, expiry=60)
    first.subscribe("taken/#")
    second = Client(port, "taken", clean=False, expiry=60)
    second.send(Publish("taken/over", bytes(100), 1, packet_id=7))
    second.expect(PubAck)
    first.socket.close()
    second.socket.close()
    time.sleep(0.01)


LOADS: tuple[Callable[[int, int], None], ...] = (short_sessions, polite, cut_off, takeover)


class Churn:
    """All loads at once, each in a thread, until it is ended."""

    def __init__(self, port: int) -> None:
        self.turns = dict.fromkeys((load.__name__ for load in LOADS), 0)
        self.failures: list[str] = []
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(load, port), daemon=True) for load in LOADS
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(2 * TIMEOUT)

    def _run(self, load: Callable[[int, int], None], port: int) -> None:
        for turn in itertools.count():
            if self._ended.is_set():
                return
            try:
                load(port, turn)
            except (OSError, TimeoutError) as error:
                self.failures.append(f"{load.__name__}, turn {turn}: {error!r}")
                return
            self.turns[load.__name__] = turn + 1


class Pair:
    """A well-behaved publisher and its subscriber; how long each message takes, in seconds."""

    def __init__(self, port: int) -> None:
        self.latencies: list[float] = []
        self._subscriber = Client(port, "pair-subscriber", keep_alive=0)
        self._subscriber.subscribe("pair", 0)
        self._publisher = Client(port, "pair-publisher", keep_alive=0)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.is_set():
            began = time.monotonic()
            self._publisher.send(Publish("pair", b"21.5"))
            self._subscriber.expect(Publish)
            self.latencies.append(time.monotonic() - began)
            time.sleep(0.005)

    def end(self) -> None:
        self._ended.set()
        self._thread.join(2 * TIMEOUT)
        self._publisher.leave()
        self._subscriber.leave()
