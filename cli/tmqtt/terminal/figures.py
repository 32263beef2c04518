"""Figures as people write and read them: durations, sizes, rates, and how many there are of things.

What a person writes is read by one function, whichever option it is for; its ValueError says what
is wrong and shows a right one.
"""

from __future__ import annotations

import re

from trio_mqtt import quantities
from trio_mqtt.quantities import parse_duration as parse_duration

_LARGE_UNITS = ("KB", "MB", "GB", "TB")
_RATE_UNITS = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_SECONDS = re.compile(r"[0-9]{1,10}", re.ASCII)
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(?:/(s|m|h))?", re.ASCII)
LARGEST_PAYLOAD = 268_435_455 - 65_540  # it fits a packet with any topic (MQTT 5.0 §1.5.5)


def parse_seconds(text: str, maximum: int) -> int:
    """Whole seconds, as MQTT counts them, at most `maximum`; a number without a unit is seconds."""
    seconds = int(text) if _SECONDS.fullmatch(text) else round(parse_duration(text) + 0.499)
    if seconds > maximum:
        raise ValueError(f"{text!r} is too long: at most {maximum} seconds are possible.")
    return seconds


def parse_size(text: str) -> int:
    """The bytes of a payload that `text` names: `100`, `4KB`, `1MiB`."""
    count = quantities.parse_size(text)
    if count > LARGEST_PAYLOAD:
        raise ValueError(f"{text!r} is more than a message can hold ({LARGEST_PAYLOAD:,} bytes).")
    return count


def parse_rate(text: str, maximum: int | None = None) -> float:
    """Times a second: `100/s`, `30/m`, `6/h`; a number without a unit is times a second."""
    found = _RATE.fullmatch(text)
    if not found or not float(found[1]):
        raise ValueError(f"{text!r} is not a rate: write 100/s, 30/m or 6/h.")
    per_second = float(found[1]) / _RATE_UNITS[found[2]]
    if maximum is not None and per_second > maximum:
        raise ValueError(f"{text!r} is too much: at most {maximum}/s can be asked for.")
    return per_second


def parse_count(text: str, things: str = "messages") -> int:
    """How many of some `things`, at least one."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and int(text)):
        raise ValueError(f"{text!r} is not a number of {things}: write 1 or more.")
    return int(text)


def counted(number: int, thing: str, things: str | None = None) -> str:
    """How many there are: `1 message`, `1,234 messages`; `things` where that is no mere `s`."""
    return f"{number:,} {named(number, thing, things)}"


def named(number: float | None, thing: str, things: str | None = None) -> str:
    """The name of so many things: `message` of one, else `messages`; `things` as in `counted`."""
    return thing if number == 1 else things or f"{thing}s"


def size(count: float) -> str:
    """Bytes, in the decimal units that `parse_size` takes: `640 B`, `4.1 KB`, `200 MB`."""
    if abs(count) < 1_000:
        return f"{count:.0f} B"
    power = 1
    while abs(count) >= 1_000 ** (power + 1) and power < len(_LARGE_UNITS):
        power += 1
    value = count / 1_000**power
    number = f"{value:,.1f}" if abs(value) < 1e6 else f"{value:.1e}"
    return f"{number.removesuffix('.0')} {_LARGE_UNITS[power - 1]}"


def rate(value: float) -> str:
    """Times a second, in few characters and without the unit: `1,234`, `9.5`, `0.03`, `0`."""
    if value >= 1e9:
        return f"{value:.1e}"
    if value >= 10 or not value:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 0.05 else f"{value:.2f}"


def asked_rate(per_second: float) -> str:
    """Times a second as `parse_rate` takes it, so that it is a number: `100/s`, `30/m`, `6/h`."""
    unit = "s" if per_second >= 1 else "m" if per_second * 60 >= 1 else "h"
    return f"{per_second * _RATE_UNITS[unit]:g}/{unit}"


def latency(seconds: float) -> str:
    """How long something took: `85 µs`, `1.2 ms`, `3.4 s`."""
    microseconds = seconds * 1_000_000
    if microseconds < 1_000:
        return f"{microseconds:.0f} µs"
    if microseconds < 1_000_000:
        milliseconds = microseconds / 1_000
        return f"{milliseconds:.1f} ms" if milliseconds < 100 else f"{milliseconds:.0f} ms"
    return f"{seconds:.1f} s"


def span(seconds: float) -> str:
    """How long something went on: `3.4 s`, `1:09`, `2:30:00`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
