"""A sample of events: some of them, for a person or a program that looks now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.events.kinds import BrokerEvent, message_published

if TYPE_CHECKING:
    from trio_mqtt.broker.routing.published import Published

SAMPLE_BYTES = 1024 * 1024  # of payloads that a sample holds between two looks
SAMPLE_OF_ONE_READ = 10  # messages: one busy client must not fill the sample alone


class EventSample:
    """A bounded sample of what happens, taken off when its owner likes.

    Between two looks it holds at most `limit` events, of which messages may fill half and one
    MiB: the rest is only counted, in `missed_events` and `missed_messages`, so that a sample costs
    the same at any rate of messages.
    """

    __slots__ = ("_bytes", "_ended", "_events", "_full", "_limit", "_messages", "_most", "_news",
                 "kinds", "missed_events", "missed_messages")  # fmt: skip

    def __init__(self, kinds: frozenset[type[BrokerEvent]], limit: int) -> None:
        self.kinds = kinds
        self._events: list[BrokerEvent] = []
        self._limit = limit
        self._most = limit // 2  # messages until the next look
        self._messages = 0
        self._bytes = 0
        # No message has room until the next look: most batches of a busy broker see only this.
        self._full = False
        self.missed_events: int = 0
        self.missed_messages: int = 0
        self._ended = False
        self._news: trio.Event | None = None  # while somebody waits

    async def wait(self) -> None:
        """Wait until there is something to take; where nothing more will come, no longer.

        Messages that have no room are counted, and nothing to take.
        """
        if self._events or self._ended:
            await trio.lowlevel.checkpoint()
            return
        if self._news is None:
            self._news = trio.Event()
        await self._news.wait()

    def take(self, messages: int | None = None) -> list[BrokerEvent]:
        """The events recorded since the last call, oldest first.

        Until the next call no more than so many `messages` are recorded: for each that is, the
        broker makes an event, which whoever can show only a few of them spares it.
        """
        events = self._events
        self._events = []
        most = self._limit // 2
        self._most = most if messages is None else min(messages, most)
        self._messages = self._bytes = 0
        self._full = self._most <= 0
        return events

    def tell(self, event: BrokerEvent) -> None:
        """An event has happened (the broker says so)."""
        if len(self._events) < self._limit:
            self._events.append(event)
            if self._news is not None:
                self._wake()
        else:
            self.missed_events += 1

    def tell_published(self, client_id: str | None, batch: Published) -> None:
        """Messages were taken (the broker says so)."""
        if self._full:
            self.missed_messages += batch.count
            return
        room = min(self._most - self._messages, self._limit - len(self._events))
        if room <= 0 or self._bytes >= SAMPLE_BYTES:
            self._full = True
            self.missed_messages += batch.count
            return
        taken = 0
        for message in batch.sample(min(room, SAMPLE_OF_ONE_READ)):
            self._bytes += len(message.payload)
            if self._bytes > SAMPLE_BYTES:
                break
            self._events.append(message_published(client_id, message))
            taken += 1
        if taken and self._news is not None:
            self._wake()
        self._messages += taken
        self.missed_messages += batch.count - taken

    def end(self) -> None:
        """There is nothing more to come; what was recorded can still be taken."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, None
        if news is not None:
            news.set()
