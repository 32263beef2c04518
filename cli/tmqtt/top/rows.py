"""A broker's figures as rows of a screen, which a person goes through by keys. Sans-IO."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence

from tmqtt.terminal import looks
from tmqtt.terminal.figures import counted
from tmqtt.terminal.looks import Line, Part
from tmqtt.terminal.sparkline import ASCII_BARS, BARS, sparkline
from tmqtt.top.layout import amount, sections, title
from tmqtt.top.readings import Readings


class Figure:
    """A row: a figure of a section, or the head of one, which has no label."""

    __slots__ = ("label", "name", "section")

    def __init__(self, section: str, label: str, name: str | None) -> None:
        self.section = section
        self.label = label
        self.name = name  # by which its rates are kept, if they are


class Figures:
    """What there is to browse. `lost` says that the broker is not connected now."""

    heads = 1
    follows = True

    def __init__(self, readings: Readings, url: str, *, unicode: bool) -> None:
        self._live = self._shown = readings
        self._url = url
        self._unicode = unicode
        self._figures: dict[tuple[str, str], Figure] = {}
        self._pattern: re.Pattern[str] | None = None
        self._page = 1
        self.lost = False

    @property
    def _paused(self) -> bool:
        return self._shown is not self._live

    def rows(self, page: int) -> Sequence[Figure]:
        self._page = page
        found: list[Figure] = []
        for section, lines in sections(self._shown, 80, unicode=self._unicode):
            some = [
                self._figures.setdefault((section, label), Figure(section, label, name))
                for label, name, _ in lines
            ]
            if self._pattern is not None:
                search = self._pattern.search
                kept = [one for one in some if one.label and search(f"{section} {one.label}")]
                some = [one for one in some if kept and not one.label] + kept
            found += some
        return found

    def lines(self, now: float, width: int, shown: Sequence[Figure], chosen: int) -> list[Line]:
        del now
        found = {
            (section, label): line
            for section, lines in sections(self._shown, width, unicode=self._unicode)
            for label, _, line in lines
        }
        lines: list[Line] = [title(self._shown, self._url, width)]
        kinds = len({one.section for one in shown})
        is_airy = len(shown) + kinds <= self._page  # there is room for lines between sections
        before = None
        for number, one in enumerate(shown):
            if is_airy and one.section != before:
                lines.append(())
            before = one.section
            line = found.get((one.section, one.label), ())
            lines.append(_chosen(line) if number == chosen else line)
        return lines

    def find(self, pattern: re.Pattern[str] | None) -> None:
        self._pattern = pattern

    def press(self, key: str, row: Figure) -> Figure | None:
        del key
        return None if row.label else row  # of a head there is no more

    def act(self, key: str, row: Figure) -> bool:
        del row
        if key == "p":
            self._shown = self._live if self._paused else copy.deepcopy(self._live)
        return key == "p"

    def in_full(self, row: Figure, now: float, width: int, height: int) -> list[Line]:
        del now
        lines: list[Line] = [title(self._shown, self._url, width), ()]
        lines += [
            line
            for section, some in sections(self._shown, width, unicode=self._unicode)
            for label, _, line in some
            if section == row.section and label in ("", row.label)
        ]
        if row.name is not None:
            past = [rate for rate in self._shown.history[row.name] if rate is not None]
            if past:
                low, high = (amount(row.name, rate) for rate in (min(past), max(past)))
                rounds = f"from {low} to {high} in {counted(len(past), 'round')}"
                bars = BARS if self._unicode else ASCII_BARS
                drawn = sparkline(list(self._shown.history[row.name]), width, low=0, bars=bars)
                lines += [(), ((rounds, looks.NOTE),), ((drawn, looks.GOOD),)]
        return lines[:height]

    def notes(self) -> list[str]:
        words = ["the connection is lost: trying again"] * self.lost
        words += ["paused"] * self._paused
        if self._shown.interval:
            words.append(f"news every {self._shown.interval:.0f} s")
        elif self._shown.rounds:
            words.append("~: of the last minute")
        return words

    def hints(self) -> list[tuple[str, int]]:
        return [("p goes on" if self._paused else "p pauses", 4)]

    def help(self) -> list[tuple[str, str]]:
        return [
            ("Enter", "one figure, and how its rate went"),
            ("p", "hold what is shown, and go on; what comes is counted meanwhile"),
        ]


def _chosen(line: Line) -> Line:
    """A line that is the chosen one."""
    parts: list[Part] = [(text, f"reverse {style}".rstrip()) for text, style in line]
    return parts
