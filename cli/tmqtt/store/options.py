"""`tmqtt store`: the options of its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.terminal.command import Command, group

_EXAMPLES = """\
Examples:
  tmqtt store info data
  tmqtt store verify data
  tmqtt store export data kept.jsonl
  tmqtt store import other kept.jsonl

"""
_CODES = "Exit codes: 0 done{}; 1 it did not work{}; 2 the options are wrong."

app = group(
    "store", "Look into what a broker keeps in its folder, while it does not run.", _EXAMPLES
)

Folder = Annotated[
    str, typer.Argument(metavar="DIR", help="The folder that the broker has as --data.")
]


@app.command(cls=Command, epilog=_EXAMPLES + _CODES.format("", ""))
def info(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how much is kept, and which version wrote it."""
    from tmqtt.store.command import show_info

    show_info(folder, as_json=as_json)


@app.command(
    cls=Command, epilog=_EXAMPLES + _CODES.format(", and all is right", ", or something is wrong")
)
def verify(folder: Folder) -> None:
    """Read all that is kept, and tell what is wrong with it."""
    from tmqtt.store.command import check

    check(folder)


@app.command(cls=Command, epilog=_EXAMPLES + _CODES.format("", ""))
def export(
    folder: Folder,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help="Where to write; only you may read it.  [default: stdout]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write all that is kept as JSON lines, one for each row."""
    from tmqtt.store.command import write_lines

    write_lines(folder, file)


@app.command("import", cls=Command, epilog=_EXAMPLES + _CODES.format("", "; then nothing is kept"))
def import_(
    folder: Folder,
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="What to read.  [default: stdin]", show_default=False),
    ] = None,
) -> None:
    """Fill the folder of a new broker with lines that `export` has written."""
    from tmqtt.store.command import read_lines

    read_lines(folder, file)
