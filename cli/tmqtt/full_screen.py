"""A screen of the command's own: drawn over and over, and the terminal is as before afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.cells import cell_len, set_cell_size

from tmqtt import looks
from tmqtt.looks import Line, Part
from tmqtt.output import encoded
from tmqtt.running import Terminal

# The alternate screen, without cursor and without wrapping; and all of it undone.
_ENTER = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[2J"
_LEAVE = b"\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"


class FullScreen:
    """Draws whole frames. `full_screen` makes one."""

    def __init__(self, terminal: Terminal, painter: looks.Painter) -> None:
        self._output = terminal.output
        self._painter = painter
        self._size = (0, 0)
        self._drawn = ""
        # The last sentence for the person.
        self.sentence = ""

    @property
    def size(self) -> tuple[int, int]:
        """The width and height that there is for a frame: a sentence has a line of its own."""
        width, height = self._painter.size
        return max(width, 1), max(height - bool(self.sentence), 1)

    @property
    def ready(self) -> bool:
        """Whether the terminal has taken the last frame."""
        return self._output.idle

    def draw(self, lines: Sequence[Line]) -> None:
        """Show a frame; what is too wide or too high is cut."""
        width, height = size = self.size
        shown = [cut(line, width) for line in lines[:height]]
        if self.sentence:
            shown.append(cut([(self.sentence, looks.WARNING)], width))
        text = "\r\n".join(f"{self._painter.paint(line)}\x1b[K" for line in shown)
        if size == self._size and text == self._drawn:
            return
        begin = "\x1b[H" if size == self._size else "\x1b[H\x1b[2J"
        self._size = size
        self._drawn = text
        self._output.put(encoded(f"{begin}{text}\x1b[J"))


@contextmanager
def full_screen(terminal: Terminal, painter: looks.Painter) -> Iterator[FullScreen]:
    """Take the terminal's screen, and give it back however the block ends."""
    screen = FullScreen(terminal, painter)

    def tell(sentence: str) -> None:
        screen.sentence = sentence

    terminal.restore = _LEAVE
    terminal.output.put(_ENTER)
    terminal.tell = tell
    try:
        yield screen
    finally:
        terminal.tell = None
        terminal.output.put(_LEAVE)


def cut(line: Line, width: int) -> Line:
    """The line in at most `width` cells; where something is missing it ends with "…"."""
    parts: list[Part] = []
    room = width
    for number, (text, style) in enumerate(line):
        size = cell_len(text)
        if size < room or (size == room and number == len(line) - 1):
            parts.append((text, style))
            room -= size
            continue
        if size == room and not any(rest for rest, _ in line[number + 1 :]):
            parts.append((text, style))
            break
        parts.append((set_cell_size(text, room - 1) + "…", style))
        break
    return parts
