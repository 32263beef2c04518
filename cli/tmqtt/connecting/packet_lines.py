"""The packets of a connection as lines beside the output, for who looks for a fault (`-d`)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from tmqtt.terminal import looks
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.figures import counted
from tmqtt.terminal.looks import Line

if TYPE_CHECKING:
    from trio_mqtt.events import PacketEvent


class Shows(Protocol):
    """Where the lines go."""

    def detail(self, line: Line) -> bool:
        """Show a line, if there is room for it."""
        ...


class PacketLines:
    """Shows each packet as a line; those for which there is no room are counted."""

    def __init__(self, place: Shows) -> None:
        self._place = place
        self._missed = 0

    def show(self, event: PacketEvent) -> None:
        """A packet was sent or received."""
        if self._told_of_missed() and self._place.detail(_line(event)):
            return
        self._missed += 1

    def end(self) -> None:
        """The connection is over."""
        self._told_of_missed()

    def _told_of_missed(self) -> bool:
        if self._missed:
            text = f"… {counted(self._missed, 'more packet')} not shown"
            if not self._place.detail(((text, looks.NOTE),)):
                return False
            self._missed = 0
        return True


def _line(event: PacketEvent) -> Line:
    now = time.time()
    clock = f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1_000):03} "
    text = str(event)
    head = f"{text[:2]} {event.kind}"
    style = looks.TOPIC if event.sent else looks.GOOD
    return ((clock, looks.TIME), (head, style), (escape(text[len(head) :]), looks.PLAIN))
