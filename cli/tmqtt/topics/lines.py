"""What is said of topics, in a table as in a tree: sums, one in full, ages, values. Sans-IO."""

from __future__ import annotations

from rich.cells import cell_len

from tmqtt.messages import payload_view
from tmqtt.terminal import looks
from tmqtt.terminal.cells import fit, wrap
from tmqtt.terminal.escaping import escape, escape_payload
from tmqtt.terminal.figures import counted, rate
from tmqtt.terminal.looks import Line, Part
from tmqtt.topics.topics import Topic, Topics


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
