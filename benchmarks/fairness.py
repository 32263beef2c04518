"""How long a well-behaved pair waits beside a client that floods: `python -m benchmarks.fairness`.

The broker is the one that `tmqtt broker` starts, on a core of its own. A publisher and a
subscriber exchange one message at a time, while another client sends one kind of packet as fast
as the broker takes it, or comes and goes, or asks again and again for 100,000 retained messages.
Printed are the pair's median and longest delays, in milliseconds.
"""

import argparse
import multiprocessing
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import brokers, launching, processes
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PubAck,
    Publish,
    PubRel,
    Subscribe,
    Subscription,
    Unsubscribe,
)

V311 = ProtocolVersion.V311
PAUSE = 0.002  # seconds between two messages of the pair
_READ = 65_536
RETAINED = 100_000  # messages in the tree that is asked for
_WINDOW = 500  # of them under way to the broker


def encoded(*packets: Packet) -> bytes:
    return b"".join(encode(packet, V311) for packet in packets)


def floods() -> dict[str, bytes]:
    """What each flooder sends again and again, by name."""
    many = [Subscription(f"flood/{number}") for number in range(500)]
    return {
        "nothing": b"",
        "PINGREQ": encoded(PingReq()) * 4_000,
        "SUBSCRIBE": encoded(*(Subscribe(1, [one]) for one in many)),
        "SUBSCRIBE of 500": encoded(Subscribe(1, many)),
        "subscription churn": encoded(
            *(
                packet
                for one in many
                for packet in (Subscribe(1, [one]), Unsubscribe(1, [one.topic_filter]))
            )
        ),
        "UNSUBSCRIBE": encoded(*(Unsubscribe(1, [one.topic_filter]) for one in many)),
        "QoS 0, one topic": encoded(Publish("flood", b"x" * 16)) * 1_000,
        "QoS 0, many topics": encoded(*(Publish(f"flood/{n}", b"x" * 16) for n in range(1_000))),
        "QoS 0, new topics": encoded(
            *(Publish(f"flood/{n}/{n * 7919 % 100_003}", b"x") for n in range(30_000))
        ),
        "QoS 1": encoded(*(Publish("flood", b"x", 1, packet_id=n + 1) for n in range(500))),
        "QoS 2": encoded(
            *(
                packet
                for n in range(500)
                for packet in (Publish("flood", b"x", 2, packet_id=n + 1), PubRel(n + 1))
            )
        ),
        "retained": encoded(*(Publish(f"flood/{n}", b"x" * 16, retain=True) for n in range(1_000))),
    }


def connected(port: int, name: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(encoded(Connect(name, protocol_version=V311)))
    received(connection, 4)
    return connection


def received(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionError("the broker closed the connection")
        data += piece
    return data


def flood(port: int, data: bytes) -> None:
    """Send `data` for ever, and read whatever comes."""
    connection = connected(port, "flooder")
    connection.setblocking(False)
    rest = memoryview(data)
    while True:
        try:
            rest = rest[connection.send(rest) :] or memoryview(data)
        except BlockingIOError:
            time.sleep(0.0005)
        try:
            if not connection.recv(_READ):
                return
        except BlockingIOError:
            continue
        except OSError:
            return


def come_and_go(port: int) -> None:
    """Connect and leave for ever, a hundred clients at once."""
    goodbye = encoded(Disconnect())
    while True:
        coming = [connected(port, f"churn{number}") for number in range(100)]
        for connection in coming:
            connection.sendall(goodbye)
            connection.close()


def _kept(number: int, qos: int = 0) -> Publish:
    """One message of a tree of retained ones."""
    return Publish(
        f"kept/{number % 100}/{number}",
        b"x" * 16,
        qos,
        retain=True,
        packet_id=number % _WINDOW + 1 if qos else 0,
    )


def keep_retained(port: int) -> None:
    """Have the broker keep them."""
    connection = connected(port, "keeper")
    for start in range(0, RETAINED, _WINDOW):
        connection.sendall(encoded(*(_kept(start + number, 1) for number in range(_WINDOW))))
        received(connection, _WINDOW * len(encoded(PubAck(1))))
    connection.close()


def ask_for_retained(port: int) -> None:
    """Ask for all of them for ever, again when the last has come."""
    connection = connected(port, "asker")
    size = 5 + sum(len(encoded(_kept(number))) for number in range(RETAINED))
    while True:
        connection.sendall(encoded(Subscribe(1, [Subscription("kept/#")])))
        left = size
        while left:
            data = connection.recv(min(left, _READ))
            if not data:
                return
            left -= len(data)


_OF_PAIR = encoded(Publish("pair", b"x" * 16))


class Pair:
    """A publisher and a subscriber that exchange one message at a time."""

    def __init__(self, port: int) -> None:
        self._subscriber = connected(port, "subscriber")
        self._subscriber.sendall(encoded(Subscribe(1, [Subscription("pair")])))
        received(self._subscriber, 5)
        self._publisher = connected(port, "publisher")

    def delays(self, seconds: float) -> list[float]:
        """What messages take for so long, each in seconds."""
        found = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            found.append(self.exchange())
            time.sleep(PAUSE)
        return found

    def exchange(self) -> float:
        """How long one message takes, in seconds."""
        began = time.perf_counter()
        self._publisher.sendall(_OF_PAIR)
        received(self._subscriber, len(_OF_PAIR))
        return time.perf_counter() - began

    def close(self) -> None:
        """They go."""
        self._subscriber.close()
        self._publisher.close()


def delays(port: int, seconds: float) -> list[float]:
    """What messages of a pair take for so long, each in seconds."""
    pair = Pair(port)
    try:
        return pair.delays(seconds)
    finally:
        pair.close()


def main() -> int:
    """Measure beside each flood and print a line for it."""
    parser = argparse.ArgumentParser(prog="benchmarks.fairness", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each flood (default: 4)")
    parser.add_argument("--broker", default=brokers.OURS, help="or mosquitto")
    parser.add_argument("--only", help="of these names, separated by commas")
    options = parser.parse_args()
    cores = processes.choose_cores()
    if cores is None:
        print("Two cores are needed.", file=sys.stderr)
        return 2
    os.sched_setaffinity(0, {cores[1]})
    broker = brokers.find(options.broker, Path.home() / ".cache" / "trio-mqtt-benchmarks")
    print(f"{'flood':30} {'messages':>8} {'median ms':>10} {'longest ms':>10}")
    busy: dict[str, Callable[[int], None] | None] = {"nothing": None}
    busy |= {name: partial(flood, data=data) for name, data in floods().items() if data}
    busy |= {"connections that come and go": come_and_go, "100000 retained": ask_for_retained}
    only = options.only.split(",") if options.only else list(busy)
    for name in only:
        be_busy = busy[name]
        with launching.running(broker, cores[0]) as running:
            if be_busy is ask_for_retained:
                keep_retained(running.port)
            if be_busy is not None:
                other = multiprocessing.Process(target=be_busy, args=(running.port,), daemon=True)
                other.start()
                time.sleep(0.5)
            found = [delay * 1_000 for delay in delays(running.port, options.seconds)]
            if be_busy is not None:
                other.kill()
                other.join()
        median, longest = statistics.median(found), max(found)
        print(f"{name:30} {len(found):8} {median:10.2f} {longest:10.1f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
