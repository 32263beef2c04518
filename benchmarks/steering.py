"""How long a pair waits while 10,000 clients are looked at: `python -m benchmarks.steering`.

The broker is the one that `tmqtt broker` starts, on a core of its own, with 10,000 clients
connected, each with two subscriptions, and 10,000 retained messages. A publisher and a subscriber
exchange one message at a time, while somebody else asks the broker's API again and again to list or
to search, or follows a trace. Printed are the pair's median and longest delays, in milliseconds by
the clock, and by the processor: how long the broker worked between the sending of a message and its
coming, which does not depend on what else the machine does where root measures it; how many took
more than 10 ms by that; and what a question takes of the broker's processor time. Who asks has the
pair's core, and runs with the lowest priority there.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from benchmarks import brokers, launching, processes
from benchmarks.fairness import PAUSE, V311, Pair, connected, encoded, received
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    Subscription,
)
from trio_mqtt.protocol.reason_codes import ReasonCode

CLIENTS = 10_000
_TOGETHER = 200  # of them connect at one time
LONGEST = 10.0  # milliseconds for which nobody is to be held up
# What is asked for, by name.
QUESTIONS = {
    "nothing": "",
    "list of 100 clients": "/clients?limit=100",
    "list of 1,000 clients": "/clients?limit=1000&sort=since&descending=true",
    "clients that are searched": "/clients?search=c99&limit=100",
    "slow clients": "/clients?slow=true",
    "subscriptions, searched": "/subscriptions?search=home/99",
    "subscriptions to a topic": "/subscriptions?topic=home/7/x",
    "who gets a message": "/who?topic=all&limit=100",
    "retained, searched": "/retained?search=99&sort=topic",
    "trace of a client": "/trace?client_id=publisher",
    "trace of all topics": "/trace?topic_filter=%23",
}


class _Unix(http.client.HTTPConnection):
    """A connection to the broker's own socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("broker", timeout=60)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


@contextmanager
def ten_thousand(port: int) -> Iterator[None]:
    """That many clients, connected and subscribed, and a retained message of each."""
    with ExitStack() as stack:
        for first in range(0, CLIENTS, _TOGETHER):
            coming = {}
            for number in range(first, first + _TOGETHER):
                client = socket.create_connection(("127.0.0.1", port))
                coming[number] = stack.enter_context(client)
                wanted = [Subscription(f"home/{number}/#"), Subscription("all")]
                connect = Connect(f"c{number}", keep_alive=0, protocol_version=V311)
                client.sendall(encoded(connect, Subscribe(1, wanted)))
            for client in coming.values():
                received(client, len(encoded(ConnAck(), SubAck(1, [ReasonCode.SUCCESS] * 2))))
        publisher = connected(port, "keeper")
        kept = (Publish(f"kept/{n}/x", b"x" * 16, retain=True) for n in range(CLIENTS))
        publisher.sendall(encoded(*kept, Publish("end", b"", 1, packet_id=1)))
        received(publisher, len(encoded(PubAck(1))))
        publisher.close()
        yield


def ask(path: Path, question: str, asked: Synchronized[int]) -> None:
    """Ask for ever, or follow what is told."""
    os.nice(19)
    streams = question.startswith("/trace")
    connection = _Unix(path)
    while True:
        connection.request("GET", f"/api/v1{question}")
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(answer.read().decode())
        if streams:
            while answer.readline():
                asked.value += 1
        elif asked.value:
            answer.read()
        else:
            json.loads(answer.read())
        asked.value += 1


def main() -> int:
    """Measure beside each question and print a line for it."""
    parser = argparse.ArgumentParser(prog="benchmarks.steering", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each (default: 5)")
    parser.add_argument("--only", help="of these names, separated by semicolons")
    options = parser.parse_args()
    cores = processes.choose_cores()
    if cores is None:
        print("Two cores are needed.", file=sys.stderr)
        return 2
    os.sched_setaffinity(0, {cores[1]})
    broker = brokers.find(brokers.OURS_WITH_API, Path.home() / ".cache" / "trio-mqtt-benchmarks")
    only = options.only.split(";") if options.only else list(QUESTIONS)
    heads = ("clock", "longest", "CPU", "longest", "above 10", "asked", "CPU each")
    print(f"{'asked for':28}" + "".join(f"{head:>10}" for head in heads))
    with launching.running(broker, cores[0]) as running, ten_thousand(running.port):
        pair = Pair(running.port)
        for name in only:
            _measure(name, pair, running, options.seconds)
        pair.close()
    return 0


def _measure(name: str, pair: Pair, running: launching.Running, seconds: float) -> None:
    question = QUESTIONS[name]
    asked = multiprocessing.Value("q", 0)
    asker = None
    if question:
        socket_path = running.output.parent / "data" / "admin.sock"
        asker = multiprocessing.Process(
            target=ask, args=(socket_path, question, asked), daemon=True
        )
        asker.start()
        time.sleep(1.0)
    before, asked_before = processes.cpu_seconds(running.pid), asked.value
    by_clock, by_cpu = _delays(pair, running.pid, seconds)
    taken = (processes.cpu_seconds(running.pid) - before) * 1_000
    count = asked.value - asked_before
    if asker is not None:
        if not asker.is_alive():
            raise SystemExit(f"{name}: nobody could ask")
        asker.kill()
        asker.join()
    above = sum(delay > LONGEST for delay in by_cpu)
    each = f"{taken / count:10.2f}" if count else ""
    print(
        f"{name:28}{statistics.median(by_clock):10.2f}{max(by_clock):10.1f}"
        f"{statistics.median(by_cpu):10.2f}{max(by_cpu):10.1f}{above:10}{count:10}{each}",
        flush=True,
    )


def _delays(pair: Pair, pid: int, seconds: float) -> tuple[list[float], list[float]]:
    """What messages take, in milliseconds, by the clock and of the broker's processor time."""
    by_clock, by_cpu = [], []
    end = time.perf_counter() + seconds
    with _before_all_others():
        while time.perf_counter() < end:
            worked = processes.cpu_seconds(pid)
            by_clock.append(pair.exchange() * 1_000)
            by_cpu.append((processes.cpu_seconds(pid) - worked) * 1_000)
            time.sleep(PAUSE)
    return by_clock, by_cpu


@contextmanager
def _before_all_others() -> Iterator[None]:
    """Have a processor at once, where that is allowed: the broker works while this waits."""
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    try:
        yield
    finally:
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


if __name__ == "__main__":
    sys.exit(main())
