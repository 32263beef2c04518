"""The command line of the comparison of clients, `python -m benchmarks.clients`."""

import argparse
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import brokers, launching, processes
from benchmarks.clients.program import CLIENTS, END, PAYLOAD, TOPIC, WINDOW

TASKS = {
    "publish-qos0": "publish at QoS 0, one after the other",
    "publish-qos1": f"publish at QoS 1, {WINDOW} at a time",
    "batch-qos1": "publish at QoS 1, in a batch",
    "receive": "receive at QoS 0",
}
OURS = [name for name in CLIENTS if name.startswith("trio-mqtt")]
OTHERS = [name for name in CLIENTS if name not in OURS]
# What each client imports, and what a process costs before it does.
IMPORTS = {
    "trio-mqtt on asyncio": "import trio_mqtt; trio_mqtt.open_client",
    "trio-mqtt on Trio": "import trio, trio_mqtt; trio_mqtt.open_client",
    "paho-mqtt": "import paho.mqtt.client",
    "gmqtt": "import gmqtt",
    "aiomqtt": "import aiomqtt",
}
# Messages that wait at the broker for a client that is to receive: it alone sets the pace then, as
# a broker takes longer to take a message in than to send it on.
_WAITING = 200_000
_CHUNK = 400
_LIMIT = 60.0  # seconds for one program, above what it is to take


def main() -> int:
    """Measure what the command line asks for; the status says whether we are ahead."""
    options = _parse()
    cores = processes.choose_cores()
    if cores is None:
        print("Two cores are needed: one for the broker, one for the client.", file=sys.stderr)
        return 2
    try:
        broker = brokers.find(brokers.MOSQUITTO, Path())
    except brokers.Unavailable as error:
        print(error, file=sys.stderr)
        return 2
    print(
        f"Mosquitto {broker.version}; Python {platform.python_version()}; medians of"
        f" {options.rounds} rounds of {options.seconds:g} s; {len(PAYLOAD)} bytes"
    )
    os.sched_setaffinity(0, {cores[0]})
    results: dict[str, dict[str, list[dict[str, float]]]] = {
        task: {name: [] for name in _clients_for(task)} for task in options.tasks
    }
    with launching.running(broker, cores[0]) as running:
        for _ in range(options.rounds):
            for task, rows in results.items():
                for name, figures in rows.items():
                    figures.append(_run(name, task, running.port, options.seconds, cores[1]))
    console = Console()
    behind = [sentence for task in results for sentence in _show(console, task, results[task])]
    _show_imports(console, options.rounds, cores[1])
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    for sentence in behind:
        print(sentence, file=sys.stderr)
    return 1 if behind and options.require else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks.clients",
        description="Compare MQTT clients for Python side by side, against Mosquitto.",
    )
    parser.add_argument(
        "--only",
        dest="tasks",
        type=_tasks,
        default=list(TASKS),
        metavar="TASK,...",
        help=f"measure these: {', '.join(TASKS)}",
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument(
        "--seconds", type=float, default=2.0, metavar="S", help="of traffic in each (default: 2)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument(
        "--require", action="store_true", help="end with status 1 where another client is ahead"
    )
    return parser.parse_args()


def _tasks(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in TASKS:
            raise argparse.ArgumentTypeError(f"there is no {name!r}; there are {', '.join(TASKS)}")
    return names


def _clients_for(task: str) -> list[str]:
    # Of the others, publishing at QoS 1 is measured in their fastest way already.
    return OURS if task == "batch-qos1" else list(CLIENTS)


def _run(name: str, task: str, port: int, seconds: float, core: int) -> dict[str, float]:
    program = [sys.executable, "-m", "benchmarks.clients.program"]
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *program, name, task, str(port), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(seconds * 4 + _LIMIT, process.kill)
    watchdog.start()
    try:
        if process.stdout is None:
            raise AssertionError("there is a pipe")
        line = process.stdout.readline()
        if line == "ready\n":
            process.send_signal(signal.SIGSTOP)
            _send(port)
            process.send_signal(signal.SIGCONT)
            line = process.stdout.readline()
        if process.wait() or not line:
            raise SystemExit(f"{name} failed at {task}.")
        figures: dict[str, float] = json.loads(line)
        return figures
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()


def _send(port: int) -> None:
    """Have the broker hold messages for the client that has subscribed, which is stopped."""
    name = TOPIC.encode()

    def packet(payload: bytes) -> bytes:
        body = len(name).to_bytes(2, "big") + name + payload
        return bytes((0x30, len(body))) + body

    chunk = packet(PAYLOAD) * _CHUNK
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"\x10\x0c\0\4MQTT\4\2\0\0\0\0")  # CONNECT of MQTT 3.1.1
        sock.recv(4)
        for _ in range(_WAITING // _CHUNK):
            sock.sendall(chunk)
        sock.sendall(packet(END) + b"\xc0\0")  # and PINGREQ: the answer says that all is there
        sock.recv(2)


def _show(console: Console, task: str, rows: dict[str, list[dict[str, float]]]) -> list[str]:
    """Show a task's figures; return in which we are behind."""
    medians: dict[str, dict[str, float]] = {
        name: {key: statistics.median(one[key] for one in figures) for key in figures[0]}
        for name, figures in rows.items()
    }
    _table(
        console,
        TASKS[task],
        ("messages/s", "CPU µs each", "memory MiB"),
        {
            name: (f"{row['rate']:,.0f}", f"{row['cpu'] * 1e6:.1f}", f"{row['memory'] / 2**20:.0f}")
            for name, row in medians.items()
        },
    )
    return [
        f"{TASKS[task]}: {other} is ahead of {name}."
        for name in OURS
        for other in OTHERS
        if other in medians and medians[other]["rate"] >= medians[name]["rate"]
    ]


def _show_imports(console: Console, rounds: int, core: int) -> None:
    nothing = _start_time("pass", rounds, core)
    _table(
        console,
        "import",
        ("ms",),
        {
            name: (f"{(_start_time(program, rounds, core) - nothing) * 1e3:.0f}",)
            for name, program in IMPORTS.items()
        },
    )


def _start_time(program: str, rounds: int, core: int) -> float:
    taken = []
    for _ in range(max(3, rounds)):
        began = time.perf_counter()
        subprocess.run(["taskset", "-c", str(core), sys.executable, "-c", program], check=True)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _table(console: Console, title: str, columns: tuple[str, ...], rows: dict[str, Any]) -> None:
    if not console.is_terminal:
        for name, cells in rows.items():
            said = "  ".join(
                f"{column}: {cell:>9}" for column, cell in zip(columns, cells, strict=True)
            )
            print(f"{title:38}  {name:21}  {said}", flush=True)
        return
    table = Table("client", title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    for name, cells in rows.items():
        table.add_row(name, *cells)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
