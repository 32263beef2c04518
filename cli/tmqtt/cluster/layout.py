"""The state of a cluster as lines: a table of its nodes, and what there is of it as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from tmqtt.terminal import looks
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.figures import counted, latency, rate
from tmqtt.terminal.looks import Line
from trio_mqtt.administration import ClusterStatus, NodeStatus

_HEADS = ("Node", "State", "Up", "Clients", "Sessions", "In/s", "Out/s", "Lag", "Reached at")
_LEFT = {"Node", "State", "Reached at"}  # the others are figures
_GAP = "  "
_UNKNOWN = "-"


def lines_of(status: ClusterStatus) -> list[Line]:
    """All there is to say, whatever room there is."""
    title = (
        (f"Cluster {escape(status.name)}", looks.STRONG),
        (f" at {escape(status.engine)}: {counted(len(status.nodes), 'node')}", looks.PLAIN),
    )
    names = Counter(node.name for node in status.nodes)
    rows = [_HEADS, *(_cells(node, is_alone=names[node.name] == 1) for node in status.nodes)]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    table: list[Line] = []
    for number, row in enumerate(rows):
        look = looks.NOTE if number == 0 else looks.PLAIN
        cells = [
            cell_text(cell, width, left=head in _LEFT)
            for cell, width, head in zip(row, widths, _HEADS, strict=True)
        ]
        table.append(((_GAP.join(cells).rstrip(), look),))
    return [title, *(table if status.nodes else []), ((_whole(status), looks.NOTE),)]


def frame(status: ClusterStatus, hint: str, width: int, height: int) -> Sequence[Line]:
    """What fits a screen, with a last line that says how to end it."""
    del width  # what is too wide is cut
    lines = lines_of(status)
    kept = lines[: max(height - 1, 0)]
    return [*kept, *([()] * (height - 1 - len(kept))), ((escape(hint), looks.NOTE),)]


def cell_text(text: str, width: int, *, left: bool) -> str:
    """A cell of so many columns: words begin where it does, figures end where it ends."""
    return set_cell_size(text, width) if left else " " * (width - cell_len(text)) + text


def _cells(node: NodeStatus, *, is_alone: bool) -> tuple[str, ...]:
    """What is said of a node; where several have its name, its identifier tells it from them."""
    return (
        escape(node.name if is_alone else node.node),
        escape(node.state),
        _duration(node.up),
        _count(node.clients),
        _count(node.sessions),
        _UNKNOWN if node.received is None else rate(node.received),
        _UNKNOWN if node.sent is None else rate(node.sent),
        _UNKNOWN if node.lag is None else latency(node.lag),
        escape(node.server_reference) or _UNKNOWN,
    )


def _count(number: int | None) -> str:
    return _UNKNOWN if number is None else f"{number:,}"


def _duration(seconds: float) -> str:
    """How long, in its two largest units: `12 s`, `3 min 5 s`, `2 h 40 min`, `9 d 3 h`."""
    whole = int(seconds)
    for unit, size, below, part in (
        ("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1),
    ):  # fmt: skip
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s"


def _whole(status: ClusterStatus) -> str:
    if not status.nodes:
        return "No node is alive: `tmqtt broker --cluster URL` is one."
    return (
        f"In the engine: {counted(status.sessions_away, 'session')} away,"
        f" {counted(status.durable_filters, 'log')},"
        f" {counted(status.retained, 'retained message')}."
    )
