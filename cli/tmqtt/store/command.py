"""`tmqtt store`: what a broker keeps, looked into, and moved to and from JSON lines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import TextIO

import typer

from tmqtt.store import lines
from tmqtt.terminal.figures import counted, named, size
from tmqtt.terminal.plainly import errors_as_sentences, say
from tmqtt.terminal.sequences import CLEAR_LINE
from tmqtt.terminal.streams import STDOUT, standard_input, write_no_more
from trio_mqtt.durability import (
    Row,
    read_store,
    store_path,
    summarize_store,
    verify_store,
    write_store,
)

_FAILURE = 1
_RARE = ("notes",)  # of which there mostly are none, which is not told
# One of them, and more.
_WORDS = {
    "sessions": ("session", "sessions"),
    "subscriptions": ("subscription", "subscriptions"),
    "messages": (
        "message that waits or is in flight",
        "messages that wait or are in flight",
    ),
    "deliveries": ("delivery to a session", "deliveries of them to sessions"),
    "identifiers": (
        "identifier of QoS 2 that its client has to release",
        "identifiers of QoS 2 that their clients have to release",
    ),
    "retained": ("retained message", "retained messages"),
    "notes": ("note of the broker's own, such as a ban", "notes of the broker's own, such as bans"),
}


def show_info(folder: str, *, as_json: bool) -> None:
    """Print what the store holds."""
    with _failures():
        summary = summarize_store(store_path(folder))
    if as_json:
        say(json.dumps(summary._asdict(), ensure_ascii=False))
        return
    free = f", {size(summary.free)} of it free" if summary.free else ""
    say(f"{summary.path}: {size(summary.size)}{free}, written by trio-mqtt {summary.written_by}")
    width = max(len(f"{count:,}") for count in summary.rows.values())
    for name, words in _WORDS.items():
        count = summary.rows[name]
        if not count and name in _RARE:
            continue
        say(f"  {count:>{width},} {named(count, *words)}")


def check(folder: str) -> None:
    """Print what is wrong; exit with 1 where something is."""
    with _failures(), _progress("verified") as progress:
        problems = verify_store(store_path(folder), progress)
    for problem in problems:
        say(problem, problem=True)
    if problems:
        raise typer.Exit(_FAILURE)
    say(f"{store_path(folder)} is all right.")


def write_lines(folder: str, path: str | None) -> None:
    """Print all rows as lines, or write them to a file."""
    count = 0
    # A person who reads the lines sees how far it is, and none of them is written into.
    is_seen = path is None and sys.stdout.isatty()
    with _failures(), _output(path) as file, _progress("exported", is_seen=is_seen) as progress:
        file.write(f"{lines.head()}\n")
        for row in read_store(store_path(folder), progress):
            file.write(f"{lines.line_of(row)}\n")
            count += 1
    say(f"Exported {counted(count, 'row')}.", problem=True)


def read_lines(folder: str, path: str | None) -> None:
    """Fill a new store with the rows of all lines."""
    with _failures(), ExitStack() as stack:
        if path is not None:
            file: TextIO = stack.enter_context(open(path, encoding="utf-8"))
        else:
            file = standard_input()
            file.reconfigure(encoding="utf-8")  # type: ignore[attr-defined]
        progress = stack.enter_context(_progress("imported"))

        def rows() -> Iterator[Row]:
            for number, row in enumerate(lines.rows(file), 1):
                if number % 10_000 == 0:
                    progress(number, 0)
                yield row

        count = write_store(store_path(folder), rows())
    say(f"Imported {counted(count, 'row')} to {store_path(folder)}.", problem=True)


@contextmanager
def _failures() -> Iterator[None]:
    """End with a sentence where it does not work."""
    with errors_as_sentences(_FAILURE):
        try:
            yield
        except BrokenPipeError:  # whoever read the lines has had enough
            write_no_more(STDOUT)
            raise typer.Exit from None
        except OSError as error:
            named = f"{error.filename}: " if error.filename else ""
            raise ValueError(f"{named}{error.strerror or error}.") from error


@contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    if path is None:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        yield sys.stdout
        sys.stdout.flush()
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        yield file


@contextmanager
def _progress(done: str, *, is_seen: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Tells on a terminal how far it is, in a line that is gone at the end; unless it `is_seen`."""
    is_shown = sys.stderr.isatty() and not is_seen
    next_at = monotonic() + 0.2

    def show(rows: int, of: int) -> None:
        nonlocal next_at
        if is_shown and monotonic() >= next_at:
            next_at = monotonic() + 0.1
            share = f" of {of:,}" if of else ""
            sys.stderr.write(f"{CLEAR_LINE}{rows:,}{share} rows {done}")
            sys.stderr.flush()

    try:
        yield show
    finally:
        if is_shown:
            sys.stderr.write(CLEAR_LINE)
            sys.stderr.flush()
