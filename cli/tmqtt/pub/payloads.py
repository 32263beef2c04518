"""Where the payloads of `pub` come from: an argument, a file, standard input, or chance."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque

from tmqtt.messages.payload_file import too_large
from tmqtt.messages.payload_input import read_input, whole_file, whole_input
from tmqtt.pub.plan import PubOptions, payload_template
from tmqtt.pub.templates import Template
from tmqtt.terminal.figures import LARGEST_PAYLOAD


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
    """The lines of standard input, as they come; `end` is what each ends by."""

    def __init__(self, end: bytes = b"\n") -> None:
        self._end = end
        self._lines: deque[bytes] = deque()
        # The pieces of a line that has not ended yet.
        self._begun: list[bytes] = []
        self._size = 0
        self._ended = False

    async def next(self, _number: int) -> bytes | None:
        while not self._lines and not self._ended:
            data = await read_input()
            first, *others = data.split(self._end)
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
            raise too_large("A line")

    def _end_line(self) -> None:
        self._lines.append(b"".join(self._begun))
        self._begun, self._size = [], 0


async def payloads_of(options: PubOptions) -> Payloads:
    """The payloads that are asked for; what is read whole is read now. Raises CommandError."""
    source = options.source
    if source.lines:
        return Lines(source.line_end)
    if source.size is not None:
        return Random(source.size)
    if source.file is not None:
        return Same(await whole_file(source.file))
    if source.whole_input:
        return Same(await whole_input())
    if source.empty:
        return Same(b"")
    template = payload_template(options)
    return Same(os.fsencode(template.text(1))) if template.is_constant else Written(template)
