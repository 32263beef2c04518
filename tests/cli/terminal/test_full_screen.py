"""A screen of the command's own: what is drawn goes to it, and never behind its end."""

from __future__ import annotations

import os
from itertools import count

import pytest
from tmqtt.terminal.full_screen import FullScreen
from tmqtt.terminal.looks import Line, Painter
from tmqtt.terminal.output import Output
from tmqtt.terminal.terminal import Terminal


@pytest.mark.trio
async def test_nothing_is_drawn_once_the_terminal_was_given_back() -> None:
    """Such as while the last frame is being written before the command stops (Ctrl-Z)."""
    ends = os.openpty()
    output = Output(ends[1], lambda: None)
    screen = FullScreen(Terminal(output, output), Painter())
    frames = count()

    def frame(_width: int, _height: int) -> list[Line]:
        return [((f"frame {next(frames)}", ""),)]

    screen.take()
    taken = output.size
    screen.draw(frame)
    assert output.size > taken
    screen.give_back()
    given_back = output.size
    screen.draw(frame)
    assert output.size == given_back
    screen.take()
    taken = output.size
    screen.draw(frame)
    assert output.size > taken
    for end in ends:
        os.close(end)
