"""`sub --record`: messages into a file, line by line."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tmqtt.messages.records import Recorder
from tmqtt.sub.views import Lines
from tmqtt.terminal.output import open_output
from tmqtt.terminal.sentences import CommandError
from tmqtt.terminal.terminal import Terminal

# Lines end by \n alone, also on Windows.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@asynccontextmanager
async def open_recording(path: str, terminal: Terminal) -> AsyncIterator[Lines]:
    """A recording to a new file, which only its owner may read, or to stdout ("-").

    A disk that is slow makes the broker wait. Raises CommandError where the file exists or cannot
    be written. What came is written whole before it is left, however long that takes.
    """
    if path == "-":
        yield Lines(terminal.output, Recorder().line)
        return
    try:
        descriptor = os.open(path, _NEW, 0o600)
    except FileExistsError:
        raise CommandError(
            f"The file {path!r} exists already: name another, or remove it first."
        ) from None
    except (OSError, ValueError) as error:
        raise CommandError(f"The file {path!r} cannot be written: {_reason(error)}.") from None
    failure: OSError | None = None
    raised: BaseException | None = None
    try:
        with trio.CancelScope() as scope:
            async with open_output(descriptor, when_closed=scope.cancel) as output:
                try:
                    yield Lines(output, Recorder().line)
                except trio.Cancelled:
                    raise
                except BaseException as error:
                    raised = error  # raised outside of the nursery, which would wrap it
                finally:
                    with trio.CancelScope(shield=True):
                        await output.flush()
                    failure = output.error
    finally:
        os.close(descriptor)
    if raised is not None:
        raise raised
    if failure is not None:
        raise CommandError(f"The file {path!r} could not be written: {_reason(failure)}.")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
