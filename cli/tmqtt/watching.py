"""The screens of `sub --watch` and `sub --tree`: frames made from what is known. Sans-IO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rich.cells import cell_len, set_cell_size

from tmqtt import looks
from tmqtt.escaping import escape, escape_payload
from tmqtt.looks import Line, Part
from tmqtt.sparkline import sparkline
from tmqtt.topic_tree import Tree
from tmqtt.topics import Sort, Topic, Topics

_RATE = 8
_AGE = 5
_PLOT = 12
_GAP = "  "


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

    def __init__(self, topics: Topics, order: Sort, title: str) -> None:
        self._topics = topics
        self._order = order
        self._title = title
        self._fitted = _Fitted()

    def frame(self, now: float, width: int, height: int) -> list[Line]:
        topics = self._topics
        rows = topics.sorted(self._order)
        shown = rows[: max(height - 3, 1)]
        self._fitted = _Fitted(len(shown), len(rows))
        with_plot = width >= 60 and any(topic.numbers for topic in shown)
        fixed = _RATE + _AGE + 2 * len(_GAP) + (_PLOT + len(_GAP) if with_plot else 0)
        longest = max((cell_len(escape(topic.name[:width])) for topic in shown), default=0)
        name_width = max(5, min(longest, (width - fixed) * 3 // 5))
        head: list[Part] = [
            (set_cell_size("TOPIC", name_width), looks.STRONG),
            (f"{_GAP}{'RATE':>{_RATE}}{_GAP}{'AGE':>{_AGE}}", looks.STRONG),
        ]
        if with_plot:
            head.append((f"{_GAP}{'TREND':<{_PLOT}}", looks.STRONG))
        head.append((f"{_GAP}LAST", looks.STRONG))
        lines: list[Line] = [summary(self._title, topics), head]
        value_width = max(width - name_width - fixed - len(_GAP), 4)
        lines += (self._row(topic, now, name_width, value_width, with_plot) for topic in shown)
        left_out = self.left_out()
        if left_out:
            lines.append(((left_out, looks.NOTE),))
        return lines[:height]

    def left_out(self) -> str:
        hidden = self._fitted.of - self._fitted.shown
        words = [f"… {hidden:,} more topic{'' if hidden == 1 else 's'} not shown"] * (hidden > 0)
        if self._topics.not_kept:
            words.append(f"{self._topics.not_kept:,} messages of further topics only counted")
        return "; ".join(words)

    @staticmethod
    def _row(topic: Topic, now: float, name_width: int, value_width: int, plot: bool) -> Line:
        parts: list[Part] = [
            (_fit(escape(topic.name[: name_width + 1]), name_width), looks.TOPIC),
            (f"{_GAP}{rate(topic.rate):>{_RATE}}", looks.PLAIN),
            (f"{_GAP}{age(now - topic.at):>{_AGE}}", looks.NOTE),
        ]
        if plot:
            bars = sparkline(list(topic.numbers or ()), _PLOT)
            parts.append((f"{_GAP}{bars:<{_PLOT}}", looks.CLIENT))
        parts.append((f"{_GAP}{_value(topic.payload, value_width)}", looks.PLAIN))
        return parts


class TreeFrames:
    """The topics as a tree, with how many messages there were below each level."""

    def __init__(self, topics: Topics, title: str) -> None:
        self._topics = topics
        self._tree = Tree()
        self._title = title
        self._hidden = 0

    def look(self) -> None:
        """Count what the last look at the topics found."""
        self._tree.update(self._topics.changed)

    def frame(self, now: float, width: int, height: int) -> list[Line]:
        del now
        lines: list[Line] = [summary(self._title, self._topics)]
        self._hidden = 0
        for branch in self._tree.branches(max(height - 2, 1)):
            node = branch.node
            if node is None:
                self._hidden += branch.hidden
                more = f"… {branch.hidden:,} more"
                lines.append(((branch.lead, looks.NOTE), (more, looks.NOTE)))
                continue
            parts: list[Part] = [
                (branch.lead, looks.NOTE),
                (escape(node.level[:width]) or '""', looks.TOPIC),
            ]
            counts = f"  {node.count:,}"
            if node.below:
                counts += f" in {node.topics:,} topic{'' if node.topics == 1 else 's'}"
            parts.append((counts, looks.NOTE))
            if branch.hidden:
                self._hidden += branch.hidden
                parts.append(("  ▸", looks.STRONG))
            if node.topic is not None:
                parts.append((f"  {_value(node.topic.payload, width)}", looks.PLAIN))
            lines.append(parts)
        left_out = self.left_out()
        if left_out and len(lines) < height:
            lines.append(((left_out, looks.NOTE),))
        return lines[:height]

    def left_out(self) -> str:
        topics = self._topics
        words = []
        if self._hidden:
            words.append(f"▸ holds more: {self._hidden:,} of {len(topics.all):,} branches not open")
        if topics.not_kept:
            words.append(f"{topics.not_kept:,} messages of further topics only counted")
        return "; ".join(words)


def summary(title: str, topics: Topics) -> Line:
    """How things stand, in one line."""
    count, known = topics.total(), len(topics.all)
    return (
        (title, looks.STRONG),
        (" · ", looks.NOTE),
        (f"{known:,} topic{'' if known == 1 else 's'}", looks.PLAIN),
        (" · ", looks.NOTE),
        (f"{rate(topics.rate)}/s", looks.PLAIN),
        (" · ", looks.NOTE),
        (f"{count:,} message{'' if count == 1 else 's'}", looks.PLAIN),
    )


def rate(value: float) -> str:
    """Messages a second, in few characters."""
    if value >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 0.05 else ("0" if not value else f"{value:.2f}")


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


def _value(payload: bytes, width: int) -> str:
    if not payload:
        return "(empty)"
    return escape_payload(payload, width)


def _fit(text: str, width: int) -> str:
    """The text in exactly so many cells."""
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    return set_cell_size(text, width)
