"""What commands say that only read and write files: lines, a sentence for an error, a code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from tmqtt.terminal.escaping import escape
from tmqtt.terminal.streams import STDERR, STDOUT, write_no_more
from trio_mqtt.errors import MqttError

WRONG_FILE = 2  # the exit code where a file cannot be used, as where an option cannot


def say(text: str, *, problem: bool = False) -> None:
    """Print a line, safe to show in a terminal; on stderr where it is about a problem."""
    put(f"{escape(text)}\n", problem=problem)


def put(text: str, *, problem: bool = False) -> None:
    """Print a text as it is.

    Where its reader has gone, as in `| head -1`, it goes nowhere: what the command does is done all
    the same, and its exit code says how it went.
    """
    try:
        typer.echo(text, nl=False, err=problem)
    except BrokenPipeError:
        write_no_more(STDERR if problem else STDOUT)


@contextmanager
def errors_as_sentences(code: int) -> Iterator[None]:
    """End the command with `code` and a sentence where a file or a value is wrong."""
    try:
        yield
    except (MqttError, ValueError) as error:
        for sentence in str(error).split("\n"):
            say(f"Error: {sentence}", problem=True)
        raise typer.Exit(code) from None
