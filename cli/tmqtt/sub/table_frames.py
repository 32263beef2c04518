"""The table of `sub --watch`: topics by name, by rate or by age. Sans-IO."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from tmqtt.terminal import looks
from tmqtt.terminal.cells import fit
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.figures import counted, rate
from tmqtt.terminal.looks import Line, Part
from tmqtt.terminal.sparkline import sparkline
from tmqtt.topics.lines import age, in_full, not_kept, summary, value
from tmqtt.topics.topics import SORTS, Sort, Topic, Topics

_RATE = 5
_AGE = 4
_PLOT = 12
_GAP = "  "
# Cells for a value: so many make a trend beside it welcome, and fewer take the room of the others.
_GOOD_VALUE = 24
_LEAST_VALUE = 10


class Table:
    """A row a topic: rate, age, a row of numbers, the last value."""

    heads = 2

    def __init__(self, topics: Topics, order: Sort, title: str) -> None:
        self._topics = topics
        self._order: Sort = order
        self._title = title
        self._hidden = 0
        self._rate_width = _RATE
        self._pattern: re.Pattern[str] | None = None

    def frame(self, now: float, width: int, height: int) -> list[Line]:
        rows = self._topics.sorted(self._order)
        shown = rows[: max(height - 3, 1)]
        self._hidden = len(rows) - len(shown)
        lines = self.lines(now, width, shown, -1)
        left_out = self.left_out()
        if left_out:
            lines.append(((left_out, looks.NOTE),))
        return lines[:height]

    def left_out(self) -> str:
        """What the last frame left out, in a few words, or nothing."""
        words = [f"… {counted(self._hidden, 'more topic')} not shown"] * (self._hidden > 0)
        return "; ".join([*words, *self.notes()])

    # What is browsed.

    @property
    def follows(self) -> bool:
        return self._order == "topic"

    def rows(self, page: int) -> Sequence[Topic]:
        del page
        rows = self._topics.sorted(self._order)
        if self._pattern is None:
            return rows
        found = self._pattern.search
        return [topic for topic in rows if found(topic.name)]

    def find(self, pattern: re.Pattern[str] | None) -> None:
        self._pattern = pattern

    def press(self, key: str, row: Topic) -> Topic | None:
        if key != "s":
            return None
        self._order = SORTS[(SORTS.index(self._order) + 1) % len(SORTS)]
        return row

    def act(self, key: str, row: Topic) -> bool:
        del key, row
        return False

    def notes(self) -> list[str]:
        return not_kept(self._topics)

    def hints(self) -> list[tuple[str, int]]:
        return [(f"s sort: {self._order}", 4), ("Enter in full", 5)]

    def help(self) -> list[tuple[str, str]]:
        return [("s", "sort by topic, by rate, by age"), ("Enter", "the last message in full")]

    def in_full(self, row: Topic, now: float, width: int, height: int) -> list[Line]:
        return in_full(row, now, width, height)

    def lines(self, now: float, width: int, shown: Sequence[Topic], chosen: int) -> list[Line]:
        longest = max((cell_len(escape(topic.name[:width])) for topic in shown), default=0)
        rates = max((len(rate(topic.rate)) for topic in shown), default=0)
        # Only ever wider: columns that come and go cannot be read.
        self._rate_width = min(max(self._rate_width, rates), 12)
        columns = _Columns.that_fit(
            width, longest, self._rate_width, plot=any(topic.numbers for topic in shown)
        )
        return [
            summary(self._title, self._topics, width),
            columns.head(),
            *(columns.row(topic, now, number == chosen) for number, topic in enumerate(shown)),
        ]


@dataclass(frozen=True, slots=True)
class _Columns:
    """How wide each column is; what has no room is 0."""

    name: int
    rate: int
    age: int
    plot: int
    value: int

    @staticmethod
    def that_fit(width: int, longest: int, rates: int, *, plot: bool) -> _Columns:
        """Values are what is looked at: for them the others make room."""
        tried = _Columns(5, 0, 0, 0, 4)
        for trend, old, fast in ((plot, 1, 1), (0, 1, 1), (0, 0, 1), (0, 0, 0)):
            fixed = (rates * fast, _AGE * old, _PLOT * bool(trend))
            left = width - sum(one + len(_GAP) for one in fixed if one) - len(_GAP)
            name = max(5, min(longest, left * 3 // 5))
            tried = _Columns(name, fixed[0], fixed[1], fixed[2], max(left - name, 4))
            if tried.value >= (_GOOD_VALUE if trend else _LEAST_VALUE):
                break
        return tried

    def head(self) -> Line:
        cells = [set_cell_size("TOPIC", self.name)]
        if self.rate:
            cells.append(f"{'RATE':>{self.rate}}")
        if self.age:
            cells.append(f"{'AGE':>{self.age}}")
        if self.plot:
            cells.append(f"{'TREND':<{self.plot}}")
        return ((_GAP.join([*cells, "LAST"]), looks.STRONG),)

    def row(self, topic: Topic, now: float, chosen: bool) -> Line:
        parts: list[Part] = [(fit(escape(topic.name[: self.name + 1]), self.name), looks.TOPIC)]
        if self.rate:
            parts.append((f"{_GAP}{rate(topic.rate):>{self.rate}}", looks.PLAIN))
        if self.age:
            parts.append((f"{_GAP}{age(now - topic.at):>{self.age}}", looks.NOTE))
        if self.plot:
            bars = sparkline(list(topic.numbers or ()), self.plot)
            parts.append((f"{_GAP}{bars:<{self.plot}}", looks.CLIENT))
        parts.append((f"{_GAP}{value(topic.payload, self.value)}", looks.PLAIN))
        return [(text, f"reverse {style}".rstrip()) for text, style in parts] if chosen else parts
