"""How a broker's state looks: as a screen of lines, or as one line. Sans-IO."""

from __future__ import annotations

from tmqtt.terminal import figures, looks
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.looks import Line
from tmqtt.terminal.sparkline import ASCII_BARS, BARS, sparkline
from tmqtt.top.readings import LOADS, MINUTES, Readings

_UNKNOWN = "-"
_AWAITED = "…"
_LABEL = 16
_NARROW = 60  # columns below which less room is left between figures
_RATES = (
    ("messages in", "messages_received", False),
    ("messages out", "messages_sent", False),
    ("bytes in", "bytes_received", True),
    ("bytes out", "bytes_sent", True),
    ("dropped", "messages_dropped", False),
)
_LOADS = (
    ("messages in", "messages_received", False),
    ("messages out", "messages_sent", False),
    ("bytes in", "bytes_received", True),
    ("bytes out", "bytes_sent", True),
    ("connections", "connections", False),
)


def screen(
    readings: Readings, url: str, hint: str, width: int, height: int, *, unicode: bool
) -> list[Line]:
    """The lines of a screen of so many characters; what has no room is left out from below.

    The last line is always there: `hint`, and what there is room for of how the figures come.
    """
    lines: list[Line] = [title(readings, url, width)]
    for _, some in sections(readings, width, unicode=unicode):
        lines += [(), *(line for _, _, line in some)]
    told = ""
    if readings.interval:
        told = f"It tells news every {readings.interval:.0f} s."
    elif readings.rounds:
        told = "~: its average of a minute, until its next news."
    last = f"{hint} {told}".strip()
    room = max(height - 1, 0)
    lines = lines[:room]
    lines += [()] * (room - len(lines))
    return [*lines, ((last if len(last) < width else hint, looks.NOTE),)]


def sections(
    readings: Readings, width: int, *, unicode: bool
) -> list[tuple[str, list[tuple[str, str | None, Line]]]]:
    """The figures by sections: of each its label, the name that its rates have, and its line.

    A line without a label is the head of its section.
    """
    label = _LABEL if width >= _NARROW else 14
    levels = _levels(readings, width, label)
    rates = _rates(readings, width, label, unicode=unicode)
    names = [None, *(name for _, name, _ in _RATES)]
    averages = _averages(readings, width, label)
    return [
        ("now", [(_label_of(line), None, line) for line in levels]),
        (
            "rate",
            [
                (_label_of(line) if name else "", name, line)
                for name, line in zip(names, rates, strict=True)
            ],
        ),
        (
            "in a minute",
            [(_label_of(line) if at else "", None, line) for at, line in enumerate(averages)],
        ),
    ]


def _label_of(line: Line) -> str:
    return line[0][0].strip()


def amount(name: str, rate: float) -> str:
    """A rate that is kept by a name, with its unit."""
    return _per_second(rate, is_bytes=name.startswith("bytes"))


def title(readings: Readings, url: str, width: int) -> Line:
    """Which broker, and for how long; the address where there is room for all of it."""
    name, up = escape(readings.version or "a broker"), f"  up {_uptime(readings.uptime)}"
    address = escape(url)
    if len(name) + len(up) + len(address) + 4 >= width:
        return ((name, looks.STRONG), (up, looks.PLAIN))
    return (
        (name, looks.STRONG),
        (" at ", looks.NOTE),
        (address, looks.TOPIC),
        (up, looks.PLAIN),
    )


def one_line(readings: Readings) -> str:
    """The state in a line, for a log."""
    parts = [
        _counted(readings.level("clients_connected"), "client"),
        _counted(readings.level("subscriptions"), "subscription"),
        f"{_number(readings.level('retained_messages'))} retained",
        f"{_rate(readings, 'messages_received')} in",
        f"{_rate(readings, 'messages_sent')} out",
        f"{_number(readings.total('messages_dropped'))} dropped",
        f"up {_uptime(readings.uptime)}",
    ]
    return " · ".join(parts)


def _levels(readings: Readings, width: int, label_width: int) -> list[Line]:
    level = readings.level
    queued = level("queued_messages")
    rows = [
        (
            "clients",
            (
                (_number(level("clients_connected")), " connected"),
                (_number(level("clients_disconnected")), " away"),
                (_number(level("clients_maximum")), " at most"),
                (_number(level("clients_expired")), " expired"),
            ),
        ),
        (
            "subscriptions",
            (
                (_number(level("subscriptions")), ""),
                (_number(level("shared_subscriptions")), " shared"),
            ),
        ),
        (
            "retained",
            (
                (_number(level("retained_messages")), " messages"),
                (_size(level("retained_bytes")), ""),
            ),
        ),
        (
            "queues" if queued is not None else "stored",
            (
                (_number(level("queued_messages" if queued is not None else "stored_messages")),
                 " messages"),
                (_size(level("queued_bytes" if queued is not None else "stored_bytes")), ""),
            ),
        ),
    ]  # fmt: skip
    if level("cluster_nodes") is not None:
        rows.append(
            (
                "cluster",
                (
                    (_number(level("cluster_nodes")), " nodes"),
                    (_number(level("cluster_clients")), " clients"),
                    (_per_second(level("cluster_received"), is_bytes=False), " in"),
                    (_per_second(level("cluster_sent"), is_bytes=False), " out"),
                    (_number(level("cluster_sessions")), " sessions"),
                ),
            )
        )
    lines: list[Line] = []
    for label, values in rows:
        line = [(label.ljust(label_width), looks.NOTE)]
        known = [(value, unit) for value, unit in values if value != _UNKNOWN]
        room = width - label_width - 1
        for index, (value, unit) in enumerate(known):
            if index:
                room -= 3
                if len(value) + len(unit) > room:
                    break  # whole figures, or none
                line.append((" · ", looks.NOTE))
            room -= len(value) + len(unit)
            line.append((value, looks.STRONG))
            line.append((unit, looks.PLAIN))
        if not known:
            line.append((_UNKNOWN, looks.NOTE))
        lines.append(tuple(line))
    return lines


def _rates(readings: Readings, width: int, label_width: int, *, unicode: bool) -> list[Line]:
    columns = 12 if width >= _NARROW else 11
    lines: list[Line] = [
        ((f"{'':{label_width}}{'now':>{columns}}{'total':>{columns + 2}}", looks.NOTE),)
    ]
    room = max(width - label_width - 2 * columns - 5, 0)
    for label, name, is_bytes in _RATES:
        total = readings.total(name)
        bad = name == "messages_dropped" and bool(total)
        line = sparkline(
            list(readings.history[name]), room, low=0, bars=BARS if unicode else ASCII_BARS
        )
        lines.append(
            (
                (label.ljust(label_width), looks.NOTE),
                (_now(readings, name, is_bytes=is_bytes).rjust(columns), looks.STRONG),
                (
                    (_size(total) if is_bytes else _number(total)).rjust(columns + 2),
                    looks.WARNING if bad else looks.PLAIN,
                ),
                (f"  {line}" if room else "", looks.GOOD),
            )
        )
    return lines


def _now(readings: Readings, name: str, *, is_bytes: bool) -> str:
    """The rate, or what stands for it until a broker has told its totals twice."""
    rate = readings.rates.get(name)
    if rate is not None or readings.interval is not None:
        return _per_second(rate, is_bytes=is_bytes)
    load = readings.load(name, 1) if name in LOADS else None
    if load is not None:
        return f"~{_per_second(load / 60, is_bytes=is_bytes)}"
    return _UNKNOWN if readings.total(name) is None else _AWAITED


def _averages(readings: Readings, width: int, label_width: int) -> list[Line]:
    columns = 14 if width >= _NARROW else 8
    head = "".join(f"{f'{minutes} min':>{columns}}" for minutes in MINUTES)
    lines: list[Line] = [((f"{'in a minute':{label_width}}{head}", looks.NOTE),)]
    for label, name, is_bytes in _LOADS:
        loads = [readings.load(name, minutes) for minutes in MINUTES]
        shown = "".join(
            (_size(load) if is_bytes else _number(load, decimals=True)).rjust(columns)
            for load in loads
        )
        lines.append(((label.ljust(label_width), looks.NOTE), (shown, looks.PLAIN)))
    return lines


def _rate(readings: Readings, name: str) -> str:
    rate = readings.rates.get(name)
    if rate is None:
        # One look has no rate of its own: the broker's average of the last minute stands for it.
        load = readings.load(name, 1)
        rate = None if load is None else load / 60
    return _per_second(rate, is_bytes=False)


def _per_second(rate: float | None, *, is_bytes: bool) -> str:
    if rate is None:
        return _UNKNOWN
    if is_bytes:
        return f"{_size(rate)}/s"
    return f"{figures.rate(rate)}/s"


def _number(value: float | None, *, decimals: bool = False) -> str:
    if value is None:
        return _UNKNOWN
    if abs(value) >= 1e10:
        return f"{value:.1e}"
    return f"{value:,.1f}" if decimals and value < 1_000 else f"{value:,.0f}"


def _counted(value: float | None, thing: str) -> str:
    return f"{_number(value)} {figures.named(value, thing)}"


def _size(count: float | None) -> str:
    return _UNKNOWN if count is None else figures.size(count)


def _uptime(seconds: int | None) -> str:
    if seconds is None:
        return _UNKNOWN
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
