"""How long commands take from their start to their end: `python -m benchmarks.startup`.

`tmqtt --help`, and one message to a local broker by `tmqtt pub`, by `mosquitto_pub` and by MQTT.js'
command, in turns; the broker is ours. Of `tmqtt broker` it is the time until it listens. Beside
them is a Python that does nothing. Wall clock and processor time: the limits are for the latter, as
other programs that run disturb it less.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from statistics import median

from benchmarks.processes import cpu_seconds

_BROKER = "tmqtt broker"
_PYTHON = "python -c pass"
# Milliseconds of processor time that the medians are to stay below.
_LIMITS = {"tmqtt --help": 80.0, "tmqtt pub": 150.0, _BROKER: 300.0}


def main() -> int:
    """Measure, print a table; the status says whether the limits were kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="runs of each command (15)")
    parser.add_argument(
        "--mqttjs", metavar="FILE", help="MQTT.js' command: node_modules/mqtt/build/bin/mqtt.js"
    )
    options = parser.parse_args()
    # An installed command is compiled once; without this it would be at each start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    ours = [sys.executable, "-m", "tmqtt"]
    broker = subprocess.Popen(
        [*ours, "broker", "mqtt://127.0.0.1:0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert broker.stdout is not None  # noqa: S101 # asked for above
        url = broker.stdout.readline().split()[-1]
        port = url.rpartition(":")[2]
        commands = {
            _PYTHON: [sys.executable, "-c", "pass"],
            "tmqtt --help": [*ours, "--help"],
            "tmqtt pub": [*ours, "pub", "start", "up", "-b", url],
            "tmqtt pub -q 1": [*ours, "pub", "start", "up", "-q", "1", "-b", url],
        }
        if shutil.which("mosquitto_pub"):
            commands["mosquitto_pub"] = [*["mosquitto_pub", "-t", "start", "-m", "up", "-p"], port]
        if options.mqttjs:
            commands["mqtt pub (MQTT.js)"] = [
                *("node", options.mqttjs, "pub", "-t", "start", "-m", "up", "-p", port)
            ]
        figures = _measure(commands, [*ours, "broker", "mqtt://127.0.0.1:0"], options.rounds)
    finally:
        broker.terminate()
        broker.wait()
    print(f"{'':20}{'median':>10}{'fastest':>10}{'processor':>11}{'x python':>10}")
    bare = median(figures[_PYTHON][1])
    for name, (walls, processor) in figures.items():
        print(
            f"{name:20}{median(walls):7.0f} ms{min(walls):7.0f} ms{median(processor):8.0f} ms"
            f"{median(processor) / bare:10.1f}"
        )
    kept = all(median(figures[name][1]) < limit for name, limit in _LIMITS.items())
    limits = ", ".join(f"{name} below {limit:g} ms" for name, limit in _LIMITS.items())
    print(f"{limits}: {_yes(kept)}")
    return 0 if kept else 1


def _measure(
    commands: dict[str, list[str]], broker: list[str], rounds: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Milliseconds by the wall's clock and of the processor, for each command and round."""
    figures: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in (*commands, _BROKER)
    }
    for number in range(rounds + 1):
        for name in figures:
            took, processor = _begin(broker) if name == _BROKER else _run(commands[name])
            if number:  # the first fills the caches
                figures[name][0].append(took * 1000)
                figures[name][1].append(processor * 1000)
    return figures


def _run(command: list[str]) -> tuple[float, float]:
    """Seconds until a command has ended, and of the processor."""
    before = _processor_time()
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return time.perf_counter() - began, _processor_time() - before


def _begin(command: list[str]) -> tuple[float, float]:
    """Seconds until a broker says that it listens, and of the processor until then."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as broker:
        assert broker.stdout is not None  # noqa: S101 # asked for above
        broker.stdout.readline()
        took = time.perf_counter() - began
        processor = cpu_seconds(broker.pid)
        broker.terminate()
    return took, processor


def _processor_time() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _yes(kept: bool) -> str:
    return "yes" if kept else f"no (load average {os.getloadavg()[0]:.1f})"


if __name__ == "__main__":
    sys.exit(main())
