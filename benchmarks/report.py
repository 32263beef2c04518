"""Showing results: tables in a terminal, plain lines in a pipe, JSON in a file."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import compress
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.figures import Figures, Result, Row

_TRAFFIC_COLUMNS = (
    "broker",
    "cpu µs",
    "±",
    "rate /s",
    "p50",
    "p99",
    "lost",
    "cpu",
    "rate",
)
_DURABLE_COLUMNS = (
    "broker",
    "cpu µs",
    "±",
    "rate /s",
    "p50",
    "p99",
    "p50 quiet",
    "p99 quiet",
    "fsync",
    "served in",
    "lost",
    "on disk",
    "cpu",
    "rate",
)
_IDLE_COLUMNS = (
    "broker",
    "KiB each",
    "cpu µs",
    "±",
    "opened /s",
    "memory",
    "cpu",
    "rate",
)


def show(console: Console, result: Result) -> None:
    """Show one scenario's result: a table in a terminal, a line for each broker elsewhere."""
    columns: tuple[str, ...] = _TRAFFIC_COLUMNS
    made = _traffic_cells
    if result.scenario.kind == "idle":
        columns, made = _IDLE_COLUMNS, _idle_cells
    elif result.scenario.durable:
        columns, made = _DURABLE_COLUMNS, _durable_cells
    cells = {row.broker: made(row) for row in result.rows}
    if result.scenario.durable:
        # What this scenario does not measure has no column.
        used = [any(column) for column in zip(*filter(any, cells.values()), strict=True)]
        columns = (columns[0], *compress(columns[1:], used))
        cells = {broker: list(compress(some, used)) for broker, some in cells.items()}
    if console.is_terminal:
        _show_table(console, result, columns, cells)
        return
    for row in result.rows:
        said = [f"{result.scenario.name:19}", f"{row.broker:17}"]
        if row.error:
            said.append(f"error: {row.error}")
        else:
            pairs = zip(columns[1:], cells[row.broker], strict=True)
            said.extend(f"{name}: {cell:>9}" for name, cell in pairs if cell)
            said.extend(filter(None, [_verdict(row)]))
        print("  ".join(said), flush=True)


def _show_table(
    console: Console, result: Result, columns: Sequence[str], cells: dict[str, list[str]]
) -> None:
    title = Text.assemble((result.scenario.name, "bold"), "  ", (result.scenario.title, "dim"))
    table = Table(
        title=title,
        title_justify="left",
        title_style="",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    for row in result.rows:
        if row.error:
            table.add_row(row.broker, "error", style="red")
        else:
            table.add_row(row.broker, *cells[row.broker])
    console.print(table)
    for row in result.rows:
        said = row.error or _verdict(row)
        if said:
            colour = "green" if row.passed and not row.error else "red"
            console.print(Text(f"{row.broker}: {said}", style=colour))
    console.print()


def _traffic_cells(row: Row) -> list[str]:
    median = row.median
    if median is None:
        return [""] * (len(_TRAFFIC_COLUMNS) - 1)
    return [
        f"{median.cpu_us:.2f}",
        _percent(row.spread),
        f"{median.rate:,.0f}",
        _time(median.p50_us),
        _time(median.p99_us),
        _lost(median),
        _ratio(row.cpu_ratio),
        _ratio(row.rate_ratio),
    ]


def _durable_cells(row: Row) -> list[str]:
    median = row.median
    if median is None:
        return [""] * (len(_DURABLE_COLUMNS) - 1)
    disk, seconds = median.bytes_on_disk, median.seconds
    return [
        f"{median.cpu_us:.2f}",
        _percent(row.spread),
        f"{median.rate:,.0f}",
        _time(median.p50_us),
        _time(median.p99_us),
        _time(median.quiet_p50_us),
        _time(median.quiet_p99_us),
        _time(median.fsync_us),
        "" if seconds is None else f"{seconds:.2f} s",
        _lost(median),
        "" if disk is None else f"{disk / 1e6:.1f} MB",
        _ratio(row.cpu_ratio),
        _ratio(row.rate_ratio),
    ]


def _idle_cells(row: Row) -> list[str]:
    median = row.median
    if median is None or median.bytes_per_connection is None:
        return [""] * (len(_IDLE_COLUMNS) - 1)
    return [
        f"{median.bytes_per_connection / 1024:.2f}",
        f"{median.cpu_us:.2f}",
        _percent(row.spread),
        f"{median.rate:,.0f}",
        _ratio(row.memory_ratio),
        _ratio(row.cpu_ratio),
        _ratio(row.rate_ratio),
    ]


def _lost(figures: Figures) -> str:
    return f"{figures.lost:,.0f}" + (f" and {figures.wrong:,.0f} wrong" if figures.wrong else "")


def _time(microseconds: float | None) -> str:
    if microseconds is None:
        return ""
    if microseconds < 1000:
        return f"{microseconds:.0f} µs"
    milliseconds = microseconds / 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"x{value:.2f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _verdict(row: Row) -> str:
    return f"required {row.required}: {'pass' if row.passed else 'FAIL'}" if row.required else ""


def as_json(result: Result) -> dict[str, Any]:
    """A scenario's result with the figures of every round."""
    return {
        "title": result.scenario.title,
        "options": result.scenario.options,
        "brokers": {
            row.broker: asdict(row)
            | {"median": asdict(row.median) if row.median else None, "spread": row.spread}
            for row in result.rows
        },
    }


def write(path: Path, about: dict[str, Any], results: Sequence[Result]) -> None:
    """Write all results, and what they were measured on, to a file."""
    scenarios = {result.scenario.name: as_json(result) for result in results}
    path.write_text(json.dumps(about | {"scenarios": scenarios}, indent=1) + "\n")
