"""Text in the cells of a terminal, of which some characters take two and some none."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len, chop_cells, set_cell_size

from tmqtt.terminal.looks import Line, Part


def wrap(line: Line, width: int) -> Iterator[Line]:
    """The line in pieces of at most `width` cells."""
    current: list[Part] = []
    room = width
    for text, style in line:
        while text:
            if len(text) <= room and (text.isascii() or cell_len(text) <= room):
                current.append((text, style))
                room -= cell_len(text)
                break
            head = chop_cells(text[:room], room)[0] if room > 1 else ""
            if head and cell_len(head) <= room:
                current.append((head, style))
                text = text[len(head) :]
            elif not current:  # not even one character fits
                current.append((text[:1], style))
                text = text[1:]
            yield current
            current, room = [], width
    if current:
        yield current


def length(line: Line) -> int:
    """The cells that a line takes."""
    return sum(cell_len(text) for text, _ in line)


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


def fit(text: str, width: int) -> str:
    """The text in exactly so many cells."""
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    return set_cell_size(text, width)
