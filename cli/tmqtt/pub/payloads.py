"""Where the payloads of `pub` come from: an argument, a file, standard input, or chance."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections import deque

import trio

from tmqtt.pub.templates import Template
from tmqtt.terminal.figures import LARGEST_PAYLOAD
from tmqtt.terminal.sentences import CommandError

_READ = 65_536


class Payloads(ABC):
    """What is published: one payload after the other, as many as are wanted or there are."""

    @abstractmethod
    async def next(self, number: int) -> bytes | None:
        """The payload of the message of this number, the first is 1; None where there is none."""


class Same(Payloads):
    """The same bytes each time."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload

    async def next(self, _number: int) -> bytes:
        return self._payload


class Written(Payloads):
    """A message with templates in it."""

    def __init__(self, template: Template) -> None:
        self._template = template

    async def next(self, number: int) -> bytes:
        return os.fsencode(self._template.text(number))


class Random(Payloads):
    """Random bytes, others each time."""

    def __init__(self, size: int) -> None:
        self._size = size

    async def next(self, _number: int) -> bytes:
        return os.urandom(self._size)


class Lines(Payloads):
    """The lines of standard input, as they come."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        # The pieces of a line that has not ended yet.
        self._begun: list[bytes] = []
        self._size = 0
        self._ended = False

    async def next(self, _number: int) -> bytes | None:
        while not self._lines and not self._ended:
            data = await _read_input()
            first, *others = data.split(b"\n")
            self._add(first)
            for piece in others:
                self._end_line()
                self._add(piece)
            if not data:
                self._ended = True
                if self._size:
                    self._end_line()
        return self._lines.popleft() if self._lines else None

    def _add(self, piece: bytes) -> None:
        self._begun.append(piece)
        self._size += len(piece)
        if self._size > LARGEST_PAYLOAD:
            raise _too_large("A line")

    def _end_line(self) -> None:
        self._lines.append(b"".join(self._begun))
        self._begun, self._size = [], 0


async def whole_file(path: str) -> bytes:
    """A file, or with `-` standard input, as it is."""
    if path == "-":
        return await whole_input()
    try:
        data = await trio.to_thread.run_sync(_read_file, path, abandon_on_cancel=True)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > LARGEST_PAYLOAD:
        raise _too_large(path)
    return data


def _read_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(LARGEST_PAYLOAD + 1)


async def whole_input() -> bytes:
    """All of standard input."""
    parts: list[bytes] = []
    size = 0
    while data := await _read_input():
        parts.append(data)
        size += len(data)
        if size > LARGEST_PAYLOAD:
            raise _too_large("What comes in")
    return b"".join(parts)


async def _read_input() -> bytes:
    try:
        return await trio.to_thread.run_sync(
            os.read, sys.stdin.fileno(), _READ, abandon_on_cancel=True
        )
    except OSError as error:
        raise CommandError(f"Standard input cannot be read: {error.strerror}.") from None


def _too_large(what: str) -> CommandError:
    return CommandError(f"{what} is more than a message can hold ({LARGEST_PAYLOAD:,} bytes).")
