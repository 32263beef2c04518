"""How long a well-behaved pair waits beside a client that floods: `python -m benchmarks.fairness`.

The broker is the one that `tmqtt broker` starts, on a core of its own. A publisher and a
subscriber exchange one message at a time, while another client sends one kind of packet as fast
as the broker takes it. Printed are the pair's median and longest delays, in milliseconds.
"""

import argparse
import multiprocessing
import os
import socket
import statistics
import sys
import time
from pathlib import Path

from benchmarks import brokers, launching, processes
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    Connect,
    Packet,
    PingReq,
    Publish,
    PubRel,
    Subscribe,
    Subscription,
    Unsubscribe,
)

V311 = ProtocolVersion.V311
_PAUSE = 0.002  # seconds between two messages of the pair
_READ = 65_536


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


class Pair:
    """A publisher and a subscriber that exchange one message at a time."""

    def __init__(self, port: int) -> None:
        self._subscriber = connected(port, "subscriber")
        self._subscriber.sendall(encoded(Subscribe(1, [Subscription("pair")])))
        received(self._subscriber, 5)
        self._publisher = connected(port, "publisher")

    def delays(self, seconds: float) -> list[float]:
        """What messages take for so long, each in seconds."""
        message = encoded(Publish("pair", b"x" * 16))
        found = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            began = time.perf_counter()
            self._publisher.sendall(message)
            received(self._subscriber, len(message))
            found.append(time.perf_counter() - began)
            time.sleep(_PAUSE)
        return found

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
    options = parser.parse_args()
    cores = processes.choose_cores()
    if cores is None:
        print("Two cores are needed.", file=sys.stderr)
        return 2
    os.sched_setaffinity(0, {cores[1]})
    broker = brokers.find(options.broker, Path.home() / ".cache" / "trio-mqtt-benchmarks")
    print(f"{'flood':20} {'messages':>8} {'median ms':>10} {'longest ms':>10}")
    for name, data in floods().items():
        with launching.running(broker, cores[0]) as running:
            flooder = multiprocessing.Process(target=flood, args=(running.port, data), daemon=True)
            if data:
                flooder.start()
                time.sleep(0.5)
            found = [delay * 1_000 for delay in delays(running.port, options.seconds)]
            if data:
                flooder.kill()
                flooder.join()
        median, longest = statistics.median(found), max(found)
        print(f"{name:20} {len(found):8} {median:10.2f} {longest:10.1f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
