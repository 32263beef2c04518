"""Showing a measurement: a line that is drawn anew while it runs, then its figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tmqtt.bench import words
from tmqtt.bench.measuring import CONNECTING, RUNNING, Measurement
from tmqtt.bench.plan import Plan
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.figures import latency, rate, size
from tmqtt.terminal.output import Output
from tmqtt.terminal.streams import encoded
from tmqtt.terminal.terminal import Terminal

_BAR = 12  # characters
_INDENT = 2


class Report:
    """Writes to the terminal or pipe of a command; with `as_json`, figures are for programs."""

    def __init__(self, terminal: Terminal, *, as_json: bool) -> None:
        from tmqtt.terminal import looks

        self._looks = looks
        self._terminal = terminal
        self._output = terminal.output
        # Where the line is drawn that tells how far it is: nowhere, if nobody would see it.
        self._live: Output | None = None
        if not as_json and terminal.output.is_terminal:
            self._live = terminal.output
        elif terminal.messages.is_terminal and not terminal.output.is_terminal:
            self._live = terminal.messages
        self._painter = looks.Painter(stderr=not terminal.output.is_terminal)
        if not self._painter.can_redraw:
            self._live = None
        if self._live is not None and terminal.messages.is_terminal:
            terminal.tell = self._tell  # not into the line that is drawn
        self._styled = terminal.output.is_terminal and not as_json

    def title(self, url: str, plan: Plan) -> None:
        """What is going to be measured."""
        look = self._looks
        self._line(
            [
                (plan.kind, look.STRONG),
                (" at ", look.NOTE),
                (escape(url), look.TOPIC),
            ]
        )
        self._line([(words.describe(plan), look.NOTE)])

    def progress(self, measurement: Measurement, prefix: str) -> None:
        """How far a measurement is."""
        live = self._live
        if live is None or not live.idle:
            return
        look = self._looks
        line = [(prefix, look.NOTE), *self._progress(measurement)]
        live.redraw(self._painter.paint_within(line))

    def clear(self) -> None:
        """Take the line away."""
        if self._live is not None:
            self._live.redraw("")

    def figures(self, plan: Plan, summary: dict[str, Any], warnings: Sequence[str]) -> None:
        """What came of a measurement."""
        look = self._looks
        rows = words.rows(plan, summary)
        width = max(len(name) for name, _ in rows)
        bad = {"lost", "repeated", "out of order", "failed", "refused"}
        for name, text in rows:
            wrong = name in bad and not text.startswith("0")
            style = look.WARNING if wrong else look.PLAIN
            padded = " " * _INDENT + name.ljust(width + 2)
            self._line([(escape(padded), look.NOTE), (escape(text), style)])
        self.warn(warnings)

    def warn(self, warnings: Sequence[str]) -> None:
        """What the person should know."""
        for warning in warnings:
            self._terminal.warn(warning)

    def note(self, text: str) -> None:
        """A remark between the figures."""
        self._line([(text, self._looks.NOTE)])

    def comparison(self, first: str, second: str, figures: dict[str, Any]) -> None:
        """Two brokers side by side."""
        look = self._looks
        self._line([("first   ", look.NOTE), (escape(first), look.TOPIC)])
        self._line([("second  ", look.NOTE), (escape(second), look.TOPIC)])
        head = f"  {'':20}{'first':>11}{'second':>11}   first ÷ second (least … greatest)"
        self._line([(head, look.NOTE)])
        for name, figure in figures.items():
            values = "".join(f"{_value(name, figure[which]):>11}" for which in ("first", "second"))
            line = [(f"  {name:20}", look.NOTE), (values, look.PLAIN)]
            ratio = figure["ratio"]
            if ratio is not None:
                better = (ratio > 1) is figure["more_is_better"]
                style = look.GOOD if better else look.WARNING
                spread = f"  ({figure['ratio_min']:.2f} … {figure['ratio_max']:.2f})"
                line += [(f"   {ratio:.2f}", style if ratio != 1 else look.PLAIN)]
                line += [(spread, look.NOTE)]
            self._line(line)

    def _progress(self, measurement: Measurement) -> list[tuple[str, str]]:
        look = self._looks
        plan, tally = measurement.plan, measurement.tally
        totals = tally.totals()
        if measurement.phase == CONNECTING:
            return [(f"connecting {totals.opened:,} of {plan.clients:,}", look.STRONG)]
        parts: list[tuple[str, str]] = []
        elapsed = measurement.elapsed
        done = _done(plan, elapsed, totals.sent, totals.received, totals.opened)
        if measurement.phase == RUNNING and done is not None:
            full = round(min(done, 1.0) * _BAR)
            parts += [("━" * full, look.GOOD), ("━" * (_BAR - full), look.NOTE)]
            parts.append((f" {min(done, 1.0):4.0%} ", look.PLAIN))
        elif measurement.phase == RUNNING:
            parts.append((f"{elapsed:.0f} s ", look.PLAIN))
        else:
            parts.append((f"{measurement.phase} ", look.NOTE))
        if plan.kind == "conn":
            parts.append((f" {totals.opened:,} connected", look.STRONG))
            if totals.refused_connections:
                parts.append((f" · {totals.refused_connections:,} failed", look.WARNING))
        if plan.publishers:
            parts.append((f" {rate(totals.sent / max(elapsed, 0.1))}/s sent", look.STRONG))
        if plan.subscribers and plan.kind != "conn":
            received = rate(totals.received / max(elapsed, 0.1))
            parts.append((f" · {received}/s received", look.STRONG))
        for histogram in (tally.delivery, tally.acknowledgement):
            if len(histogram):
                text = f"p50 {latency(histogram.at(50) / 1e6)}"
                text += f" p99 {latency(histogram.at(99) / 1e6)}"
                parts.append((f" · {text}", look.PLAIN))
                break
        return parts

    def _tell(self, sentence: str) -> None:
        if self._live is not None:
            self._live.redraw("", above=encoded(f"{sentence}\n"))

    def _line(self, line: Sequence[tuple[str, str]]) -> None:
        text = self._painter.paint(line) if self._styled else self._looks.plain(line)
        self._output.put(encoded(text + "\n"))


def _done(plan: Plan, elapsed: float, sent: int, received: int, opened: int) -> float | None:
    """The share that is done, if there is an end."""
    if plan.kind == "conn":
        return opened / plan.clients
    if plan.count is not None:
        if plan.publishers:
            return sent / (plan.count * plan.publishers)
        return received / (plan.count * plan.subscribers)
    return elapsed / plan.seconds if plan.seconds else None


def _value(name: str, value: float) -> str:
    if name == "memory":
        return size(value)
    if " p" in name:
        return latency(value / 1e6)
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"
