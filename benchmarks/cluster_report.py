"""What was measured of clusters as tables, with what is required of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.clustered import Measured

TIMES_SINGLE = 4.0  # all nodes together, one to one at QoS 0, of what a broker alone takes
PER_CORE = 20_000.0  # messages in and out for each core of the nodes, durable, in pairs
# Of the engine's streams for each message to many durable sessions of one filter: the log, and the
# inbox of the other node, both in the batches that messages come in.
ENTRIES = 2.0
# All that was written there for each, how far sessions are among it, which is said each 0.1 s.
WRITES = 3.0
LOCAL_TIMES = 1.05  # what is for local clients alone, of what it costs without a cluster
P50_US = 2_000.0  # alone, across nodes

_HEADS = (
    *("nodes", "first", "others", "engine", "all nodes", "of alone", "messages/s", "per core"),
    *("entries", "writes", "p50 µs", "p99 µs", "lost", "wrong"),
)


def lines(several: Sequence[Measured]) -> Iterator[str]:
    """A table of one row: µs of the processor for each delivered message."""
    row = several[0].row
    yield f"\n{row.name}: {row.title}"
    yield "| " + " | ".join(_HEADS) + " |"
    yield "|" + "---:|" * len(_HEADS)
    alone = next((one for one in several if one.nodes == 0 and one.rounds), None)
    for one in several:
        if one.error is not None:
            yield f"| {one.nodes or 'alone'} | {one.error} |"
            continue
        count = max(one.nodes, 1)
        others = [one.node(number) for number in range(1, count)]
        ratio = one.all_nodes / alone.all_nodes if alone else None
        cells = (
            str(one.nodes or "alone"),
            f"{one.node(0):.2f}",
            ", ".join(f"{each:.2f}" for each in others) or "-",
            f"{one.median('engine'):.2f}" if one.nodes else "-",
            f"{one.all_nodes:.2f}",
            "-" if ratio is None else f"{ratio:.2f}",
            f"{one.median('rate'):,.0f}",
            f"{one.median('per_core'):,.0f}",
            f"{one.median('entries'):.3f}" if one.nodes else "-",
            f"{one.median('writes'):.3f}" if one.nodes else "-",
            f"{one.median('p50_us'):,.0f}",
            f"{one.median('p99_us'):,.0f}",
            f"{sum(figures.lost for figures in one.rounds):g}",
            f"{sum(figures.wrong for figures in one.rounds):g}",
        )
        yield f"| {' | '.join(cells)} |"
    yield from verdicts(several)


def verdicts(several: Sequence[Measured]) -> Iterator[str]:
    """What is required of a row, and whether two nodes meet it; "missed" begins what is not."""
    row = several[0].row
    by_nodes = {one.nodes: one for one in several if one.rounds and one.error is None}
    alone, two = by_nodes.get(0), by_nodes.get(2)
    if two is None:
        yield f"missed: {row.name} was not measured with two nodes"
        return
    if any(figures.lost or figures.wrong for figures in two.rounds):
        yield f"missed: {row.name} lost messages, or had them repeated or out of order"
    if row.name == "one-to-one-qos0" and alone is not None:
        times = two.all_nodes / alone.all_nodes
        yield _verdict(times <= TIMES_SINGLE, f"all nodes x{times:.2f}, at most x{TIMES_SINGLE:g}")
    elif row.name == "durable-pairs-200":
        core = two.median("per_core")
        yield _verdict(core >= PER_CORE, f"{core:,.0f} messages/s a core, at least {PER_CORE:,.0f}")
    elif row.name == "durable-fan-out-1000":
        entries = two.median("entries")
        yield _verdict(entries <= ENTRIES, f"{entries:.3f} entries a message, at most {ENTRIES:g}")
        writes = two.median("writes")
        yield _verdict(writes <= WRITES, f"{writes:.3f} writes a message, at most {WRITES:g}")
    elif row.local and alone is not None:
        # Other nodes do something by themselves, few times a second.
        times = two.node(0) / alone.all_nodes
        yield _verdict(times <= LOCAL_TIMES, f"x{times:.3f} of alone, at most x{LOCAL_TIMES:g}")
    elif row.name == "latency":
        p50 = two.median("p50_us")
        yield _verdict(p50 <= P50_US, f"p50 {p50:,.0f} µs, at most {P50_US:,.0f}")


def _verdict(is_met: bool, words: str) -> str:
    return f"{'met' if is_met else 'missed'}: {words}"
