"""The configuration that holds as lines: a table for people, TOML for all else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from tmqtt.terminal.escaping import escape
from trio_mqtt.configuration import Held

_NOT_SET = "not set"


def toml_lines(held: Iterable[Held]) -> Iterator[str]:
    """The same as TOML, with where each value comes from as its comment."""
    first = True
    for (table, _), several in groupby(held, key=_table_of):
        if table:
            yield from (table,) if first else ("", table)
        first = False
        for one in several:
            if one.value is None:
                yield f"# {one.key} is not set"
            else:
                yield f"{one.key} = {one.value}  # {one.source}"


def print_table(held: Sequence[Held]) -> None:
    """Print a table of them below the headers that they have in the file: what is given stands out.

    The settings keep their names whole, in one row, where 80 columns are all that there is.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("Setting", "Value", "From"):
        table.add_column(title, overflow="fold", no_wrap=title == "Setting")
    for (header, _), several in groupby(held, key=_table_of):
        if table.row_count:
            table.add_row()
        table.add_row(escape(header), style="bold")
        for one in several:
            style = "dim" if one.source.kind == "default" else None
            value = _NOT_SET if one.value is None else escape(one.value)
            table.add_row(escape(one.key), value, escape(str(one.source)), style=style)
    Console(markup=False, highlight=False, emoji=False).print(table)


def _table_of(one: Held) -> tuple[str, str]:
    """What the lines of one table have in common: its header, and which listener's it is."""
    return one.table, one.name.removesuffix(one.name.rpartition(".")[2])
