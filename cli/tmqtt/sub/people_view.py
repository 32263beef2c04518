"""How `sub` shows messages to a person: in a terminal, each for what it is."""

from __future__ import annotations

import time
from collections.abc import Sequence

import trio

from tmqtt.messages.message import ShownMessage
from tmqtt.messages.message_view import MessageView
from tmqtt.sub.latency import Latency, column
from tmqtt.sub.sampling import Sample
from tmqtt.sub.views import View
from tmqtt.terminal import looks
from tmqtt.terminal.looks import Part
from tmqtt.terminal.output import Output
from tmqtt.terminal.streams import encoded

_TICK = 0.25  # seconds
_BUSY = 64 * 1024  # bytes that wait for a terminal, beyond which messages are left out


class PeopleView(View):
    """Shows messages in a terminal: all while there are few, else a sample and how many came."""

    marks = True

    def __init__(self, output: Output, latency: Latency | None = None) -> None:
        self._output = output
        self._latency = latency
        self._painter = looks.Painter()
        self._view = MessageView()
        self._sample = Sample(time.monotonic())

    async def show(self, messages: Sequence[ShownMessage], moment: int) -> None:
        sample, output = self._sample, self._output
        now = time.monotonic()
        for number, message in enumerate(messages):
            if not sample.admits(now) or output.size > _BUSY:
                sample.miss(len(messages) - number)
                break
            sample.take(len(message.payload))
            width, height = self._painter.size
            lines = self._view.lines(message, self._head(message, moment), width, height)
            output.put(encoded("".join(f"{self._painter.paint(line)}\n" for line in lines)))

    def _head(self, message: ShownMessage, moment: int) -> Part:
        """What lines begin with: the time, and how long the message took if that is asked for."""
        clock, style = looks.clock()
        if self._latency is not None:
            clock += column(self._latency.of(message, moment))
        return clock, style

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
            line = (looks.clock(), (text, looks.NOTE))
            self._output.put(encoded(f"{self._painter.paint(line)}\n"))
