"""How `sub` shows messages: raw, in a format, as JSON; other views have files of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence

from tmqtt.messages.formats import Format, safe_bytes
from tmqtt.messages.message import ShownMessage
from tmqtt.messages.records import Recorder
from tmqtt.sub.latency import Latency
from tmqtt.terminal.output import Output
from tmqtt.terminal.terminal import Terminal

# A message and the nanoseconds since 1970 when it came, as bytes to print.
Rendering = Callable[[ShownMessage, int], bytes]


class View:
    """Shows messages in some way. By itself it shows nothing."""

    # Whether it says beside a payload why that is not shown in its format.
    marks = False

    async def show(self, messages: Sequence[ShownMessage], moment: int) -> None:
        """Show messages that came at `moment` (nanoseconds since 1970)."""

    async def run(self) -> None:
        """Do what has to be done from time to time, until cancelled."""

    def end(self) -> None:
        """Show what is left."""


class Lines(View):
    """Prints every message; who reads sets the pace."""

    def __init__(self, output: Output, line: Rendering) -> None:
        self._output = output
        self._line = line

    async def show(self, messages: Sequence[ShownMessage], moment: int) -> None:
        line = self._line
        # In one piece: what is written to a file ends with a whole line, but for a crash within.
        self._output.put(b"".join([line(message, moment) for message in messages]))
        if self._output.full:
            await self._output.room()


def raw(output: Output, *, with_topic: bool, newline: bool) -> Rendering:
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


def timed(line: Rendering, latency: Latency) -> Rendering:
    """Each message behind the milliseconds that it took, or `-` where it has no time."""

    def rendered(message: ShownMessage, moment: int) -> bytes:
        taken = latency.of(message, moment)
        return b"%s %s" % (b"-" if taken is None else b"%.1f" % taken, line(message, moment))

    return rendered


def formatted(
    terminal: Terminal,
    text: str,
    *,
    newline: bool,
    pretty: bool = False,
    latency: Latency | None = None,
) -> Rendering:
    """Each message in a format. Raises FormatError."""
    end = b"\n" if newline else b""

    def complain(topic: str, wanted: str) -> None:
        terminal.warn(f"The payload of a message on {topic} is not {wanted}.")

    found = Format(
        text,
        complain,
        safe=terminal.output.is_terminal,
        pretty=pretty,
        latency=None if latency is None else latency.of,
    )
    line = found.line
    return lambda message, moment: line(message, moment) + end


def json_lines(
    output: Output, latency: Latency | None = None, *, pretty: bool = False
) -> Rendering:
    """Each message as a line of JSON, or as several."""
    line = Recorder(None if latency is None else latency.of).line
    if pretty:
        return lambda message, moment: _laid_out(line(message, moment), output.is_terminal)
    if output.is_terminal:
        return lambda message, moment: safe_bytes(line(message, moment)[:-1]) + b"\n"
    return line


def _laid_out(line: bytes, safe: bool) -> bytes:
    """JSON of one line on several."""
    shown = json.dumps(json.loads(line), ensure_ascii=False, indent=2).encode()
    return b"".join((safe_bytes(one) if safe else one) + b"\n" for one in shown.split(b"\n"))
