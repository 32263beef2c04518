"""What a broker keeps of a flood to look back, and what that costs those whom it does not concern.

    python -m benchmarks.history [MESSAGES A SECOND] [SECONDS]

One publisher sends messages of 64 bytes at QoS 0 to one subscriber, to one topic and then over 100
in turn, to a broker that keeps all of them. Then the broker is killed as by kill -9: what stands in
its file is what it kept, and it says itself what it lost.
"""

import sqlite3
import sys
import time
from contextlib import closing

from benchmarks import brokers, launching, load, processes
from benchmarks.__main__ import default_cache
from benchmarks.figures import WARM_UP
from benchmarks.launching import Running
from trio_mqtt import sync

_LOADS = {
    "one topic": "publishers=1 subscribers=1",
    "100 topics in turn": "publishers=1 subscribers=1 alternate=100 filter=bench/+",
}
_WRITTEN = 3.0  # seconds after which all is written that could be


def main(rate: int, seconds: float) -> None:
    """Measure it, and print a line for each figure."""
    cache = default_cache().resolve()
    program = load.build(cache)
    cores = processes.choose_cores()
    if cores is None:
        sys.exit("Two cores are needed: one for the broker, one for the load.")
    for words, options in _LOADS.items():
        print(f"{rate:,} messages a second of 64 bytes, {words}, for {seconds:g} s")
        costs = []
        for name in (brokers.OURS, brokers.OURS_WITH_HISTORY):
            with (
                launching.running(brokers.find(name, cache), cores[0]) as broker,
                load.running(
                    program, cores[1], "traffic", f"{options} rate={rate}", broker.port
                ) as traffic,
            ):
                traffic.run(WARM_UP)
                before = processes.cpu_seconds(broker.pid)
                told = traffic.run(seconds)
                if name == brokers.OURS_WITH_HISTORY:
                    time.sleep(_WRITTEN)
                taken = processes.cpu_seconds(broker.pid) - before
                costs.append(taken / told["published"] * 1e6)
                _tell(name, f"{costs[-1]:.2f} µs each, {told['published']:,} published")
                if name == brokers.OURS_WITH_HISTORY:
                    _tell_what_is_kept(broker)


def _tell_what_is_kept(broker: Running) -> None:
    said = _figures(broker.port)
    broker.process.kill()
    broker.process.wait()
    path = broker.output.parent / "history.sqlite3"
    size = sum(one.stat().st_size for one in path.parent.glob("history.sqlite3*"))
    with closing(sqlite3.connect(path)) as file:
        sound = file.execute("PRAGMA integrity_check").fetchone()[0]
        kept, rows = file.execute("SELECT sum(count), count(*) FROM chunks").fetchone()
    _tell("kept", f"{kept:,} messages in {rows:,} rows, {size / kept:.1f} bytes each; {sound}")
    _tell("said to be kept, lost", f"{said['kept']:,}, {said['lost']:,}")


def _figures(port: int) -> dict[str, int]:
    with (
        sync.open_client(f"mqtt://127.0.0.1:{port}") as client,
        client.subscribe("$SYS/broker/history/messages/+") as messages,
    ):
        told = [next(iter(messages)) for _ in range(2)]
    return {one.topic.rpartition("/")[2]: int(one.payload) for one in told}


def _tell(what: str, how_much: str) -> None:
    print(f"  {what:22} {how_much}", flush=True)


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else 100_000, float(given[1]) if len(given) > 1 else 10.0)
