"""A publisher and its subscriber in a process of their own, who must not notice what others do.

    python -m tests.beside.pair PORT [--user NAME] [--rate MESSAGES_A_SECOND] [--broker PID]

Messages of QoS 0, 1 and 2 in turn, at a steady rate. Each line of stdout is a JSON object: a
`problem` as soon as there is one (a message that is lost, comes twice, late or out of order, a
connection that ends), and each second the `figures`. It ends when stdin does; then the last figures
have all that came.

How late messages are is also the machine's doing. So each has two latencies: what a clock says, and
what is left of that without the time for which the broker and this process were ready to run and
had no processor, which Linux counts for each thread. And as often as a message, a byte goes to a
process that does nothing but return it.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
)

V5 = ProtocolVersion.V5
FROZEN = 20.0  # seconds without a message that must have come: nobody waits any longer
PASSWORD = b"pair"
TOPIC = "pair"
# What nobody else may read, and would tell that it was read.
SECRET_TOPIC, SECRET = "secret/plan", b"nobody may read this"


class End:
    """One connection."""

    def __init__(self, port: int, client_id: str, user: str | None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=FROZEN)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._decoder = PacketDecoder(PacketType.CONNACK, V5)
        self._client_id = client_id
        password = None if user is None else PASSWORD
        self.send(Connect(client_id, keep_alive=0, username=user, password=password))
        (answer,) = self.receive()
        if not isinstance(answer, ConnAck) or answer.reason_code.is_failure:
            raise ConnectionError(f"{client_id} is not let in: {answer}")

    def send(self, *packets: Packet) -> None:
        with self._named():
            self.socket.sendall(b"".join(encode(packet, V5) for packet in packets))

    def receive(self) -> list[Packet]:
        with self._named():
            data = self.socket.recv(65_536)
        if not data:
            raise ConnectionError(f"the broker has closed the connection of {self._client_id}")
        packets = self._decoder.feed(data)
        if self._decoder.violation is not None:
            raise ConnectionError(f"the broker broke the rules: {self._decoder.violation}")
        for packet in packets:
            if isinstance(packet, Disconnect):
                raise ConnectionError(f"{self._client_id} is disconnected: {packet}")
        return packets

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Have an error tell whose it is."""
        try:
            yield
        except OSError as error:
            raise ConnectionError(f"{self._client_id}: {error}") from error


class Waits:
    """How long some processes have waited for a processor, in seconds since each began."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self._files: dict[tuple[int, str], int] = {}
        # Of each thread, also those that have ended since: the sum never falls.
        self._last: dict[tuple[int, str], int] = {}
        self.look()

    def look(self) -> None:
        """Find the threads that there are now."""
        for pid in self._pids:
            for thread in os.listdir(f"/proc/{pid}/task"):
                if (pid, thread) not in self._files:
                    with suppress(OSError):  # it has ended, or this kernel does not count
                        path = f"/proc/{pid}/task/{thread}/schedstat"
                        self._files[pid, thread] = os.open(path, os.O_RDONLY)

    def total(self) -> float:
        for thread, file in self._files.items():
            with suppress(OSError):
                self._last[thread] = int(os.pread(file, 100, 0).split()[1])
        return sum(self._last.values()) / 1e9


class Pair:
    """What was sent and what has come."""

    def __init__(self, port: int, user: str | None, waits: Waits) -> None:
        self.subscriber = End(port, "pair-subscriber", user)
        self.subscriber.send(Subscribe(1, [Subscription(f"{TOPIC}/#", 2)]))
        while not any(isinstance(packet, SubAck) for packet in self.subscriber.receive()):
            pass
        self.publisher = End(port, "pair-publisher", user)
        self.sent = 0
        self.latencies: list[float] = []
        # Without what the processes waited for a processor meanwhile.
        self.own_latencies: list[float] = []
        self.waits = waits
        self._waiting: tuple[deque[tuple[int, float, float]], ...] = (deque(), deque(), deque())
        self._packet_id = 0
        if user is not None:
            self.publisher.send(Publish(SECRET_TOPIC, SECRET, retain=True))

    def publish(self) -> None:
        qos = self.sent % 3
        if qos:
            self._packet_id = self._packet_id % 65_535 + 1
        now = time.monotonic()
        self._waiting[qos].append((self.sent, now, self.waits.total()))
        payload = b"%d" % self.sent
        packet_id = self._packet_id if qos else 0
        self.publisher.send(Publish(f"{TOPIC}/{qos}", payload, qos, packet_id=packet_id))
        self.sent += 1

    def answer(self) -> None:
        """The publisher's half of the handshakes."""
        for packet in self.publisher.receive():
            if isinstance(packet, PubRec):
                self.publisher.send(PubRel(packet.packet_id))

    def take(self) -> list[str]:
        """Take what has come to the subscriber; what was wrong with it."""
        problems = []
        for packet in self.subscriber.receive():
            if isinstance(packet, PubRel):
                self.subscriber.send(PubComp(packet.packet_id))
            elif isinstance(packet, Publish):
                problem = self._message(packet)
                if problem:
                    problems.append(problem)
        return problems

    def late(self) -> float:
        """For how many seconds the oldest message is under way."""
        sent = [waiting[0][1] for waiting in self._waiting if waiting]
        return time.monotonic() - min(sent) if sent else 0.0

    @property
    def missing(self) -> int:
        return sum(map(len, self._waiting))

    def _message(self, packet: Publish) -> str | None:
        if packet.qos == 1:
            self.subscriber.send(PubAck(packet.packet_id))
        elif packet.qos == 2:
            self.subscriber.send(PubRec(packet.packet_id))
        waiting = self._waiting[packet.qos]
        if not packet.payload.isdigit() or packet.topic != f"{TOPIC}/{packet.qos}":
            return f"a message of somebody else's came: {packet}"
        number = int(packet.payload)
        if not waiting or waiting[0][0] != number:
            wanted = waiting[0][0] if waiting else "none"
            while waiting and waiting[0][0] <= number:
                waiting.popleft()
            return f"QoS {packet.qos}: message {number} came where {wanted} was next"
        _, sent, waited = waiting.popleft()
        latency = time.monotonic() - sent
        self.latencies.append(latency)
        # Where both waited at the same time, this is too much.
        self.own_latencies.append(max(0.0, latency - (self.waits.total() - waited)))
        return None


class Machine:
    """A process that returns each byte, and how long that takes."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            self.socket.close()
            while data := theirs.recv(1):
                theirs.sendall(data)
            os._exit(0)
        theirs.close()
        self.latencies: list[float] = []
        self._sent: float | None = None

    def ask(self) -> None:
        if self._sent is None:
            self._sent = time.monotonic()
            self.socket.sendall(b"?")

    def take(self) -> None:
        try:
            answer = self.socket.recv(1)
        except ConnectionError:
            answer = b""
        if not answer:
            _, status = os.waitpid(self._pid, 0)
            code = os.waitstatus_to_exitcode(status)  # below 0: by that signal
            raise ChildProcessError(f"the process that returns bytes has ended with {code}")
        if self._sent is not None:
            self.latencies.append(time.monotonic() - self._sent)
        self._sent = None


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which this part of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0


def figures(pair: Pair, machine: Machine) -> dict[str, Any]:
    """How things stand; times in seconds."""
    return {
        "sent": pair.sent,
        "missing": pair.missing,
        "median": percentile(pair.latencies, 0.5),
        "p99": percentile(pair.latencies, 0.99),
        "longest": max(pair.latencies, default=0.0),
        "own_p99": percentile(pair.own_latencies, 0.99),
        "own_longest": max(pair.own_latencies, default=0.0),
        "machine_p99": percentile(machine.latencies, 0.99),
        "machine_longest": max(machine.latencies, default=0.0),
    }


def tell(kind: str, value: object) -> None:
    sys.stdout.write(json.dumps({kind: value}) + "\n")
    sys.stdout.flush()


def run(port: int, user: str | None, rate: float, broker: int | None) -> None:
    machine = Machine()
    waits = Waits(os.getpid(), *(() if broker is None else (broker,)))
    pair = Pair(port, user, waits)
    tell("figures", figures(pair, machine))
    poll = select.poll()
    stdin = sys.stdin.fileno()
    for descriptor in (
        stdin, *(one.fileno() for one in (pair.publisher.socket, pair.subscriber.socket,
                                          machine.socket)),
    ):  # fmt: skip
        poll.register(descriptor, select.POLLIN)
    next_message = next_figures = time.monotonic()
    end_by: float | None = None
    while end_by is None or (pair.missing and time.monotonic() < end_by):
        wait = max(0.0, next_message - time.monotonic()) if end_by is None else 0.05
        ready = {descriptor for descriptor, _ in poll.poll(wait * 1e3)}
        if pair.subscriber.socket.fileno() in ready:
            for problem in pair.take():
                tell("problem", problem)
        if pair.publisher.socket.fileno() in ready:
            pair.answer()
        if machine.socket.fileno() in ready:
            machine.take()
        if end_by is not None:
            continue
        now = time.monotonic()
        if stdin in ready:
            end_by = now + FROZEN
            continue
        if now >= next_message:
            # Where this process had no turn for long, it does not make up for it.
            next_message = max(next_message + 1 / rate, now)
            pair.publish()
            machine.ask()
        if now >= next_figures:
            next_figures = now + 1 + pair.sent / 50_000  # of many, they take a while
            tell("figures", figures(pair, machine))
            waits.look()
            if pair.late() > FROZEN:
                tell("problem", f"a message is under way for more than {FROZEN:g} s")
                break
    if pair.missing:
        tell("problem", f"{pair.missing} messages have not come")
    tell("figures", figures(pair, machine))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--user")
    parser.add_argument("--broker", type=int)
    parser.add_argument("--rate", type=float, default=100.0)
    arguments = parser.parse_args()
    try:
        run(arguments.port, arguments.user, arguments.rate, arguments.broker)
    except OSError as error:
        tell("problem", f"the pair: {error}")


if __name__ == "__main__":
    main()
