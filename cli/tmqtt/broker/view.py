"""What a person sees of the broker: what happens scrolls by above a line of how things stand."""

from __future__ import annotations

import logging
import time
from collections import deque
from contextlib import suppress

import trio

import trio_mqtt
from tmqtt.broker import welcome
from tmqtt.broker.levels import Level
from tmqtt.broker.library_log import LibraryLog, Notice
from tmqtt.broker.remedies import Remedies
from tmqtt.broker.stamps import ERROR, INFO, WARNING, Stamps
from tmqtt.broker.traffic import Rates, Traffic, status_line
from tmqtt.terminal import looks
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.looks import Line
from tmqtt.terminal.streams import STDERR, STDOUT, encoded
from tmqtt.terminal.terminal import Terminal
from trio_mqtt.events import BrokerEvent, ClientDisconnected, ClientRefused, EventSample

TICK = 0.1  # seconds between two looks: ten times a second is as often as a person sees
# The same while nothing happens: what is no event, such as a subscription that went with its
# session, is seen then.
REST = 1.0
_SENTENCES = 20  # kept until the next look


class BrokerView:
    """Shows what happens in a broker: in a terminal, or line by line in a pipe.

    The broker pays for a bounded sample and for nothing else: a terminal that is slow is shown less
    often, and what it misses is counted. In a pipe, what is wrong with the broker itself goes to
    stderr.
    """

    def __init__(
        self,
        broker: trio_mqtt.Broker,
        terminal: Terminal,
        log: LibraryLog,
        level: Level = Level.ALL,
    ) -> None:
        self._broker = broker
        self._log = log
        self._level = level
        self._output = terminal.output
        self._errors = terminal.messages
        self._stamps = Stamps(STDOUT, is_terminal=self._output.is_terminal)
        self._error_stamps = Stamps(STDERR, is_terminal=self._errors.is_terminal)
        self._painter = looks.Painter() if self._output.is_terminal else None
        self._redraws = (
            level.tells(Level.INFO) and self._painter is not None and self._painter.can_redraw
        )
        now = time.monotonic()
        self._traffic = Traffic(now)
        self._rates = Rates()
        self._missed_messages = 0
        self._missed_events = 0
        self._told: deque[Line] = deque(maxlen=_SENTENCES)
        self._refusals: list[Notice] = []
        # The totals at the last look, and whether all of them had been shown and rates were none:
        # then there is nothing to do until they change.
        self._state: tuple[int, ...] = ()
        self._at_rest = False
        # The status line as it stands in the terminal.
        self._status: Line = ()
        self._rest = trio.CancelScope()

    def begin(self, remedies: Remedies, *sentences: str) -> None:
        """Say where the broker listens, who may connect, and the sentences."""
        if not self._level.tells(Level.INFO):
            return
        lines = welcome.lines_of(self._broker, remedies, *sentences)
        if self._painter is not None:
            lines.append((("Ctrl-C stops it.", looks.NOTE),))
        else:
            lines = [(self._stamps.now(), *line) for line in lines]
        self._draw(lines, ())

    def warn(self, text: str) -> None:
        """Say at once on stderr what is wrong; with the next look, where both are one."""
        self._say(f"Warning: {text}", WARNING)

    def note(self, text: str) -> None:
        """Show with the next look what was wrong with the output itself."""
        self._told.append(self._sentence(f"Warning: {text}", WARNING))
        self._rest.cancel()

    def tell(self, text: str) -> None:
        """Show a sentence with the next look."""
        if self._level.tells(Level.INFO):
            self._told.append(self._sentence(text, INFO))
            self._rest.cancel()

    def _say(self, text: str, priority: int) -> None:
        errors = self._errors
        if self._output.is_terminal or errors.closed:
            self._told.append(self._sentence(text, priority))
            self._rest.cancel()
        elif not errors.full:  # of a flood some are left out
            stamp = () if errors.is_terminal else (self._error_stamps.now(priority),)
            errors.line(looks.plain((*stamp, (escape(text), looks.PLAIN))))

    def _sentence(self, text: str, priority: int) -> Line:
        look = looks.NOTE if priority == INFO else looks.WARNING
        return self._stamps.now(priority), (escape(text), look)

    def hear(self) -> None:
        """Take what the library has logged: what is wrong is said, refusals are kept for a look."""
        for notice in self._log.take():
            if notice.level >= logging.ERROR:
                self._say(f"Error: {notice.text}", ERROR)
            elif not self._level.tells(Level.WARNING):
                continue
            elif notice.is_refusal:
                self._refusals.append(notice)
            else:
                self.warn(notice.text)

    def tick(self, sample: EventSample) -> None:
        """Show what is new. Called ten times a second."""
        self.hear()
        if self._output.trouble is not None:
            # A disk that is full stays so for long: the lines would have times that are not theirs.
            self._traffic.hide(self._take(sample))
            return
        if not self._output.idle:
            del self._refusals[:-_SENTENCES]
            return  # the terminal is busy with what it got: it gets a summary later
        now = time.monotonic()
        statistics = self._broker.statistics
        received, sent = statistics.messages_received, statistics.messages_sent
        state = (
            received,
            sent,
            statistics.messages_dropped,
            statistics.clients_connected,
            statistics.subscriptions,
            sample.missed_events,
        )
        events = self._take(sample)
        if self._at_rest and not events and not self._told and state == self._state:
            self._rates.rest(received, sent, now)
            return
        self._state = state
        lines = self._new_lines(events, sample, now)
        status: Line = ()
        rates = (0.0, 0.0)
        if self._redraws:
            rates = self._rates.update(received, sent, now)
            status = status_line(statistics, *rates)
        self._at_rest = not any(rates) and not self._traffic.owes_a_count
        if lines or status != self._status:
            self._draw(lines, status)

    async def rest(self, sample: EventSample | None = None) -> None:
        """Wait for a while, or until something happens, if all that did is shown."""
        if sample is not None and (
            not self._at_rest or self._told or self._output.trouble or not self._output.idle
        ):
            return
        token = trio.lowlevel.current_trio_token()

        def wake() -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self._rest.cancel, idempotent=True)

        with trio.move_on_after(REST) as self._rest:
            self._log.when_new = wake
            try:
                if self._log.has_news:
                    await trio.lowlevel.checkpoint()
                elif sample is None:
                    await trio.sleep_forever()
                else:
                    await sample.wait()
            finally:
                self._log.when_new = None

    def end(self, sample: EventSample, last: str = "") -> None:
        """Show what is left, a last sentence, and that the broker has stopped."""
        self.hear()
        lines = self._new_lines(self._take(sample), sample, time.monotonic())
        lines += self._traffic.left_out(self._stamps.now())
        if self._level.tells(Level.INFO):
            if last:
                lines.append(self._sentence(last, INFO))
            lines.append((self._stamps.now(), ("Stopped.", looks.STRONG)))
        self._draw(lines, ())

    def _take(self, sample: EventSample) -> list[BrokerEvent | Notice]:
        """What has happened, as far as it is told."""
        room = self._traffic.room_for_messages(time.monotonic() + TICK)
        events: list[BrokerEvent | Notice] = [*sample.take(room)]
        for refusal in self._refusals:
            # Events have no time. What a client is refused comes before its end.
            ends = (
                number
                for number, event in enumerate(events)
                if isinstance(event, ClientDisconnected) and event.client_id == refusal.client_id
            )
            events.insert(next(ends, len(events)), refusal)
        self._refusals.clear()
        if self._level.tells(Level.INFO):
            return events
        if not self._level.tells(Level.WARNING):
            return []
        return [event for event in events if isinstance(event, (ClientRefused, Notice))]

    def _new_lines(
        self,
        events: list[BrokerEvent | Notice],
        sample: EventSample,
        now: float,
    ) -> list[Line]:
        missed_messages, self._missed_messages = (
            sample.missed_messages - self._missed_messages,
            sample.missed_messages,
        )
        missed_events, self._missed_events = (
            sample.missed_events - self._missed_events,
            sample.missed_events,
        )
        lines = list(self._told)
        self._told.clear()
        return lines + self._traffic.lines(
            events,
            missed_messages,
            missed_events,
            now,
            self._stamps.now(),
            self._stamps.now(WARNING),
        )

    def _draw(self, lines: list[Line], status: Line) -> None:
        self._status = status
        painter = self._painter
        if painter is None:
            self._output.put(encoded("".join(f"{looks.plain(line)}\n" for line in lines)))
            return
        text = "".join(
            f"{painter.paint(line) if _is_whole(line) else painter.paint_within(line)}\n"
            for line in lines
        )
        if not self._redraws:
            self._output.put(encoded(text))
            return
        last = painter.paint_within(status) if status else ""
        self._output.redraw(last, above=encoded(text))


def _is_whole(line: Line) -> bool:
    """Whether a line may need several rows.

    What is wrong is told whole, and so is what the broker says of itself, such as where it keeps
    what it holds; what clients do may be cut, as it goes on and on.
    """
    kinds = {look for _, look in line}
    return looks.WARNING in kinds or looks.CLIENT not in kinds
