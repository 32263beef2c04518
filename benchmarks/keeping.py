"""What many messages cost that a broker keeps: on disk, in memory, and at the next start.

    python -m benchmarks.keeping [MESSAGES] [SESSIONS]

Messages of 100 bytes at QoS 1 are published for durable sessions that are away. Then the broker
is ended as by kill -9, and started again on what it has left; then the sessions' clients come.
At last another is started on a tenth as many retained messages.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

import trio_mqtt
from benchmarks import brokers, launching, load, processes
from benchmarks.__main__ import default_cache
from benchmarks.launching import Running
from trio_mqtt.storage.rows import Changes, RetainedRow

_SIZE = 100
_LIMIT = 600.0  # seconds for all of it to be published


def main(messages: int, sessions: int) -> None:
    """Measure it, and print a line for each figure."""
    cache = default_cache().resolve()
    program = load.build(cache)
    cores = processes.choose_cores()
    if cores is None:
        sys.exit("Two cores are needed: one for the broker, one for the load.")
    options = (
        f"publishers={sessions} subscribers={sessions} topics={sessions} durable=1 away=1 qos=1"
        f" window=64 size={_SIZE} acknowledgements=1 messages={messages} ahead=0"
    )
    with launching.running(brokers.find(brokers.OURS_FSYNC, cache), cores[0]) as broker:
        print(f"{messages:,} messages of {_SIZE} bytes in {sessions} sessions, fsync")
        broker.wait_until_answering()
        empty = processes.resident_bytes(broker.pid)
        with load.running(program, cores[1], "traffic", options, broker.port) as traffic:
            told = traffic.run(_LIMIT)
            _tell("published in", f"{told['seconds']:.1f} s, {told['published']:,} of them")
            _tell_what_they_take(broker, messages, empty)
            with _timed("start after kill -9"):
                broker.kill_and_start()
            _tell_what_they_take(broker, messages, empty)
            came = traffic.collect()
            _tell("collected in", f"{came['seconds']:.1f} s, {came['delivered']:,} of them")
        time.sleep(3)  # what is left over is swept up
        _tell("disk afterwards", f"{broker.bytes_on_disk() / 1e6:.1f} MB")
    with launching.running(brokers.find(brokers.OURS_FSYNC, cache), cores[0]) as broker:
        broker.stop()
        trio.run(_retain, broker.output.parent / "data" / "broker.sqlite3", messages // 10)
        print(f"{messages // 10:,} retained messages of {_SIZE} bytes")
        with _timed("start"):
            broker.start()
        _tell_what_they_take(broker, messages // 10, empty)


async def _retain(path: Path, messages: int) -> None:
    storage = trio_mqtt.SqliteStorage(path)
    await storage.load()
    changes = Changes()
    for number in range(messages):
        topic = f"plant/{number % 100}/device/{number}/state"
        changes.retained[topic] = RetainedRow(topic, bytes(_SIZE), 1, time.time(), b"", None)
    await storage.append(changes)
    await storage.close()


def _tell_what_they_take(broker: Running, messages: int, empty: int) -> None:
    disk, memory = broker.bytes_on_disk(), processes.resident_bytes(broker.pid) - empty
    _tell("disk", f"{disk / 1e6:.1f} MB, {disk / messages:.0f} bytes each")
    _tell("memory", f"{memory / 1e6:.1f} MB, {memory / messages:.0f} bytes each")


@contextmanager
def _timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    _tell(what, f"{time.monotonic() - began:.2f} s")


def _tell(what: str, how_much: str) -> None:
    print(f"  {what:20} {how_much}", flush=True)


if __name__ == "__main__":
    sizes = [*map(int, sys.argv[1:]), *(1_000_000, 20)[len(sys.argv) - 1 :]]
    main(sizes[0], sizes[1])
