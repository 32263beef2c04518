"""Going through many rows on a screen by keys: scrolling, a filter, one row in full. Sans-IO."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from rich.cells import cell_len

from tmqtt.terminal import keys, looks
from tmqtt.terminal.looks import Line

_SEPARATOR = " · "
# What a key is called in vi and less, beside what is written on it.
_ALSO = {"k": keys.UP, "j": keys.DOWN, "g": keys.HOME, "G": keys.END, "h": keys.LEFT,
         "l": keys.RIGHT, " ": keys.PAGE_DOWN, "b": keys.PAGE_UP}  # fmt: skip
_BACK = (keys.ESCAPE, keys.ENTER, keys.LEFT, keys.BACKSPACE)

# A hint, and how much it matters: the lowest number first, where there is no room for all.
Hint = tuple[str, int]
_HINTS: tuple[Hint, ...] = (("↑↓ scroll", 3), ("/ filter", 2), ("? keys", 0), ("q ends", 1))
_BACK_HINTS: tuple[Hint, ...] = (("Esc goes back", 0), ("q ends", 1))
_HELP = (
    ("↑ ↓", "the row above, below"),
    ("PgUp PgDn", "a screen up, down"),
    ("Home End", "the first row, the last"),
    ("/", "show only what has this text; Enter keeps it, Esc clears it"),
    ("?", "these keys"),
    ("q Ctrl-C", "end, and leave what was shown"),
    ("Ctrl-Z", "stop for now; fg goes on"),
)
_ROW = TypeVar("_ROW")


class Rows(Protocol[_ROW]):
    """What is browsed."""

    @property
    def heads(self) -> int:
        """How many of the first lines of `lines` are no rows."""
        ...

    @property
    def follows(self) -> bool:
        """Whether the chosen row stays chosen when its place changes; else its place does."""
        ...

    def rows(self, page: int) -> Sequence[_ROW]:
        """All rows as they are now, of which `page` are seen at once."""
        ...

    def lines(self, now: float, width: int, shown: Sequence[_ROW], chosen: int) -> list[Line]:
        """The heads, and a line for each of these rows; `chosen` is one of them, or -1."""
        ...

    def in_full(self, row: _ROW, now: float, width: int, height: int) -> list[Line]:
        """All about one row."""
        ...

    def press(self, key: str, row: _ROW) -> _ROW | None:
        """A key of its own was typed at a row: the row to choose then, or None for other keys."""
        ...

    def act(self, key: str, row: _ROW) -> bool:
        """A key was typed at a row, or where it is shown in full. Whether it was for that."""
        ...

    def find(self, pattern: re.Pattern[str] | None) -> None:
        """Keep only rows of topics in which this is found."""
        ...

    def notes(self) -> list[str]:
        """What else the last line is to say, in few words."""
        ...

    def hints(self) -> list[Hint]:
        """Keys of its own, for the last line."""
        ...

    def help(self) -> list[tuple[str, str]]:
        """Keys of its own, and what each does."""
        ...


class Browser(Generic[_ROW]):
    """Where a person is among the rows. `press` keys, then draw the `frame`."""

    def __init__(self, rows: Rows[_ROW]) -> None:
        self._rows = rows
        self._at = 0  # the chosen row
        self._first = 0  # of those that are seen
        self._page = 1
        self._chosen: _ROW | None = None
        self._found: Sequence[_ROW] = ()
        self._stale = True
        self._text = ""
        self._editing = False
        self._help = False
        self._in_full: _ROW | None = None

    @property
    def lists(self) -> bool:
        """Whether rows are shown, and not one in full or the keys."""
        return not self._help and self._in_full is None

    @property
    def edits(self) -> bool:
        """Whether what is typed is a text to look for."""
        return self._editing

    @property
    def chosen(self) -> _ROW | None:
        """The row where the person is."""
        return self._chosen

    def refresh(self) -> None:
        """The rows may have changed."""
        self._stale = True

    def press(self, key: str) -> bool:
        """A key was typed. Whether it ends all."""
        if self._editing:
            self._edit(key)
            return False
        key = _ALSO.get(key, key)
        if key == "q":
            return True
        if self._help:
            self._help = False
        elif self._in_full is not None:
            if key in _BACK:
                self._in_full = None
            else:
                self._rows.act(key, self._in_full)
        elif key == "?":
            self._help = True
        elif key == "/":
            self._editing = True
        elif key == keys.ESCAPE:
            self._find("")
        else:
            self._move(key)
        return False

    def frame(self, now: float, width: int, height: int) -> list[Line]:
        """The screen: rows, and in the last line where they are and which keys there are."""
        if self._help:
            return [*self._help_page()[: height - 1], ((" Any key goes back.", looks.NOTE),)]
        if self._in_full is not None:
            lines = self._rows.in_full(self._in_full, now, width, height - 1)[: height - 1]
            lines += [()] * (height - 1 - len(lines))
            return [*lines, ((_fit(_BACK_HINTS, [], width), looks.NOTE),)]
        lines = self._seen(now, width, height - 1, choose=True)
        lines += [()] * (height - 1 - len(lines))
        return [*lines[: max(height - 1, 0)], self._last_line(width)]

    def last_frame(self, now: float, width: int, height: int) -> list[Line]:
        """What is to be left where the screen was: the rows that were seen, and how many more."""
        self._in_full, self._help = None, False
        lines = self._seen(now, width, height - 1, choose=False)
        more = len(self._found) - self._page
        words = [f"… {more:,} more not shown"] * (more > 0)
        if self._text:
            words.insert(0, f"only with {self._text!r} in the topic")
        words += self._rows.notes()
        if words:
            lines.append(((_SEPARATOR.join(words), looks.NOTE),))
        return lines[:height]

    def _seen(self, now: float, width: int, height: int, *, choose: bool) -> list[Line]:
        self._page = max(height - self._rows.heads, 1)
        self._look()
        first = self._first
        return self._rows.lines(
            now, width, self._found[first : first + self._page], self._at - first if choose else -1
        )

    def _look(self) -> None:
        """Have the rows as they are, and the chosen one among those that are seen."""
        if self._stale:
            self._stale = False
            self._found = found = self._rows.rows(self._page)
            chosen = self._chosen
            if chosen is not None and self._at > 0 and self._rows.follows:
                here = self._at < len(found) and found[self._at] is chosen
                if not here and chosen in found:
                    moved = found.index(chosen) - self._at
                    self._at += moved
                    self._first += moved * (self._first > 0)  # at the top, what is new is seen
        last = max(len(self._found) - 1, 0)
        self._at = min(max(self._at, 0), last)
        self._chosen = self._found[self._at] if self._found else None
        self._first = min(self._first, max(last + 1 - self._page, 0), self._at)
        self._first = max(self._first, self._at - self._page + 1, 0)

    def _move(self, key: str) -> None:
        steps = {keys.UP: -1, keys.DOWN: 1, keys.PAGE_UP: -self._page, keys.PAGE_DOWN: self._page,
                 keys.HOME: -len(self._found), keys.END: len(self._found)}  # fmt: skip
        self._look()
        step = steps.get(key)
        if step is not None:
            self._at += step
            if abs(step) == self._page > 1:
                self._first += step
            self._chosen = None
            self._look()
            return
        if self._chosen is None:
            return
        if self._rows.act(key, self._chosen):
            return
        chosen = self._rows.press(key, self._chosen)
        if chosen is not None:
            self._stale = True
            self._look()
            if chosen is not self._chosen and chosen in self._found:
                self._at = self._found.index(chosen)
                self._look()
        elif key == keys.ENTER:
            self._in_full = self._chosen

    def _edit(self, key: str) -> None:
        if key == keys.ENTER:
            self._editing = False
        elif key == keys.ESCAPE:
            self._editing = False
            self._find("")
        elif key == keys.BACKSPACE:
            self._editing = bool(self._text)
            self._find(self._text[:-1])
        elif key == keys.CLEAR:
            self._find("")
        elif len(key) == 1:
            self._find(self._text + key)

    def _find(self, text: str) -> None:
        if text != self._text:
            self._text = text
            self._rows.find(re.compile(re.escape(text), re.IGNORECASE) if text else None)
            self._stale = True

    def _last_line(self, width: int) -> Line:
        count = len(self._found)
        if self._editing:
            asked = f"/{self._text}_"
            hints = [("Enter keeps it", 1), ("Esc clears it", 0)]
            return (
                (asked, looks.STRONG),
                (_fit(hints, [f" {count:,} found"], width - cell_len(asked)), looks.NOTE),
            )
        words = []
        if self._text:
            words.append(f"/{self._text}")
        if count > self._page or self._text:
            last = min(self._first + self._page, count)
            words.append(f"{min(self._first + 1, count):,} to {last:,} of {count:,}")
        words += self._rows.notes()
        return ((_fit([*_HINTS[:2], *self._rows.hints(), *_HINTS[2:]], words, width), looks.NOTE),)

    def _help_page(self) -> list[Line]:
        rows = [*_HELP[:3], *self._rows.help(), *_HELP[3:]]
        wide = max(len(key) for key, _ in rows) + 2
        return [((f" {key.ljust(wide)}", looks.STRONG), (text, looks.PLAIN)) for key, text in rows]


def _fit(hints: Sequence[Hint], words: Sequence[str], width: int) -> str:
    """The words, and as many hints as there is room for, whole ones, in their order."""
    chosen: list[Hint] = []
    for hint in sorted(hints, key=lambda hint: hint[1]):
        tried = [*words, *(text for text, _ in [*chosen, hint])]
        if cell_len(_SEPARATOR.join(tried)) <= width:
            chosen.append(hint)
    return _SEPARATOR.join([*words, *(hint[0] for hint in hints if hint in chosen)])
