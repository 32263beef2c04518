"""How lines look: parts of text, each in a style, painted by Rich in a terminal, else plain."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Sequence

from tmqtt.terminal.streams import STDERR, STDOUT

# A part of a line: text that is safe to show, and its style in Rich's words.
Part = tuple[str, str]
Line = Sequence[Part]

TIME = "dim"
CLIENT = "cyan"
TOPIC = "magenta"
NOTE = "dim"
WARNING = "yellow"
GOOD = "green"
STRONG = "bold"
PLAIN = ""


def plain(line: Line) -> str:
    """The line without any style."""
    return "".join(text for text, _ in line)


def clock() -> Part:
    """The local time, as lines begin with it."""
    return time.strftime("%H:%M:%S "), TIME


class _Nowhere(io.StringIO):
    """What Rich writes to: even what it captures touches its file, and a terminal may have gone."""

    def write(self, text: str) -> int:
        return len(text)


class Painter:
    """Paints lines for the terminal at stdout, or at stderr, in the colours that it has.

    Text is never read as markup. NO_COLOR and TERM are honoured, by Rich.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        from rich.console import Console  # not needed by a broker in a pipe, which paints nothing

        self._descriptor = STDERR if stderr else STDOUT
        self._console = Console(
            file=_Nowhere(),
            force_terminal=os.isatty(self._descriptor) or None,
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._styles: dict[str, tuple[str, str]] = {}

    @property
    def can_redraw(self) -> bool:
        """Whether a line can be drawn anew in its place."""
        return not self._console.is_dumb_terminal

    @property
    def width(self) -> int:
        """The columns of the terminal, as it is now."""
        return self._console.width

    @property
    def size(self) -> tuple[int, int]:
        """The terminal's width and height, in cells, as they are now.

        By the terminal's own word: COLUMNS and LINES of the environment do not follow it.
        """
        try:
            columns, lines = os.get_terminal_size(self._descriptor)
        except OSError:
            columns = lines = 0
        size = self._console.size
        return columns or size.width, lines or size.height

    def paint(self, line: Line) -> str:
        """The line, however long."""
        return "".join(
            f"{codes[0]}{text}{codes[1]}" if (codes := self._codes(style)) else text
            for text, style in line
        )

    def paint_within(self, line: Line) -> str:
        """The line, cut to the width of the terminal, with room for the ^C that that may write."""
        from rich.text import Text

        text = Text.assemble(*line, end="")
        text.truncate(max(self._console.width - 2, 1), overflow="ellipsis")
        with self._console.capture() as capture:
            self._console.print(text, end="", soft_wrap=True)
        return capture.get()

    def _codes(self, name: str) -> tuple[str, str] | None:
        """What goes before and after text in a style."""
        if not name:
            return None
        if name not in self._styles:
            from rich.style import Style
            from rich.text import Text

            with self._console.capture() as capture:
                self._console.print(Text("\u2022", Style.parse(name)), end="")
            before, _, after = capture.get().partition("\u2022")
            self._styles[name] = before, after
        return self._styles[name]
