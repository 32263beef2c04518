"""A payload that comes in: a file or standard input, read in a thread so that a wait can end."""

from __future__ import annotations

import os

import trio

from tmqtt.messages.payload_file import read_payload, too_large
from tmqtt.terminal.figures import LARGEST_PAYLOAD
from tmqtt.terminal.sentences import CommandError
from tmqtt.terminal.streams import standard_input

_READ = 65_536  # bytes that are read at once


async def whole_file(path: str) -> bytes:
    """A file, or with `-` standard input, as it is. Raises CommandError."""
    if path == "-":
        return await whole_input()
    return await trio.to_thread.run_sync(read_payload, path, abandon_on_cancel=True)


async def whole_input() -> bytes:
    """All of standard input. Raises CommandError."""
    parts: list[bytes] = []
    size = 0
    while data := await read_input():
        parts.append(data)
        size += len(data)
        if size > LARGEST_PAYLOAD:
            raise too_large("What comes in")
    return b"".join(parts)


async def read_input() -> bytes:
    """What there is of standard input, at least a byte; nothing once it has ended."""
    try:
        return await trio.to_thread.run_sync(
            os.read, standard_input().fileno(), _READ, abandon_on_cancel=True
        )
    except OSError as error:
        raise CommandError(f"Standard input cannot be read: {error.strerror}.") from None
