"""`tmqtt config`: what its commands do."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trio
import typer

from tmqtt.config.listing import print_table, toml_lines
from tmqtt.config.mosquitto.importing import import_file
from tmqtt.config.mosquitto.statements import WrongLineError
from tmqtt.connecting.variables import idle_variables
from tmqtt.terminal.plainly import put, say
from trio_mqtt import configuration
from trio_mqtt.configuration import Configuration, InvalidConfiguration, Override
from trio_mqtt.errors import MqttError

_WRONG = 1  # the exit code where the configuration is
_WRONG_OPTION = 2


def check_file(file: str | None, given: Iterable[str]) -> None:
    """Say what is wrong with a configuration, or that nothing is."""
    with _problems_told(), _warnings_told():
        loaded = _loaded(file, given)
        trio.run(configuration.check, loaded)
    for warning in (*loaded.warnings, *idle_variables(os.environ)):
        say(f"Warning: {warning}", problem=True)
    say(f"Nothing is wrong with {loaded.path or 'the configuration'}.")


def show_file(file: str | None, given: Iterable[str], *, given_only: bool) -> None:
    """Show what holds: in a terminal as a table, else as TOML."""
    with _problems_told():
        held = list(configuration.effective(_loaded(file, given)))
    if given_only:
        held = [one for one in held if one.source.kind != "default"]
    if sys.stdout.isatty():
        print_table(held)
        return
    for line in toml_lines(held):
        say(line)


def import_mosquitto(file: str, output: str | None, *, strict: bool) -> None:
    """Write what Mosquitto's configuration is in our words, and tell what it is not."""
    try:
        draft = import_file(Path(file))
    except WrongLineError as error:
        say(f"Error: {error}", problem=True)
        raise typer.Exit(_WRONG) from None
    if draft.notes:
        say(f"In {file} is not taken over, or another here:", problem=True)
    for note in draft.notes:
        say(f"  {note}", problem=True)
    if strict and any(note.is_lost for note in draft.notes):
        say("Error: Not all of it can be taken over, so nothing is written.", problem=True)
        raise typer.Exit(_WRONG)
    if output is None:
        put(draft.text())
        return
    try:
        with open(output, "x", encoding="utf-8") as opened:
            opened.write(draft.text())
    except FileExistsError:
        say(f"Error: {output} exists already; it stays as it is.", problem=True)
        raise typer.Exit(_WRONG_OPTION) from None
    except OSError as error:
        say(f"Error: {output} cannot be written: {error.strerror or error}.", problem=True)
        raise typer.Exit(_WRONG_OPTION) from None
    say(f"{output} is written. Try it: tmqtt config check {output}", problem=True)


def print_schema() -> None:
    """Print the JSON Schema."""
    put(f"{json.dumps(configuration.schema(), indent=2)}\n")


def print_example() -> None:
    """Print the annotated example."""
    put(configuration.example())


def _loaded(file: str | None, given: Iterable[str]) -> Configuration:
    try:
        overrides = [Override.written(text) for text in given]
    except MqttError as error:
        say(f"Error: {error}", problem=True)
        raise typer.Exit(_WRONG_OPTION) from None
    return configuration.load(file, overrides=overrides)


@contextmanager
def _problems_told() -> Iterator[None]:
    """End the command with a sentence for each problem where there are any."""
    try:
        yield
    except InvalidConfiguration as error:
        for problem in error.problems:
            say(f"Error: {problem}", problem=True)
        raise typer.Exit(_WRONG) from None


class _Telling(logging.Handler):
    """Says what the library logs."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"Warning: {record.getMessage()}", problem=True)


@contextmanager
def _warnings_told() -> Iterator[None]:
    """Say what the library warns of where it reads the files that a configuration names."""
    logger = logging.getLogger("trio_mqtt")
    telling = _Telling(logging.WARNING)
    logger.addHandler(telling)
    try:
        yield
    finally:
        logger.removeHandler(telling)
