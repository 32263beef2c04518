"""How the cost of a message grows: measured over what there may be more and more of."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks import brokers, launching, load, processes
from benchmarks.brokers import Broker
from benchmarks.figures import WARM_UP, Bench

FLOOD = 0  # the rate of as many messages as there can be
RUNS = 3  # on the same connections, of which the median counts
_WARM_UPS = 40  # at most, for what has to come first


@dataclass(frozen=True, slots=True)
class Sweep:
    """What grows, and the load for each size of it, in the options of load.c."""

    name: str
    title: str
    grows: str  # what the sizes count
    sizes: Sequence[int]
    options: Callable[[int], str]
    least: float = 0.0  # seconds of each run at least
    in_bytes: bool = False  # the sizes are bytes
    first: Callable[[int], int] = lambda _: 0  # messages for a size before one counts


def _fan_out(subscribers: int) -> str:
    # A publisher must not be further ahead than the subscribers' sockets hold, and what is on its
    # way in the end is to be delivered in less time than it was published for.
    ahead = max(4, 40_000 // subscribers)
    return f"publishers=1 subscribers={subscribers} window=16 ahead={ahead}"


def _pairs(connections: int) -> str:
    pairs = connections // 2
    return f"publishers={pairs} subscribers={pairs} topics={pairs}"


def _payload(size: int) -> str:
    window = max(1, min(64, 262_144 // size))
    return f"publishers=1 subscribers=1 size={size} window={window} ahead={window * 50}"


def _rate(rate: int) -> str:
    return f"publishers=1 subscribers=1 rate={rate}"


SWEEPS = (
    Sweep(
        "fan-out",
        "One publisher to more and more subscribers, QoS 0, 64 bytes",
        "subscribers",
        (1, 10, 100, 1_000, 10_000),
        _fan_out,
    ),
    Sweep(
        "connections",
        "More and more connections, half of which publish to the other half in pairs, QoS 0,"
        " 64 bytes",
        "connections",
        (2, 20, 200, 2_000, 10_000),
        _pairs,
    ),
    Sweep(
        "payload",
        "One publisher to one subscriber, QoS 0, larger and larger payloads",
        "payload",
        (16, 256, 4_096, 65_536, 1_048_576),
        _payload,
        in_bytes=True,
    ),
    Sweep(
        "topics",
        "One publisher to one subscriber of all topics, QoS 0, 64 bytes, over more and more topics"
        " in turn, each of which came before",
        "topics",
        (1, 10, 100, 1_000, 10_000, 100_000),
        lambda topics: f"publishers=1 subscribers=1 filter=bench/+ alternate={topics}",
        first=lambda topics: topics,
    ),
    Sweep(
        "rate",
        "One publisher to one subscriber, QoS 0, 64 bytes, more and more messages a second",
        "messages a second",
        (10, 100, 1_000, 10_000, FLOOD),
        _rate,
        least=1.0,
    ),
    Sweep(
        "filters",
        "One publisher to one subscriber, QoS 0, 64 bytes, over 100 topics in turn, beside more and"
        " more filters of others",
        "other filters",
        (1, 10, 100, 1_000, 10_000, 100_000),
        lambda filters: (
            f"publishers=1 subscribers=1 filter=bench/+ alternate=100 filters={filters}"
        ),
    ),
)

# The broker's processor time for each delivery, in µs, by broker and then in the order of the
# sizes; None where it could not be measured.
Curves = dict[str, list[float | None]]


@dataclass(frozen=True, slots=True)
class Growth:
    """What one sweep has shown."""

    sweep: Sweep
    curves: Curves
    disturbance: float  # the share of both cores that other programs took meanwhile


def measure(
    bench: Bench, sweeps: Sequence[Sweep], contenders: Sequence[Broker]
) -> Iterator[Growth]:
    """Measure one sweep after the other; each comes as soon as it is there."""
    for sweep in sweeps:
        strangers = processes.Strangers((bench.broker_core, bench.load_core))
        curves = {broker.name: _curve(bench, sweep, broker) for broker in contenders}
        yield Growth(sweep, curves, strangers.share())


def _curve(bench: Bench, sweep: Sweep, broker: Broker) -> list[float | None]:
    """One broker's costs, of one process unless a size was too much for it."""
    costs: list[float | None] = []
    while len(costs) < len(sweep.sizes):
        try:
            with launching.running(broker, bench.broker_core) as running:
                for size in sweep.sizes[len(costs) :]:
                    costs.append(_cost(bench, sweep, size, running))
        except (load.LoadError, brokers.Unavailable) as error:
            size = sweep.sizes[len(costs)]
            print(f"{broker.name} with {size} {sweep.grows}: {error}", file=sys.stderr)
            costs.append(None)
    return costs


def _cost(bench: Bench, sweep: Sweep, size: int, running: launching.Running) -> float:
    with load.running(
        bench.load_program, bench.load_core, "traffic", sweep.options(size), running.port
    ) as traffic:
        came = 0
        for _ in range(_WARM_UPS):
            came += traffic.run(WARM_UP)["published"]
            if came >= sweep.first(size):
                break
        return statistics.median(
            _run(traffic, running, max(bench.seconds, sweep.least)) for _ in range(RUNS)
        )


def _run(traffic: load.Load, running: launching.Running, seconds: float) -> float:
    before = processes.cpu_seconds(running.pid)
    told = traffic.run(seconds)
    taken = processes.cpu_seconds(running.pid) - before
    if not told["delivered"]:
        raise load.LoadError("nothing was delivered")
    return float(taken / told["delivered"] * 1e6)
