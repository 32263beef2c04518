"""Sizes and rates as people write them: `4KB`, `1MiB`; `100/s`, `6/m`."""

from __future__ import annotations

import re

_UNITS = {
    "": 1, "B": 1,
    "KB": 1_000, "MB": 1_000_000,
    "KIB": 1_024, "MIB": 1_024 * 1_024,
}  # fmt: skip
_SIZE = re.compile(r"([0-9]{1,9})\s?([KM]?I?B?)", re.ASCII | re.IGNORECASE)
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(?:/(s|m|h))?", re.ASCII)
_SPANS = {"s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
LARGEST = 268_435_455 - 65_540  # a payload that fits a packet with any topic (MQTT 5.0 §1.5.5)


def parse_size(text: str) -> int:
    """The bytes that `text` names. Raises ValueError, whose text shows a right one."""
    found = _SIZE.fullmatch(text)
    unit = found[2].upper() if found else ""
    if not found or unit not in _UNITS:
        raise ValueError(f"{text!r} is not a size: write 100, 4KB (4,000 bytes) or 4KiB (4,096).")
    size = int(found[1]) * _UNITS[unit]
    if size > LARGEST:
        raise ValueError(f"{text!r} is more than a message can hold ({LARGEST:,} bytes).")
    return size


def size_in_words(count: int) -> str:
    """A size for people, in the units that `parse_size` takes: `10 MB`, `4.1 KB`, `1 byte`."""
    for unit, size in (("MB", 1_000_000), ("KB", 1_000)):
        if count >= size:
            return f"{count / size:,.1f}".removesuffix(".0") + f" {unit}"
    return f"{count} byte{'' if count == 1 else 's'}"


def parse_rate(text: str) -> float:
    """Times a second. Raises ValueError, whose text shows a right one."""
    found = _RATE.fullmatch(text)
    if not found or not float(found[1]):
        raise ValueError(f"{text!r} is not a rate: write 100/s, 30/m or 6/h.")
    rate = float(found[1]) / _SPANS[found[2]]
    if rate > 1_000_000:
        raise ValueError(f"{text!r} is too much: at most 1000000/s can be asked for.")
    return rate
