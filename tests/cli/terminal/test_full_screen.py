"""A screen of the command's own: what is drawn goes to it, and never behind its end."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import count
from threading import Thread

import pytest
from tmqtt.terminal.full_screen import FullScreen
from tmqtt.terminal.looks import Line, Painter
from tmqtt.terminal.output import Output
from tmqtt.terminal.sequences import LEAVE_SCREEN
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


@pytest.mark.parametrize("takes", [True, False])
def test_a_terminal_that_takes_nothing_does_not_keep_the_process_from_ending(
    monkeypatch: pytest.MonkeyPatch, takes: bool
) -> None:
    keyboard, inner = os.openpty()
    monkeypatch.setattr("tmqtt.terminal.full_screen.STDOUT", inner)
    output = Output(inner, lambda: None)
    screen = FullScreen(Terminal(output, output), Painter())
    if not takes:
        os.set_blocking(inner, False)
        with suppress(BlockingIOError):
            while True:
                os.write(inner, bytes(1_000))
        os.set_blocking(inner, True)
    ending = Thread(target=screen.give_back_at_once, daemon=True)
    ending.start()
    ending.join(60)
    assert not ending.is_alive()
    assert (LEAVE_SCREEN.encode() in os.read(keyboard, 65_536)) is takes
    os.close(keyboard)
    os.close(inner)
