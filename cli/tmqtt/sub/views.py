"""How `sub` shows messages: raw, in a format, as JSON, or for people in a terminal."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import trio

import trio_mqtt
from tmqtt.messages.formats import Format, safe_bytes
from tmqtt.messages.records import Recorder
from tmqtt.terminal.output import Output
from tmqtt.terminal.streams import encoded
from tmqtt.terminal.terminal import Terminal

_TICK = 0.25  # seconds
_BUSY = 64 * 1024  # bytes that wait for a terminal, beyond which messages are left out

# A message and the nanoseconds since 1970 when it came, as bytes to print.
LineOf = Callable[[trio_mqtt.Message, int], bytes]


class View(Protocol):
    """Shows messages."""

    async def show(self, messages: Sequence[trio_mqtt.Message], moment: int) -> None:
        """Show messages that came at `moment` (nanoseconds since 1970)."""
        ...

    async def run(self) -> None:
        """Do what has to be done from time to time, until cancelled."""
        ...

    def end(self) -> None:
        """Show what is left."""
        ...


class Nothing:
    """Shows nothing."""

    async def show(self, messages: Sequence[trio_mqtt.Message], moment: int) -> None:
        pass

    async def run(self) -> None:
        pass

    def end(self) -> None:
        pass


class Lines(Nothing):
    """Prints every message; who reads sets the pace."""

    def __init__(self, output: Output, line: LineOf) -> None:
        self._output = output
        self._line = line

    async def show(self, messages: Sequence[trio_mqtt.Message], moment: int) -> None:
        line = self._line
        self._output.put(b"".join([line(message, moment) for message in messages]))
        if self._output.full:
            await self._output.room()


def raw(output: Output, *, with_topic: bool, newline: bool) -> LineOf:
    """The payload as it is, perhaps after its topic; in a terminal nothing in it steers that."""
    end = b"\n" if newline else b""
    if output.is_terminal:
        if with_topic:
            return lambda message, _moment: (
                b"%s %s%s" % (safe_bytes(message.topic.encode()), safe_bytes(message.payload), end)
            )
        return lambda message, _moment: safe_bytes(message.payload) + end
    if with_topic:
        return lambda message, _moment: (
            b"%s %s%s" % (os.fsencode(message.topic), message.payload, end)
        )
    return lambda message, _moment: message.payload + end


def formatted(terminal: Terminal, text: str, *, newline: bool) -> LineOf:
    """Each message in a format. Raises FormatError."""
    end = b"\n" if newline else b""

    def complain(topic: str, wanted: str) -> None:
        terminal.warn(f"The payload of a message on {topic} is not {wanted}.")

    line = Format(text, complain, safe=terminal.output.is_terminal).line
    return lambda message, moment: line(message, moment) + end


def json_lines(output: Output) -> LineOf:
    """Each message as a line of JSON."""
    line = Recorder().line
    if output.is_terminal:
        return lambda message, moment: safe_bytes(line(message, moment)[:-1]) + b"\n"
    return line


class ForPeople:
    """Shows messages in a terminal: all while there are few, else a sample and how many came."""

    def __init__(self, output: Output) -> None:
        from tmqtt.messages.message_view import MessageView
        from tmqtt.sub.sampling import Sample
        from tmqtt.terminal import looks

        self._output = output
        self._looks = looks
        self._painter = looks.Painter()
        self._view = MessageView()
        self._sample = Sample(time.monotonic())

    async def show(self, messages: Sequence[trio_mqtt.Message], moment: int) -> None:
        del moment
        sample, output = self._sample, self._output
        now = time.monotonic()
        for number, message in enumerate(messages):
            if not sample.admits(now) or output.size > _BUSY:
                sample.miss(len(messages) - number)
                break
            sample.take(len(message.payload))
            width, height = self._painter.size
            lines = self._view.lines(message, self._looks.clock(), width, height)
            output.put(encoded("".join(f"{self._painter.paint(line)}\n" for line in lines)))

    async def run(self) -> None:
        while True:
            await trio.sleep(_TICK)
            if self._output.size <= _BUSY:
                self._report(last=False)

    def end(self) -> None:
        self._report(last=True)

    def _report(self, *, last: bool) -> None:
        text = self._sample.report(time.monotonic(), last=last)
        if text is not None:
            line = (self._looks.clock(), (text, self._looks.NOTE))
            self._output.put(encoded(f"{self._painter.paint(line)}\n"))
