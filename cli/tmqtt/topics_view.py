"""`sub --watch` and `sub --tree`: a screen that stays, or in a pipe a table at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

import trio

import trio_mqtt
from tmqtt import looks
from tmqtt.full_screen import FullScreen, full_screen
from tmqtt.output import encoded
from tmqtt.plotting import Path
from tmqtt.running import Terminal
from tmqtt.topics import Sort, Topics
from tmqtt.watching import Table, TreeFrames, summary

_FRAME = 0.1  # seconds between frames, at least
# Of the time, a frame may take so much: with 10,000 topics messages come first.
_SHARE = 0.06
_LOG_EVERY = 10.0  # seconds between lines in a pipe
_LOG_WIDTH = 120


class TopicsView:
    """Keeps what is known of each topic, and draws it. `close` gives the screen back."""

    def __init__(
        self, terminal: Terminal, title: str, *, tree: bool, order: Sort, path: Path
    ) -> None:
        self._output = terminal.output
        self._title = title
        self._topics = Topics(time.monotonic(), path)
        self._tree = TreeFrames(self._topics, title) if tree else None
        self._frames = self._tree or Table(self._topics, order, title)
        self._stack = ExitStack()
        self._screen: FullScreen | None = None
        if terminal.output.is_terminal:
            painter = looks.Painter()
            if painter.can_redraw:
                self._screen = self._stack.enter_context(full_screen(terminal, painter))

    async def show(self, messages: Sequence[trio_mqtt.Message], moment: int) -> None:
        del moment
        self._topics.add_all(messages)

    async def run(self) -> None:
        if self._screen is None:
            while True:
                await trio.sleep(_LOG_EVERY)
                self._look()
                line = looks.plain((looks.clock(), *summary(self._title, self._topics)))
                self._output.put(encoded(f"{line}\n"))
        while True:
            began = time.monotonic()
            if self._screen.ready:
                self._look()
                width, height = self._screen.size
                self._screen.draw(self._frames.frame(began, width, height))
            took = time.monotonic() - began
            await trio.sleep(max(_FRAME, took / _SHARE))

    def end(self) -> None:
        self._stack.close()
        if self._screen is None:
            self._look()
            lines = self._frames.frame(time.monotonic(), _LOG_WIDTH, len(self._topics.all) * 2 + 99)
            text = "".join(f"{looks.plain(line).rstrip()}\n" for line in lines)
            self._output.put(encoded(text))

    def _look(self) -> None:
        self._topics.look(time.monotonic())
        if self._tree is not None:
            self._tree.look()
