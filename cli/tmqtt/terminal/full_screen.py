"""A screen of the command's own: drawn over and over, and the terminal is as before afterwards.

It takes keys where stdin is a terminal, follows its size, and gives the terminal back while the
command is stopped (Ctrl-Z).
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import trio

from tmqtt.terminal import looks
from tmqtt.terminal.cells import cut
from tmqtt.terminal.keys import Keyboard
from tmqtt.terminal.looks import Line
from tmqtt.terminal.sequences import (
    CLEAR_SCREEN,
    CLEAR_TO_END_OF_LINE,
    CLEAR_TO_END_OF_SCREEN,
    ENTER_SCREEN,
    HOME,
    LEAVE_SCREEN,
)
from tmqtt.terminal.streams import STDOUT, encoded
from tmqtt.terminal.terminal import Terminal

FRAME = 0.1  # seconds between frames, at least
# Of the time, looks and frames may take so much: with 10,000 rows what they show comes first.
_SHARE = 0.06
_BUSY = 0.02  # seconds between looks whether the terminal has taken the last frame
_LEFT_FREE = 3  # lines of the screen that the last frame leaves: a summary and two for the shell
_PATIENCE = 1.0  # seconds that a terminal has to take its screen back before the command stops
_PATIENCE_AT_ONCE = 0.1  # the same where it ends at once
_SIZE_IN_FORCE = 0.05  # seconds
_KEYS = 1_000  # that wait for a look
_SIGNALS = [
    number
    for name in ("SIGTSTP", "SIGCONT", "SIGWINCH")
    if (number := getattr(signal, name, None)) is not None
]


class FullScreen:
    """Draws whole frames, by `show`. `full_screen` makes one."""

    def __init__(self, terminal: Terminal, painter: looks.Painter) -> None:
        self._output = terminal.output
        self._painter = painter
        self._keyboard = Keyboard()
        self._size = (0, 0)
        self._taken = False
        self._drawn = ""
        self._keys: list[str] = []
        self._news = trio.Event()
        # The last sentence for the person.
        self.sentence = ""

    @property
    def has_keys(self) -> bool:
        """Whether keys can be typed."""
        return self._keyboard.there

    @property
    def ready(self) -> bool:
        """Whether the terminal has taken the last frame."""
        return self._output.idle

    def draw(self, frame: Callable[[int, int], Sequence[Line]]) -> None:
        """Show the frame of a width and height; what is too wide or too high is cut.

        A sentence has a line of its own, which a frame does without. Nothing is drawn once the
        terminal was given back, be it only until the command goes on after Ctrl-Z.
        """
        if not self._taken:
            return
        size = self._painter.size
        width, height = max(size[0], 1), max(size[1] - bool(self.sentence), 1)
        shown = [cut(line, width) for line in frame(width, height)[:height]]
        if self.sentence:
            shown.append(cut([(self.sentence, looks.WARNING)], width))
        text = "\r\n".join(f"{self._painter.paint(line)}{CLEAR_TO_END_OF_LINE}" for line in shown)
        if size == self._size and text == self._drawn:
            return
        begin = HOME if size == self._size else HOME + CLEAR_SCREEN
        self._size = size
        self._drawn = text
        self._output.put(encoded(f"{begin}{text}{CLEAR_TO_END_OF_SCREEN}"))

    def take_keys(self) -> list[str]:
        """The keys since the last call, by the names that `tmqtt.terminal.keys` has."""
        keys, self._keys = self._keys, []
        return keys

    async def wait(self, seconds: float) -> None:
        """Wait so long, or until a key comes or the whole screen has to be drawn anew."""
        with trio.move_on_after(seconds):
            await self._news.wait()
        self._news = trio.Event()

    async def show(
        self,
        look: Callable[[float], None],
        frame: Callable[[float, int, int], Sequence[Line]],
        press: Callable[[str], bool],
        *,
        every: float = FRAME,
        is_behind: Callable[[], bool] = lambda: False,
    ) -> None:
        """Draw frames and take keys until `press` says that one ends it.

        `look` brings what is shown up to a time, at most `every` so many seconds; a `frame` is made
        after each look and each key. Times are those of `time.monotonic`. Where a look has left
        something out, which `is_behind` tells, the next one comes at once.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            next_look = time.monotonic()
            while not any(press(key) for key in self.take_keys()):
                began = time.monotonic()
                if self.ready:
                    looks_now = began >= next_look
                    if looks_now:
                        look(began)
                    self.draw(partial(frame, began))
                    if looks_now:
                        took = time.monotonic() - began
                        next_look = began + max(every, took / _SHARE) * (not is_behind())
                await self.wait(max(next_look - time.monotonic(), _BUSY))
            nursery.cancel_scope.cancel()

    async def _listen(self) -> None:
        """Take keys, follow the terminal's size, and make way when the command is stopped."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keyboard.read, self._press)
            if not _SIGNALS:
                return
            with trio.open_signal_receiver(*_SIGNALS) as signals:
                async for number in signals:
                    if number == getattr(signal, "SIGTSTP", None):
                        await self._stop()
                    elif number == getattr(signal, "SIGCONT", None):
                        self.take()
                    else:
                        self._news.set()
                        nursery.start_soon(self._look_again)

    def take(self) -> None:
        """Take the terminal: keys one by one, and a screen of its own."""
        # The first of the two stops a command that is not in the foreground, before it draws.
        self._keyboard.open()
        if not self._taken:
            self._taken = True
            self._output.put(ENTER_SCREEN.encode())
        self._redraw()

    def give_back(self) -> None:
        """Give the terminal back as it was."""
        self._keyboard.close()
        if self._taken:
            self._taken = False
            self._output.put(LEAVE_SCREEN.encode())

    def leave(self, frame: Callable[[int, int], Sequence[Line]]) -> None:
        """Once given back: a last frame stays, with room for what the shell says next."""
        width, height = self._painter.size
        lines = frame(width, max(height - _LEFT_FREE, 1))
        painted = (self._painter.paint(cut(line, width - 1)) for line in lines)
        self._output.put(encoded("".join(f"{line}\n" for line in painted)))

    def give_back_at_once(self) -> None:
        """The same where the process ends without an orderly goodbye.

        A terminal that takes nothing (Ctrl-S, a dead line) does not keep it from ending.
        """
        self._keyboard.close()
        if sys.platform == "win32" or select.select([], [STDOUT], [], _PATIENCE_AT_ONCE)[1]:
            os.write(STDOUT, LEAVE_SCREEN.encode())

    def _press(self, key: str) -> None:
        if len(self._keys) < _KEYS:
            self._keys.append(key)
        self._news.set()

    async def _look_again(self) -> None:
        """Have a frame drawn a moment later: Linux tells of a new size just before it is in force.

        (In pty_resize, which a terminal's window or SSH calls.)
        """
        await trio.sleep(_SIZE_IN_FORCE)
        self._news.set()

    def _redraw(self) -> None:
        self._size = (0, 0)
        self._news.set()

    async def _stop(self) -> None:
        """Stop as a command without a screen of its own does, and go on when told to."""
        if sys.platform == "win32":
            return
        self.give_back()
        with trio.move_on_after(_PATIENCE):
            await self._output.flush()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        # To this thread, so that nothing more of it runs before the process stops.
        signal.pthread_kill(threading.get_ident(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        self.take()


@contextmanager
def full_screen(terminal: Terminal, painter: looks.Painter) -> Iterator[FullScreen]:
    """Take the terminal's screen, and give it back however the block ends."""
    screen = FullScreen(terminal, painter)

    def tell(sentence: str) -> None:
        screen.sentence = sentence

    terminal.restore = screen.give_back_at_once
    terminal.tell = tell
    screen.take()
    try:
        yield screen
    finally:
        terminal.tell = None
        terminal.restore = None
        screen.give_back()
