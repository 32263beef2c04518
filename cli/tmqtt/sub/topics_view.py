"""`sub --watch` and `sub --tree`: a screen that stays, or in a pipe a table at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import trio

from tmqtt.messages.message import ShownMessage
from tmqtt.sub.table_frames import Table
from tmqtt.sub.views import View
from tmqtt.terminal import looks
from tmqtt.terminal.browsing import Browser
from tmqtt.terminal.full_screen import FullScreen, full_screen
from tmqtt.terminal.looks import Line
from tmqtt.terminal.streams import encoded
from tmqtt.terminal.terminal import Terminal
from tmqtt.topics.lines import summary
from tmqtt.topics.numbers import Path
from tmqtt.topics.topics import Sort, Topics
from tmqtt.topics.tree_frames import TreeFrames

_LOG_EVERY = 10.0  # seconds between lines in a pipe
_LOG_WIDTH = 120
_LOOKED_AT = 500  # topics with news in one look at a screen


class TopicsView(View):
    """Keeps what is known of each topic, and draws it. `end` gives the screen back."""

    def __init__(
        self, terminal: Terminal, title: str, *, tree: bool, order: Sort, path: Path
    ) -> None:
        self._terminal = terminal
        self._output = terminal.output
        self._title = title
        self._topics = Topics(time.monotonic(), path)
        self._tree = TreeFrames(self._topics, title) if tree else None
        self._frames = self._tree or Table(self._topics, order, title)
        self._stack = ExitStack()
        self._painter = looks.Painter() if terminal.output.is_terminal else None
        self._screen: FullScreen | None = None
        self._browser: Browser[Any] | None = None
        if self._painter is not None and self._painter.can_redraw:
            self._screen = self._stack.enter_context(full_screen(terminal, self._painter))
            if self._screen.has_keys:
                self._browser = Browser(self._frames)

    async def show(self, messages: Sequence[ShownMessage], moment: int) -> None:
        del moment
        self._topics.add_all(messages)

    async def run(self) -> None:
        screen = self._screen
        if screen is None:
            while True:
                await trio.sleep(_LOG_EVERY)
                self._look(time.monotonic())
                line = looks.plain((looks.clock(), *summary(self._title, self._topics, 10_000)))
                self._output.put(encoded(f"{line}\n"))
        await screen.show(
            partial(self._look, most=_LOOKED_AT),
            self._frame,
            self._press,
            is_behind=lambda: self._is_behind,
        )
        self._terminal.scope.cancel()

    def _press(self, key: str) -> bool:
        return self._browser is not None and self._browser.press(key)

    def _frame(self, now: float, width: int, height: int) -> list[Line]:
        return (self._browser or self._frames).frame(now, width, height)

    def end(self) -> None:
        now = time.monotonic()
        self._look(now)
        if self._screen is None:
            lines = self._frames.frame(now, _LOG_WIDTH, len(self._topics.all) * 2 + 99)
            text = "".join(f"{looks.plain(line).rstrip()}\n" for line in lines)
            self._output.put(encoded(text))
            return
        self._stack.close()
        last_frame = self._browser.last_frame if self._browser else self._frames.frame
        self._screen.leave(partial(last_frame, now))

    @property
    def _is_behind(self) -> bool:
        return self._topics.waiting if self._tree is None else self._tree.is_behind

    def _look(self, now: float, most: int | None = None) -> None:
        self._topics.look(now, most)
        if self._tree is not None:
            self._tree.look()
        if self._browser is not None:
            self._browser.refresh()
