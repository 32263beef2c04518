"""The table of `sub --watch`, and what it shares with the tree of `--tree`. Sans-IO."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.cells import cell_len, set_cell_size

from tmqtt.messages import payload_view
from tmqtt.sub.topics import SORTS, Sort, Topic, Topics
from tmqtt.terminal import looks
from tmqtt.terminal.cells import fit, wrap
from tmqtt.terminal.escaping import escape, escape_payload
from tmqtt.terminal.figures import counted, rate
from tmqtt.terminal.looks import Line, Part
from tmqtt.terminal.sparkline import sparkline

_RATE = 5
_AGE = 4
_PLOT = 12
_GAP = "  "
# Cells for a value: so many make a trend beside it welcome, and fewer take the room of the others.
_GOOD_VALUE = 24
_LEAST_VALUE = 10


class Frames(Protocol):
    """What fills a screen."""

    def frame(self, now: float, width: int, height: int) -> list[Line]:
        """At most `height` lines; what is too long for `width` is cut by who draws them."""
        ...

    def left_out(self) -> str:
        """What the last frame left out, in a few words, or nothing."""
        ...


@dataclass(slots=True)
class _Fitted:
    shown: int = 0
    of: int = 0


class Table:
    """A row a topic: rate, age, a row of numbers, the last value."""

    heads = 2

    def __init__(self, topics: Topics, order: Sort, title: str) -> None:
        self._topics = topics
        self._order: Sort = order
        self._title = title
        self._fitted = _Fitted()
        self._rate_width = _RATE
        self._pattern: re.Pattern[str] | None = None

    def frame(self, now: float, width: int, height: int) -> list[Line]:
        rows = self._topics.sorted(self._order)
        shown = rows[: max(height - 3, 1)]
        self._fitted = _Fitted(len(shown), len(rows))
        lines = self.lines(now, width, shown, -1)
        left_out = self.left_out()
        if left_out:
            lines.append(((left_out, looks.NOTE),))
        return lines[:height]

    def left_out(self) -> str:
        hidden = self._fitted.of - self._fitted.shown
        words = [f"… {counted(hidden, 'more topic')} not shown"] * (hidden > 0)
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


def summary(title: str, topics: Topics, width: int) -> Line:
    """How things stand, in one line; where that is narrow, at the cost of the title."""
    count, known = topics.total(), len(topics.all)
    figures = [
        counted(known, "topic"),
        f"{rate(topics.rate)}/s",
        counted(count, "message"),
    ]
    while len(figures) > 1 and len(" · ".join(figures)) > width:
        figures.pop()
    room = width - sum(len(figure) + 3 for figure in figures)
    if cell_len(title) > room:
        title = title.partition(" at ")[0]  # the address is known to who gave it
    if cell_len(title) > room >= 8:
        title = fit(title, room)
    parts: list[Part] = [(title, looks.STRONG)] if cell_len(title) <= room else []
    for figure in figures:
        parts += [(" · ", looks.NOTE)] * bool(parts) + [(figure, looks.PLAIN)]
    return parts


def not_kept(topics: Topics) -> list[str]:
    """What is to be said of topics beyond the bound."""
    if not topics.not_kept:
        return []
    return [f"{topics.not_kept:,} messages of further topics only counted"]


def in_full(topic: Topic, now: float, width: int, height: int) -> list[Line]:
    """One topic with its last message, in at most so many lines."""
    count = topic.count
    figures = (
        f"{counted(count, 'message')}, {rate(topic.rate)}/s,"
        f" the last {age(now - topic.at)}{'' if now - topic.at < 1 else ' ago'},"
        f" {counted(len(topic.payload), 'byte')}"
    )
    shown = payload_view.show(topic.payload, None, width=width, height=max(height - 4, 1))
    lines: list[Line] = list(wrap([(escape(topic.name), looks.TOPIC)], width))[:3]
    lines += [((figures, looks.NOTE),), ()]
    lines += shown.tall or ([shown.flat] if shown.flat is not None else [])
    if shown.left_out:
        lines = lines[: height - 1]
        lines.append(((f"… {shown.left_out:,} more bytes", looks.NOTE),))
    return lines[:height]


def age(seconds: float) -> str:
    """How long ago, in at most four characters."""
    whole = int(seconds)
    if whole < 1:
        return "now"
    for unit, size in (("s", 60), ("m", 60), ("h", 48)):
        if whole < size:
            return f"{whole}{unit}"
        whole //= 24 if unit == "h" else 60
    return f"{whole}d"


def value(payload: bytes, width: int) -> str:
    """A payload in a line, of which no more than `width` cells are seen."""
    if not payload:
        return "(empty)"
    return escape_payload(payload, width)
