"""What a command talks to: its output, its messages to the person, and the wish to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

import trio

from tmqtt.terminal.escaping import escape
from tmqtt.terminal.looks import Line, Painter, plain
from tmqtt.terminal.output import Output
from tmqtt.terminal.streams import STDERR

HANGUP = getattr(signal, "SIGHUP", None)


@dataclass(slots=True)
class Terminal:
    """What a command talks to: its output, its messages to the person, and the wish to stop."""

    output: Output
    # What is said beside the output: the same where both go to one terminal.
    messages: Output
    # What ends the command: cancelled by a signal, or when nobody reads the output any more.
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    # What to do when the process is told to read its settings again (SIGHUP); else that ends it, as
    # it does when its terminal has gone.
    reload: Callable[[], None] | None = None
    # The signal that asked the command to stop.
    signal: int | None = None
    # Where sentences go instead of stderr, while a screen of the command's own is in the way.
    tell: Callable[[str], None] | None = None
    # What puts the terminal back in order, should the process have to end at once.
    restore: Callable[[], None] | None = None
    # What was said in passing, and is still to be seen.
    _passing: str = ""
    _painter: Painter | None = None  # for stderr, once something in colours is shown there

    @property
    def is_watched(self) -> bool:
        """Whether somebody sees what is said, and can end the command: it may wait for things."""
        return self.output.is_terminal or self.messages.is_terminal

    def on_reload(self, reload: Callable[[], None]) -> None:
        """Have SIGHUP ask for `reload`, also where the process was started to ignore it (nohup).

        There it never ends the process, as it does where its terminal has gone: as with other
        servers, nohup lets them outlive the terminal, and they still read their files when told.
        """
        self.reload = reload
        if HANGUP is not None and signal.getsignal(HANGUP) is signal.SIG_IGN:
            token = trio.lowlevel.current_trio_token()

            def reload_only(_number: int, _frame: FrameType | None) -> None:
                with suppress(trio.RunFinishedError):
                    token.run_sync_soon(reload)

            signal.signal(HANGUP, reload_only)

    def say(self, sentence: str) -> None:
        """Tell the person something beside the output: on stderr, safe to show."""
        self.pass_by("")
        if self.tell is not None:
            self.tell(escape(sentence))
            return
        # The terminal has written ^C where the cursor was.
        over = "\r" if self.signal == signal.SIGINT and self.messages.is_terminal else ""
        self.messages.line(over + escape(sentence))

    def pass_by(self, sentence: str) -> None:
        """Tell the person how things stand just now; the next such sentence takes its place.

        An empty one takes it away. Where a line cannot be drawn anew, only the first is said.
        """
        before, self._passing = self._passing, sentence
        if self.tell is None and self.messages.is_terminal and os.environ.get("TERM") != "dumb":
            if before or sentence:
                self.messages.redraw(_within_a_line(sentence))
        elif sentence and not before:
            (self.tell or self.messages.line)(escape(sentence))

    def detail(self, line: Line) -> bool:
        """Show a line beside the output, in colours in a terminal, unless too much waits there."""
        if self.messages.full:
            return False
        self.pass_by("")
        if self.messages.is_terminal and self._painter is None:
            self._painter = Painter(stderr=True)
        self.messages.line(plain(line) if self._painter is None else self._painter.paint(line))
        return True

    def warn(self, text: str) -> None:
        """Tell of something that goes wrong; of a flood of warnings, some are left out."""
        if not self.messages.full:
            self.say(f"Warning: {text}")


def _within_a_line(sentence: str) -> str:
    """The sentence, safe to show, and no longer than a line of the terminal at stderr."""
    shown = escape(sentence)
    try:
        room = os.get_terminal_size(STDERR).columns - 1
    except OSError:
        room = 79
    return shown if len(shown) <= room or room < 1 else f"{shown[: room - 1]}…"
