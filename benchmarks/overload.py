"""What overload by some costs the others, and the broker: `python -m benchmarks.overload`.

`silent-qos0`, `silent-qos1`: 100 subscribers that never read while 100,000 messages of 1 KiB go by;
beside them a pair exchanges one message at a time. Printed are what the broker's process held
before and at most, and the pair's delays.

`limited`: 500 pairs of ordinary clients, a message a second each; without and with one more client
that sends as fast as it may, beyond its rate limit. Printed are the delays of the pairs.

The broker runs on a core of its own. trio-mqtt is `tmqtt broker` with the limits in `LIMITS`, and
Mosquitto has those of its own that come closest.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import socket
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import brokers, launching, load, processes
from benchmarks.fairness import Pair, connected, encoded, flood, floods, received
from trio_mqtt.protocol.packets import PubAck, Publish, Subscribe, Subscription

MIB = 1024 * 1024
BOUND = 128 * MIB  # of memory, for the broker's process
RATE = 1_000  # messages a second that one client may send
LIMITS = (f"maximum_memory={BOUND}", f"maximum_message_rate_in={RATE}")
# Mosquitto bounds what it allocates, and each queue by a number of messages, 1,000 by default.
_MOSQUITTO_LIMITS = f"max_queued_messages 1000\nmemory_limit {BOUND}\n"

SILENT, MESSAGES, SIZE = 100, 100_000, 1_024
PAIRS = 500
_WINDOW = 500  # messages of QoS 1 on their way to the broker
_LEAST = 2.0  # seconds for which a pair is measured at least
_CACHE = Path.home() / ".cache" / "trio-mqtt-benchmarks"


def limited(broker: brokers.Broker, *, rate: bool) -> brokers.Broker:
    """The same broker with the limits of this benchmark."""
    plain = broker.command

    def command(port: int, folder: Path, transport: str) -> list[str]:
        made = plain(port, folder, transport)
        if broker.name.startswith(brokers.MOSQUITTO):
            file = Path(made[-1])
            text = file.read_text().replace("max_queued_messages 0\n", _MOSQUITTO_LIMITS)
            file.write_text(text)
            return made
        return [*made, *(f"--set=limits.{limit}" for limit in LIMITS[: 1 + rate])]

    return replace(broker, command=command)


def _silent(port: int, qos: int) -> list[socket.socket]:
    """Clients that have subscribed, and will not read again."""
    connections = []
    for number in range(SILENT):
        connection = connected(port, f"silent{number}")
        connection.sendall(encoded(Subscribe(1, [Subscription("flood", qos)])))
        received(connection, 5)
        connections.append(connection)
    return connections


def _publish(port: int, qos: int, began: multiprocessing.synchronize.Event) -> None:
    """Publish all messages, as fast as the broker takes them."""
    connection = connected(port, "source")
    began.set()
    payload = b"x" * SIZE
    if qos == 0:
        many = encoded(Publish("flood", payload)) * 100
        for _ in range(MESSAGES // 100):
            connection.sendall(many)
    else:
        many = encoded(*(Publish("flood", payload, 1, packet_id=n + 1) for n in range(_WINDOW)))
        for _ in range(MESSAGES // _WINDOW):
            connection.sendall(many)
            received(connection, _WINDOW * len(encoded(PubAck(1))))
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65_536):
        pass


def _peak(pid: int) -> int:
    """Bytes that the process held at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def silent(broker: brokers.Broker, core: int, qos: int) -> str:
    """The figures of one broker with subscribers that never read."""
    with launching.running(limited(broker, rate=False), core) as running:
        pid = max(processes.tree(running.pid))  # what `taskset` has become
        kept = _silent(running.port, qos)
        pair = Pair(running.port)
        before = _peak(pid)
        began = multiprocessing.Event()
        source = multiprocessing.Process(
            target=_publish, args=(running.port, qos, began), daemon=True
        )
        started = time.perf_counter()
        source.start()
        began.wait()
        found = pair.delays(_LEAST)
        while source.is_alive():
            found += pair.delays(0.25)
        seconds = time.perf_counter() - started
        source.join()
        peak = _peak(pid)
        del kept
    return (
        f"{MESSAGES} messages in {seconds:.1f} s, {before / MIB:.0f} MiB before,"
        f" {peak / MIB:.0f} MiB at most ({peak / BOUND:.2f} of the bound); pair: {_shown(found)}"
    )


def ordinary(broker: brokers.Broker, core: int, load_core: int, seconds: float) -> str:
    """The figures of one broker with ordinary clients, without and with one that floods."""
    program = load.build(_CACHE)
    options = f"publishers={PAIRS} subscribers={PAIRS} topics={PAIRS} rate={PAIRS} size=64"
    parts = []
    with (
        launching.running(limited(broker, rate=True), core) as running,
        load.running(program, load_core, "traffic", options, running.port) as pairs,
    ):
        pairs.run(1.0)
        for beside in ("nothing", "QoS 0, one topic", "QoS 0, many topics"):
            flooder = multiprocessing.Process(
                target=flood, args=(running.port, floods()[beside]), daemon=True
            )
            if beside != "nothing":
                flooder.start()
                time.sleep(0.5)
            figures = pairs.run(seconds)
            if beside != "nothing":
                flooder.kill()
                flooder.join()
            median, p99 = (figures[name] / 1_000 for name in ("p50_us", "p99_us"))
            parts.append(
                f"beside {beside}: {figures['delivered']} messages, median {median:.2f} ms,"
                f" p99 {p99:.2f} ms"
            )
    return "; ".join(parts)


def _shown(found: Sequence[float]) -> str:
    ordered = sorted(delay * 1_000 for delay in found)
    p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return (
        f"{len(ordered)} messages, median {statistics.median(ordered):.2f} ms, p99 {p99:.1f} ms,"
        f" longest {ordered[-1]:.1f} ms"
    )


def main() -> int:
    """Measure each scenario with each broker, and print a line for it."""
    names = ("silent-qos0", "silent-qos1", "limited")
    parser = argparse.ArgumentParser(prog="benchmarks.overload", description=__doc__)
    parser.add_argument("--only", default=",".join(names), help=f"some of {', '.join(names)}")
    parser.add_argument("--brokers", default=f"{brokers.OURS},{brokers.MOSQUITTO}")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each part of `limited`")
    options = parser.parse_args()
    cores = processes.choose_cores()
    if cores is None:
        print("Two cores are needed.", file=sys.stderr)
        return 2
    os.sched_setaffinity(0, {cores[1]})
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for scenario in options.only.split(","):
        for name in options.brokers.split(","):
            broker = brokers.find(name, _CACHE)
            if scenario == "limited":
                figures = ordinary(broker, cores[0], cores[1], options.seconds)
            else:
                figures = silent(broker, cores[0], int(scenario[-1]))
            load_average = os.getloadavg()[0]
            print(f"{scenario}, {name} (load {load_average:.1f}): {figures}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
