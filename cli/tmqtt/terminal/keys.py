"""Keys typed at a terminal: read one by one, by names, and the terminal as it was afterwards."""

from __future__ import annotations

import codecs
import errno
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import trio

STDIN = 0
_READ = 1024  # bytes at once
# Seconds after which an escape that nothing follows is the key Escape, and not how another begins.
_LONE_ESCAPE = 0.05

UP, DOWN, LEFT, RIGHT = "up", "down", "left", "right"
HOME, END, PAGE_UP, PAGE_DOWN = "home", "end", "page up", "page down"
ENTER, ESCAPE, BACKSPACE, CLEAR, TAB = "enter", "escape", "backspace", "clear", "tab"

# ECMA-48 control sequences, and the SS3 form that keypads have; `5` of `\x1b[1;5A` is a modifier.
_SEQUENCE = re.compile(r"\x1b(?:\[([0-9;?<=>]*)[ -/]*([@-~])|O([ -~]))")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;?<=>]*[ -/]*|O)?")
_LETTERS = {"A": UP, "B": DOWN, "C": RIGHT, "D": LEFT, "H": HOME, "F": END}
_NUMBERS = {"1": HOME, "7": HOME, "4": END, "8": END, "5": PAGE_UP, "6": PAGE_DOWN}
_CONTROLS = {"\r": ENTER, "\n": ENTER, "\x1b": ESCAPE, "\x7f": BACKSPACE, "\b": BACKSPACE,
             "\x15": CLEAR, "\x06": PAGE_DOWN, "\x02": PAGE_UP, "\t": TAB}  # fmt: skip


class Keys:
    """Turns what a terminal sends into names of keys, or single characters. Sans-IO."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._held = ""

    @property
    def waiting(self) -> bool:
        """Whether a key has begun that more may belong to; `flush` takes it as it is."""
        return bool(self._held)

    def feed(self, data: bytes) -> list[str]:
        """The keys in it. What is unknown is left out."""
        text = self._held + self._decoder.decode(data)
        self._held = ""
        found: list[str] = []
        at = 0
        while at < len(text):
            sequence = _SEQUENCE.match(text, at)
            if sequence is not None:
                at = sequence.end()
                arguments, final, keypad = sequence.groups()
                key = ENTER if keypad == "M" else _LETTERS.get(keypad or final)
                if final == "~":
                    key = _NUMBERS.get(arguments.partition(";")[0])
                if key is not None:
                    found.append(key)
                continue
            if text[at] == "\x1b" and _UNFINISHED.fullmatch(text, at):
                self._held = text[at:]
                break
            key = _CONTROLS.get(text[at], text[at])
            if key != text[at] or key.isprintable():
                found.append(key)
            at += 1
        return found

    def flush(self) -> list[str]:
        """No more comes: an escape was the key of that name."""
        held, self._held = self._held, ""
        return [ESCAPE] if held == "\x1b" else []


class Keyboard:
    """The terminal at stdin, read key by key. Where stdin is none, there are no keys."""

    def __init__(self) -> None:
        self.there = sys.platform != "win32" and os.isatty(STDIN)
        self._before: list[Any] | None = None

    def open(self) -> None:
        """Have keys come at once and unseen; Ctrl-C and Ctrl-Z stay what they are."""
        if not self.there or sys.platform == "win32":
            return
        import termios

        try:
            if self._before is None:
                self._before = termios.tcgetattr(STDIN)
            mode = [*self._before]
            mode[3] &= ~(termios.ICANON | termios.ECHO)
            mode[6] = [*mode[6]]
            mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
            _set(termios.TCSADRAIN, mode)
        except (OSError, termios.error):  # it has hung up
            self.there = False

    def close(self) -> None:
        """Put the terminal back."""
        if self._before is None or sys.platform == "win32":
            return
        import termios

        with suppress(OSError, termios.error):
            _set(termios.TCSANOW, self._before)

    async def read(self, press: Callable[[str], None]) -> None:
        """Call `press` with each key, until the terminal is gone or cancelled."""
        if not self.there:
            return
        keys = Keys()
        while True:
            with trio.move_on_after(_LONE_ESCAPE if keys.waiting else float("inf")):
                await trio.lowlevel.wait_readable(STDIN)
                try:
                    data = os.read(STDIN, _READ)
                except OSError:
                    return
                if not data:
                    return
                for key in keys.feed(data):
                    press(key)
                continue
            for key in keys.flush():
                press(key)


def _set(when: int, mode: list[Any]) -> None:
    """Set a terminal's mode, also where that stops the process until it is in the foreground."""
    if sys.platform == "win32":
        return
    import termios

    while True:
        try:
            termios.tcsetattr(STDIN, when, mode)
        except termios.error as error:
            if error.args[0] == errno.EINTR:
                continue
            raise
        return
