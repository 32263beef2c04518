"""Asking whether something that cannot be undone is meant."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tmqtt.terminal.escaping import escape

Yes = Annotated[
    bool, typer.Option("--yes", help="Do not ask whether it is meant, where there are wildcards.")
]


def confirm(question: str, *, yes: bool) -> None:
    """Go on where the person says so, or `yes` has said it before.

    Ends the command with code 1 where the answer is no. Raises BadParameter where nobody can be
    asked.
    """
    if yes:
        return
    # None where a stream is closed.
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        raise typer.BadParameter(
            "This cannot be undone, and nobody can be asked here: --yes says that it is meant."
        )
    try:
        is_meant = typer.confirm(escape(question), default=False, err=True)
    except typer.Abort:  # Ctrl-D: no answer is no
        is_meant = False
        typer.echo(err=True)
    if not is_meant:
        typer.echo("Nothing was removed.", err=True)
        raise typer.Exit(1)
