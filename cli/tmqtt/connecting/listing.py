"""Answers of a broker as tables for people, and as JSON for programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size

from tmqtt.terminal import looks
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.figures import counted
from tmqtt.terminal.looks import Line, Painter, plain
from tmqtt.terminal.terminal import Terminal

_GAP = "  "
UNKNOWN = "-"

# What a column says of one thing; figures stand at the right.
Column = tuple[str, Callable[[Mapping[str, Any]], str], bool]


def show_page(
    terminal: Terminal,
    answer: Mapping[str, Any],
    columns: Sequence[Column],
    thing: str,
    *,
    as_json: bool,
) -> None:
    """A page of a list: a line of JSON for each, or a table, and how many more there are."""
    items = answer["items"]
    if as_json:
        for item in items:
            terminal.output.json(item)
        return
    painter = Painter() if terminal.output.is_terminal else None
    for line in table(items, columns):
        terminal.output.line(plain(line).rstrip() if painter is None else painter.paint(line))
    total = answer["total"]
    if total > len(items):
        terminal.say(f"{counted(len(items), thing)} of {total:,} are shown: --limit shows more.")
    elif not items:
        terminal.say(f"There are no {thing}s.")


def show_done(
    terminal: Terminal, answer: Mapping[str, Any], sentence: str, *, as_json: bool
) -> None:
    """What was done: in a sentence for people, or as it was answered."""
    if as_json:
        terminal.output.json(answer)
    else:
        terminal.say(sentence)


def show_fields(
    terminal: Terminal,
    answer: Mapping[str, Any],
    fields: Sequence[tuple[str, Callable[[Mapping[str, Any]], str]]],
) -> None:
    """One thing: a line for each of its fields that there is something to say of."""
    painter = Painter() if terminal.output.is_terminal else None
    for line in field_lines(answer, fields):
        terminal.output.line(plain(line) if painter is None else painter.paint(line))


def field_lines(
    answer: Mapping[str, Any], fields: Sequence[tuple[str, Callable[[Mapping[str, Any]], str]]]
) -> list[Line]:
    """Those lines."""
    shown = [(head, of(answer)) for head, of in fields]
    shown = [(head, value) for head, value in shown if value != UNKNOWN]
    width = max((len(head) for head, _ in shown), default=0)
    return [
        ((f"{head:{width}}", looks.NOTE), (f"{_GAP}{escape(value)}", looks.PLAIN))
        for head, value in shown
    ]


def table(items: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> list[Line]:
    """A table with heads; none where there is nothing in it."""
    if not items:
        return []
    heads = [head for head, _, _ in columns]
    rows = [heads, *([escape(of(item)) for _, of, _ in columns] for item in items)]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines: list[Line] = []
    for number, row in enumerate(rows):
        cells = [
            " " * (width - cell_len(cell)) + cell if is_figure else set_cell_size(cell, width)
            for cell, width, (_, _, is_figure) in zip(row, widths, columns, strict=True)
        ]
        look = looks.NOTE if number == 0 else looks.PLAIN
        lines.append(((_GAP.join(cells).rstrip(), look),))
    return lines


def text(name: str) -> Callable[[Mapping[str, Any]], str]:
    """A column of what there is under a name."""
    return lambda item: UNKNOWN if item[name] in (None, "") else str(item[name])


def figure(name: str) -> Callable[[Mapping[str, Any]], str]:
    """A column of a number."""
    return lambda item: UNKNOWN if item[name] is None else f"{item[name]:,}"


def ago(name: str) -> Callable[[Mapping[str, Any]], str]:
    """A column of how long something is past."""
    return lambda item: UNKNOWN if item[name] is None else lasting(time.time() - item[name])


def until(name: str) -> Callable[[Mapping[str, Any]], str]:
    """A column of how long it is until something."""
    return lambda item: UNKNOWN if item[name] is None else lasting(item[name] - time.time())


def lasting(seconds: float) -> str:
    """How long, in its largest unit: `12 s`, `3 min`, `2 h`, `9 d`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
