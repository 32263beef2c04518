"""What a message costs the nodes of a cluster and their engine: `python -m benchmarks --cluster`.

Publishers are clients of the first node, subscribers of the others by turns; with one node of the
same. The engine is a redis-server on a Unix socket that writes to no disk (`--aof` has it write
each answer's promise first). Nodes and engine share a core, the load has the other: what counts is
the processor time of each, for each delivered message.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import brokers, launching, load, processes
from benchmarks.figures import WARM_UP, Bench
from benchmarks.launching import Running

_START_LIMIT = 20.0  # seconds
_ENGINE = ("--port", "0", "--save", "", "--maxmemory-policy", "noeviction")
_AOF = ("--appendonly", "yes", "--appendfsync", "always")


@dataclass(frozen=True, slots=True)
class Row:
    """One load. `options` are those of load.c; `local`: subscribers are at the publishers' node."""

    name: str
    title: str
    options: str
    local: bool = False
    least: float = 0.0  # seconds of a run, at least


ROWS = (
    Row(
        "one-to-one-qos0",
        "1 publisher to 1 subscriber, QoS 0, 64 bytes",
        "publishers=1 subscribers=1",
    ),
    Row(
        "pairs-200-qos0",
        "200 publishers to 200 subscribers in pairs, QoS 0, 64 bytes",
        "publishers=200 subscribers=200 topics=200",
    ),
    Row(
        "one-to-one-qos1",
        "1 publisher to 1 subscriber, QoS 1, window 64, 64 bytes",
        "publishers=1 subscribers=1 qos=1 window=64",
    ),
    Row(
        "local-qos0",
        "the same at one node, where others are",
        "publishers=1 subscribers=1",
        local=True,
    ),
    Row(
        "local-qos1",
        "1 publisher to 1 subscriber at one node, QoS 1, window 64, 64 bytes",
        "publishers=1 subscribers=1 qos=1 window=64",
        local=True,
    ),
    Row(
        "durable-pairs-200",
        "200 publishers to 200 durable sessions in pairs, QoS 1, window 64, 64 bytes",
        "publishers=200 subscribers=200 topics=200 durable=1 qos=1 window=64",
    ),
    Row(
        "durable-pairs-200-alone",
        "200 publishers to 200 durable sessions in pairs, QoS 1, one message at a time, 64 bytes",
        "publishers=200 subscribers=200 topics=200 durable=1 qos=1 window=1",
    ),
    Row(
        "durable-fan-out-1000",
        "1 publisher to 1000 durable sessions of one filter, QoS 1, window 16, 64 bytes",
        "publishers=1 subscribers=1000 durable=1 qos=1 window=16 ahead=100",
    ),
    Row(
        "latency",
        "1 publisher to 1 subscriber, QoS 0, 64 bytes, 100 messages a second",
        "publishers=1 subscribers=1 rate=100",
        least=4.0,
    ),
    Row(
        "latency-durable",
        "1 publisher to 1 durable session, QoS 1, 64 bytes, 100 messages a second",
        "publishers=1 subscribers=1 durable=1 qos=1 rate=100",
        least=4.0,
    ),
)
NODES = (1, 2, 3)


@dataclass(slots=True)
class Figures:
    """One round: processor time in µs for each delivered message, of each node and the engine."""

    nodes: list[float]
    engine: float
    rate: float  # deliveries a second
    per_core: float  # messages in and out, for each second of the nodes' processor time
    entries: float  # written to streams of the engine for each published message
    writes: float  # to the engine for each, how far durable sessions are among them
    p50_us: float
    p99_us: float
    lost: float
    wrong: float


@dataclass(slots=True)
class Measured:
    """All rounds of one row with so many nodes; 0 is a broker that is in no cluster."""

    row: Row
    nodes: int
    rounds: list[Figures] = field(default_factory=list)
    error: str | None = None

    def median(self, name: str) -> float:
        return statistics.median(float(getattr(figures, name)) for figures in self.rounds)

    def node(self, number: int) -> float:
        return statistics.median(figures.nodes[number] for figures in self.rounds)

    @property
    def all_nodes(self) -> float:
        return statistics.median(sum(figures.nodes) for figures in self.rounds)


def measure(bench: Bench, rows: Sequence[Row], *, aof: bool) -> Iterator[list[Measured]]:
    """Each row with a broker alone, and with clusters of 1, 2 and 3 nodes, round by round."""
    for row in rows:
        found = {count: Measured(row, count) for count in (0, *NODES)}
        for number in range(bench.rounds):
            # There and back again, so that a machine that drifts favours nobody.
            for count in sorted(found, reverse=number % 2 == 1):
                measured = found[count]
                if measured.error is None:
                    try:
                        measured.rounds.append(_round(bench, row, count, aof=aof))
                    except (load.LoadError, brokers.Unavailable) as error:
                        measured.error = str(error)
        yield list(found.values())


def _round(bench: Bench, row: Row, count: int, *, aof: bool) -> Figures:
    with _cluster(bench, count, aof=aof) as (nodes, engine):
        return _traffic(bench, row, nodes, engine)


def _traffic(bench: Bench, row: Row, nodes: list[Running], engine: Engine | None) -> Figures:
    options = row.options
    others = nodes[1:]
    if others and not row.local:
        options += f" subscribe_at={','.join(str(node.port) for node in others)}"
    pids = [node.pid for node in nodes] + ([] if engine is None else [engine.pid])
    program, core = bench.load_program, bench.load_core
    with load.running(program, core, "traffic", options, nodes[0].port) as traffic:
        traffic.run(WARM_UP)
        commands = {} if engine is None else engine.commands()
        before = [processes.cpu_seconds(pid) for pid in pids]
        told = traffic.run(max(bench.seconds, row.least))
        taken = [
            processes.cpu_seconds(pid) - began for pid, began in zip(pids, before, strict=True)
        ]
        after = {} if engine is None else engine.commands()
    delivered, published = told["delivered"], told["published"]
    if not delivered:
        raise load.LoadError("nothing was delivered")
    each = [seconds / delivered * 1e6 for seconds in taken]
    return Figures(
        nodes=each[: len(nodes)],
        engine=each[len(nodes)] if engine else 0.0,
        rate=delivered / told["seconds"],
        per_core=(published + delivered) / sum(taken[: len(nodes)]),
        entries=(after.get(b"xadd", 0) - commands.get(b"xadd", 0)) / published,
        writes=(after.get(b"evalsha", 0) - commands.get(b"evalsha", 0)) / published,
        p50_us=told["p50_us"],
        p99_us=told["p99_us"],
        lost=told["expected"] - delivered,
        wrong=told["wrong"],
    )


@dataclass(frozen=True, slots=True)
class Engine:
    """A redis-server at a Unix socket."""

    pid: int
    socket: Path
    client: str

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def ask(self, *command: str) -> bytes:
        asked = subprocess.run(
            [self.client, "-s", str(self.socket), *command], capture_output=True, check=False
        )
        return asked.stdout

    def commands(self) -> dict[bytes, int]:
        """How often it has done each command, those within scripts too."""
        done = {}
        for line in self.ask("info", "commandstats").splitlines():
            name, _, rest = line.removeprefix(b"cmdstat_").partition(b":")
            if rest.startswith(b"calls="):
                done[name] = int(rest.partition(b",")[0].removeprefix(b"calls="))
        return done


@contextmanager
def running_engine(core: int, *, aof: bool) -> Iterator[Engine]:
    """An engine on a core, which has nothing yet; `aof` has it write all to the disk."""
    server, client = shutil.which("redis-server"), shutil.which("redis-cli")
    if server is None or client is None:
        raise brokers.Unavailable("redis-server is not installed (apt install redis-server).")
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        socket = Path(folder) / "engine.sock"
        command = ["taskset", "-c", str(core), server, "--unixsocket", str(socket)]
        process = subprocess.Popen(
            [*command, "--dir", folder, *_ENGINE, *(_AOF if aof else ())],
            stdout=subprocess.DEVNULL,
        )
        engine = Engine(process.pid, socket, client)
        try:
            limit = time.monotonic() + _START_LIMIT
            while not engine.ask("ping").startswith(b"PONG"):
                if process.poll() is not None or time.monotonic() > limit:
                    raise brokers.Unavailable("redis-server did not start.")
                time.sleep(0.02)
            yield engine
        finally:
            process.terminate()
            process.wait()


@contextmanager
def _cluster(
    bench: Bench, count: int, *, aof: bool
) -> Iterator[tuple[list[Running], Engine | None]]:
    """So many nodes and their engine on the brokers' core; for none a broker alone."""
    ours = brokers.find(brokers.OURS, Path())
    core = bench.broker_core
    with ExitStack() as stack:
        if not count:
            alone = stack.enter_context(launching.running(ours, core))
            alone.wait_until_answering()
            yield [alone], None
            return
        engine = stack.enter_context(running_engine(core, aof=aof))
        nodes = []
        for number in range(count):
            node = stack.enter_context(launching.running(_node(ours, engine, number), core))
            node.wait_until_answering()
            nodes.append(node)
        yield nodes, engine


def _node(ours: brokers.Broker, engine: Engine, number: int) -> brokers.Broker:
    alone = ours.command

    def command(port: int, folder: Path, transport: str) -> list[str]:
        options = ["--cluster", engine.url, "--node", f"node-{number + 1}"]
        return [*alone(port, folder, transport), *options]

    return replace(ours, name=f"node {number + 1}", command=command)
