"""Asking whether something that cannot be undone is meant."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tmqtt.terminal.escaping import escape

Yes = Annotated[
    bool, typer.Option("--yes", help="Do not ask whether it is meant, where there are wildcards.")
]


def check_can_be_asked() -> None:
    """Raise BadParameter where nobody can be asked."""
    # None where a stream is closed.
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        raise typer.BadParameter(
            "This cannot be undone, and nobody can be asked here: --yes says that it is meant."
        )


def confirm(question: str) -> None:
    """Go on where the person says so; ends the command with code 1 where the answer is no."""
    if not _means_it(escape(question)):
        typer.echo("Nothing was removed.", err=True)
        raise typer.Exit(1)


def _means_it(question: str) -> bool:
    while True:
        typer.echo(f"{question} [y/N]: ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line:  # Ctrl-D
            typer.echo(err=True)
            return False
        answer = line.strip().lower()
        if answer in ("y", "yes"):
            return True
        if answer in ("", "n", "no"):
            return False
        typer.echo("Write y or n.", err=True)
