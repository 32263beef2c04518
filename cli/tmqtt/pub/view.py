"""What a person sees of `tmqtt pub`: in a terminal the messages and one line of how it goes."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median

import trio

from tmqtt.messages.printing import lines_for
from tmqtt.pub.plan import PubOptions
from tmqtt.terminal import looks
from tmqtt.terminal.figures import counted, latency, span
from tmqtt.terminal.looks import Line, Painter
from tmqtt.terminal.streams import encoded
from tmqtt.terminal.terminal import Terminal

_TICK = 0.1  # seconds between two looks
_LINES_A_SECOND = 20  # messages shown: more than that nobody reads
_ROUND_TRIPS = 1_000  # the last ones, of which the median is shown
_BAR = 30  # columns at most
_SMALLEST_BAR = 8


class PubView:
    """Counts what is published. Shows nothing: for pipes."""

    def __init__(self, options: PubOptions, terminal: Terminal) -> None:
        self._options = options
        self._terminal = terminal
        self._started = time.monotonic()
        self._sent = 0
        self._acknowledged = 0
        # Of those that were sent, what no broker acknowledges: messages of QoS 0.
        self._unasked = 0
        self._unheard = 0
        self._refused = 0
        self._round_trips: deque[float] = deque(maxlen=_ROUND_TRIPS)

    def sent(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """A message is on its way."""
        self._sent += 1
        self._unasked += not qos

    def not_sent(self) -> None:
        """A message of QoS 0 was not on its way after all."""
        self._sent -= 1
        self._unasked -= 1

    def acknowledged(self, seconds: float, *, nobody: bool) -> None:
        """The broker has taken a message, `seconds` after it was sent; `nobody` receives it."""
        self._acknowledged += 1
        self._unheard += nobody
        self._round_trips.append(seconds)

    def refused(self, sentence: str) -> None:
        """The broker refused a message."""
        self._refused += 1
        if self._refused == 1 and not self._options.is_single:
            self._terminal.say(f"{sentence} Going on.")

    async def room(self) -> None:
        """Wait while the terminal has not taken what it was shown."""
        if self._terminal.output.full:
            await self._terminal.output.room()

    def tick(self) -> None:
        """Show what is new; called ten times a second."""

    def end(self) -> None:
        """Show what is left, and a summary if it was Ctrl-C that ended it."""
        if self._terminal.signal == signal.SIGINT and not self._options.is_single:
            self._terminal.say(self._summary())

    def _summary(self) -> str:
        seconds = time.monotonic() - self._started
        parts = [f"{counted(self._sent, 'message')} sent in {span(seconds)}"]
        if self._options.qos:
            parts.append(f"{self._acknowledged:,} acknowledged")
            if self._unheard:
                parts.append(f"{self._unheard:,} heard by nobody")
        if self._refused:
            parts.append(f"{self._refused:,} refused")
        if self._round_trips:
            parts.append(f"round trip {latency(median(self._round_trips))} (median)")
        return f"{', '.join(parts)}."


class _Verbose(PubView):
    """Prints each message, in a pipe."""

    def __init__(self, options: PubOptions, terminal: Terminal) -> None:
        super().__init__(options, terminal)
        self._line = lines_for(terminal.output, with_topic=True)

    def sent(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        super().sent(topic, payload, qos=qos, retain=retain)
        self._terminal.output.put(self._line(topic, payload, retain))


class _Live(PubView):
    """Shows messages as they are sent, above one line of how it goes."""

    def __init__(self, options: PubOptions, terminal: Terminal) -> None:
        super().__init__(options, terminal)
        self._painter = Painter()
        self._line = lines_for(terminal.output, with_topic=True, preview=True)
        self._redraws = self._painter.can_redraw and not options.is_single
        self._waiting: list[bytes] = []
        self._second = 0
        self._shown = 0
        self._hidden = 0
        self._status = ""
        if self._redraws and terminal.messages.is_terminal:
            # Above the line of how it goes, which is not to be written into.
            terminal.tell = self._tell

    def sent(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        super().sent(topic, payload, qos=qos, retain=retain)
        second = int(time.monotonic() - self._started)
        if second != self._second:
            self._say_hidden()
            self._second, self._shown = second, 0
        if self._shown < _LINES_A_SECOND or self._options.verbose:
            self._shown += 1
            self._waiting.append(self._line(topic, payload, retain))
            if len(self._waiting) == 1 and self._options.is_scheduled:
                self.tick()  # a message on a schedule is seen when it is sent
        else:
            self._hidden += 1

    def tick(self) -> None:
        if not self._terminal.output.idle:
            return  # the terminal is busy with what it got
        status = self._painter.paint_within(self._status_line()) if self._redraws else ""
        if self._waiting or status != self._status:
            self._draw(status)

    def end(self) -> None:
        self._terminal.tell = None
        self._say_hidden()
        self._draw("")
        if not self._options.is_single:
            self._terminal.output.line(self._summary())

    def _tell(self, sentence: str) -> None:
        self._waiting.append(encoded(f"{sentence}\n"))

    def _say_hidden(self) -> None:
        if self._hidden:
            text = f"… {counted(self._hidden, 'more message')} not shown\n"
            self._waiting.append(encoded(text))
            self._hidden = 0

    def _draw(self, status: str) -> None:
        data = b"".join(self._waiting)
        self._waiting.clear()
        output = self._terminal.output
        if self._status:
            output.redraw(status, above=data)
        else:
            output.put(data + encoded(status))
        self._status = status

    def _status_line(self) -> Line:
        """How it goes: what matters most comes first, for narrow terminals."""
        options = self._options
        elapsed = time.monotonic() - self._started
        separator = (" · ", looks.NOTE)
        share = None
        if options.expected is not None:
            share = (self._acknowledged + self._refused + self._unasked) / options.expected
        if options.span is not None:
            share = max(share or 0.0, elapsed / options.span)
        parts: list[tuple[str, str]] = [(f"{self._sent:,} sent", looks.STRONG)]
        if options.qos:
            parts += [separator, (f"{self._acknowledged:,} acknowledged", looks.STRONG)]
        if self._refused:
            parts += [separator, (f"{self._refused:,} refused", looks.WARNING)]
        if self._round_trips:
            latest = latency(median(self._round_trips))
            parts += [separator, (f"round trip {latest}", looks.STRONG)]
        if share is None:
            return (*parts, separator, (span(elapsed), looks.NOTE))
        share = min(share, 1.0)
        percent = f" {share:.0%}"
        left = self._painter.width - len(looks.plain(parts)) - len(percent) - 4
        if left < _SMALLEST_BAR:
            return ((percent.strip() + " ", looks.GOOD), *parts)
        return (*parts, ("  ", ""), *_bar(share, min(left, _BAR)), (percent, looks.STRONG))


def _bar(share: float, width: int) -> Line:
    full, empty = ("━", "─") if encoded("━") == "━".encode() else ("#", "-")
    done = round(share * width)
    return ((full * done, looks.GOOD), (empty * (width - done), looks.NOTE))


@asynccontextmanager
async def open_view(
    options: PubOptions, terminal: Terminal, *, live: bool = True
) -> AsyncIterator[PubView]:
    """What is shown of publishing, while it goes on; in a terminal a line that is `live`, too."""
    if not (live and terminal.output.is_terminal):
        yield (_Verbose if options.verbose else PubView)(options, terminal)
        return
    view = _Live(options, terminal)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_tick, view)
        try:
            yield view
        finally:
            nursery.cancel_scope.cancel()


async def _tick(view: PubView) -> None:
    while True:
        await trio.sleep(_TICK)
        view.tick()
