"""The command line of the comparison, `python -m benchmarks`."""

import argparse
import os
import platform
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import brokers, cluster_report, clustered, growth, load, plots, processes, report
from benchmarks.compare import compare
from benchmarks.figures import Bench, Result
from benchmarks.scenarios import SCENARIOS, Scenario

_NAMES = (
    brokers.MOSQUITTO,
    brokers.AEDES,
    brokers.OURS,
    brokers.OURS_WITH_SCREEN,
    brokers.OURS_WITH_RULES,
    *brokers.DURABLE,
)
_ON_REQUEST = (
    brokers.MOSQUITTO_WITHOUT_DELAY,
    brokers.OURS_WITH_METRICS,
    brokers.OURS_WITH_HISTORY,
    brokers.OURS_WITH_OTHER_HISTORY,
    brokers.OURS_COMPILED,
)
_SECONDS = 2.0  # of traffic in a round
_DRAWN = (brokers.OURS, brokers.MOSQUITTO, brokers.AEDES)
_DRAWN_SECONDS = 0.3
_USAGE_ERROR = 2
_INTERRUPTED = 130


def main() -> int:
    """Measure what the command line asks for; the status says whether requirements were met."""
    options = _parse()
    console = Console()
    cores = processes.choose_cores()
    if cores is None:
        print("Two cores are needed: one for the broker, one for the load.", file=sys.stderr)
        return _USAGE_ERROR
    _raise_open_files_limit()
    cache = options.cache.resolve()
    try:
        program = load.build(cache)
    except load.LoadError as error:
        print(error, file=sys.stderr)
        return _USAGE_ERROR
    contenders = []
    for name in [brokers.OURS] if options.cluster else options.brokers:
        try:
            contenders.append(brokers.find(name, cache))
        except brokers.Unavailable as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    if not contenders:
        return _USAGE_ERROR
    # What draws the screen's far end, and this program, stay away from the broker's core.
    os.sched_setaffinity(0, {cores[1]})
    bench = Bench(program, *cores, rounds=options.rounds, seconds=options.seconds)
    about = _about(bench, contenders)
    console.print(_introduction(about), highlight=False, soft_wrap=True)
    # Ending as by Ctrl-C ends the brokers too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    strangers = processes.Strangers(cores)
    results: list[Result] = []
    try:
        if options.plots:
            measured = growth.measure(bench, options.sweeps, contenders)
            _draw(options.plots, _introduction(about), measured)
            return 0
        if options.cluster:
            missed = _measure_cluster(bench, options)
            return int(options.require and missed)
        for result in compare(bench, options.only, contenders):
            report.show(console, result)
            results.append(result)
            if options.json:
                report.write(options.json, about, results)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return _INTERRUPTED
    share = strangers.share()
    console.print(f"Meanwhile other programs took {share:.0%} of these two cores.", highlight=False)
    return _verdict(options.only, results) if options.require else 0


def _measure_cluster(bench: Bench, options: argparse.Namespace) -> bool:
    """Measure clusters, and print each row; whether a requirement was missed."""
    missed = False
    for several in clustered.measure(bench, options.cluster, aof=options.aof):
        for line in cluster_report.lines(several):
            print(line, flush=True)
            missed = missed or line.startswith("missed")
    return missed


def _draw(folder: Path, about: str, measured: Iterable[growth.Growth]) -> None:
    for one in measured:
        plots.keep(folder, about, one)
        print(f"{one.sweep.name}: {plots.in_words(one)}", flush=True)
    plots.write_page(folder)
    print(f"The pictures are in {folder / plots.PAGE}.")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks", description="Compare MQTT brokers side by side on this machine."
    )
    parser.add_argument(
        "--only",
        type=_scenarios,
        default=SCENARIOS,
        metavar="SCENARIO,...",
        help="measure these: " + ", ".join(scenario.name for scenario in SCENARIOS),
    )
    parser.add_argument(
        "--brokers",
        type=_broker_names,
        metavar="BROKER,...",
        help=f"measure these: {', '.join(_NAMES)}; on request only: {', '.join(_ON_REQUEST)}",
    )
    parser.add_argument(
        "--cluster",
        type=_cluster_rows,
        nargs="?",
        const=clustered.ROWS,
        metavar="ROW,...",
        help="instead of scenarios, measure clusters of 1, 2 and 3 nodes: "
        + ", ".join(row.name for row in clustered.ROWS),
    )
    parser.add_argument(
        "--aof", action="store_true", help="with --cluster: the engine syncs each write to its disk"
    )
    parser.add_argument(
        "--plots",
        type=Path,
        nargs="?",
        const=Path("docs"),
        metavar="FOLDER",
        help="instead of scenarios, measure how the cost of a message grows, and draw it there"
        f" (default: docs); by itself of {', '.join(_DRAWN)}, for {_DRAWN_SECONDS:g} s each time",
    )
    parser.add_argument(
        "--sweeps",
        type=_sweeps,
        default=growth.SWEEPS,
        metavar="SWEEP,...",
        help="with --plots: measure these alone, and draw the others as they were: "
        + ", ".join(sweep.name for sweep in growth.SWEEPS)
        + "; none draws all anew",
    )
    parser.add_argument("--rounds", type=_positive(int), default=5, metavar="N", help="default: 5")
    parser.add_argument(
        "--seconds",
        type=_positive(float),
        metavar="S",
        help=f"of traffic in each round (default: {_SECONDS:g})",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument(
        "--require", action="store_true", help="end with status 1 if a requirement is missed"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=default_cache(),
        metavar="FOLDER",
        help="where the load generator and aedes are kept (default: %(default)s)",
    )
    options = parser.parse_args()
    if options.plots:
        options.rounds = growth.RUNS
    if options.brokers is None:
        options.brokers = _DRAWN if options.plots else _NAMES
    if options.seconds is None:
        options.seconds = _DRAWN_SECONDS if options.plots else _SECONDS
    return options


def _scenarios(text: str) -> list[Scenario]:
    known = {scenario.name: scenario for scenario in SCENARIOS}
    return [known[name] for name in _chosen(text, list(known))]


def _sweeps(text: str) -> list[growth.Sweep]:
    known = {sweep.name: sweep for sweep in growth.SWEEPS}
    return [] if text == "none" else [known[name] for name in _chosen(text, list(known))]


def _cluster_rows(text: str) -> list[clustered.Row]:
    known = {row.name: row for row in clustered.ROWS}
    return [known[name] for name in _chosen(text, list(known))]


def _broker_names(text: str) -> list[str]:
    return _chosen(text, _NAMES + _ON_REQUEST)


def _chosen(text: str, known: Sequence[str]) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"there is no {name!r}; there are {', '.join(known)}")
    return names


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = kind(text)
        if value <= 0:
            raise ValueError
        return value

    return number


def default_cache() -> Path:
    """Where the load generator and aedes are kept, unless another folder is named."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "trio-mqtt-benchmarks"


def _raise_open_files_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _about(bench: Bench, contenders: Sequence[brokers.Broker]) -> dict[str, Any]:
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "broker_core": bench.broker_core,
        "load_core": bench.load_core,
        "rounds": bench.rounds,
        "seconds": bench.seconds,
        "versions": {broker.name: broker.version for broker in contenders},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _introduction(about: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"{versions}\n"
        f"{about['processor']}, {about['cores']} cores, Linux {about['kernel']}; brokers pinned to "
        f"core {about['broker_core']}, load to core {about['load_core']}; "
        f"medians of {about['rounds']} rounds of {about['seconds']:g} s each"
    )


def _verdict(scenarios: Sequence[Scenario], results: Sequence[Result]) -> int:
    rows = {(result.scenario.name, row.broker): row for result in results for row in result.rows}
    missed = []
    for scenario in scenarios:
        demanded = [brokers.OURS] if scenario.cpu_ratio is not None else []
        demanded += [brokers.OURS_WITH_SCREEN] if scenario.screen else []
        demanded += [brokers.OURS_WITH_RULES] if scenario.rules else []
        demanded += [brokers.OURS_FSYNC] if scenario.durable not in (None, "restart") else []
        for name in demanded:
            row = rows.get((scenario.name, name))
            if row is None or not row.passed:
                missed.append(f"{name} in {scenario.name}")
    if missed:
        print(f"Requirements missed, or not shown to be met: {', '.join(missed)}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
