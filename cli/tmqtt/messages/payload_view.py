"""A payload shown for what it is: JSON, text, a number, or bytes. Sans-IO."""

from __future__ import annotations

import re
from typing import Any

from tmqtt.messages import json_view
from tmqtt.terminal import looks
from tmqtt.terminal.cells import wrap
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.looks import Line

BYTES = "yellow"
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
LONGEST_JSON = 64 * 1024  # bytes: to look into more takes a person's time
_ONE_LINE_OF_BYTES = 16
_BYTES_A_LINE = 16


class Shown:
    """How a payload is shown: in one line where it has one, else by lines, folded."""

    def __init__(
        self,
        flat: Line | None,
        tall: list[Line],
        left_out: int = 0,
        parsed: Any = None,  # noqa: ANN401
    ) -> None:
        # The whole in one line, however long, or None where it has several.
        self.flat = flat
        self.tall = tall
        # Bytes of the payload that `tall` leaves out, or 0.
        self.left_out = left_out
        # The JSON that it is, to compare the next one with; else None.
        self.parsed = parsed


def show(payload: bytes, before: Any, *, width: int, height: int) -> Shown:  # noqa: ANN401
    """The payload in at most `height` lines of `width` cells; `before` is the last one's JSON."""
    if not payload:
        return Shown([("(empty)", looks.NOTE)], [])
    # A character has at most four bytes. What cannot be seen is not looked at: it may be large.
    limit = max(4 * width * height, LONGEST_JSON)
    head = payload[:limit]
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3 or len(head) == len(payload):
            return show_bytes(payload, width=width, height=height)
        text = head[: error.start].decode()  # a character was cut in two
    if _is_binary(text):
        return show_bytes(payload, width=width, height=height)
    if len(payload) <= LONGEST_JSON and text.lstrip(" \t\r\n")[:1] in ("{", "["):
        try:
            return _json(payload, json_view.parse(text), before, width, height)
        except ValueError:
            pass
    return _text(payload, text, width, height)


def _is_binary(text: str) -> bool:
    controls = len(_CONTROL.findall(text))
    return "\0" in text or 3 * controls > len(text)


def _json(payload: bytes, value: Any, before: Any, width: int, height: int) -> Shown:  # noqa: ANN401
    first = before if before is not None else json_view.FIRST
    flat = json_view.one_line(value, first)
    wrapped: list[Line] = []
    for line in json_view.lines(value, first):
        wrapped += wrap(line, width)
    tall = wrapped[:height]
    left_out = 0
    if len(wrapped) > height:
        # White space is not counted on either side.
        everything = sum(len(text.strip().encode()) for line in wrapped for text, _ in line)
        seen = sum(len(text.strip().encode()) for line in tall for text, _ in line)
        left_out = max(1, round(len(payload) * (1 - seen / everything)))
    return Shown(flat, tall, left_out, value)


def _text(payload: bytes, text: str, width: int, height: int) -> Shown:
    written = text.rstrip("\r\n").replace("\r\n", "\n").split("\n")
    several = len(written) > 1 and not any(_CONTROL.search(line) for line in written)
    style = json_view.NUMBER if _NUMBER.fullmatch(text.strip()) else looks.PLAIN
    if several:
        flat = None
        pieces = [escape(line.expandtabs(4)) for line in written]
    else:
        flat = [(escape(text), style)] if len(payload) <= 4 * width * height else None
        pieces = [escape(text)]
    wrapped: list[Line] = []
    for piece in pieces:
        if len(wrapped) > height:
            break
        wrapped += wrap([(piece, style)], width)
    tall = wrapped[:height]
    left_out = 0
    if len(wrapped) > height or len(text.encode(errors="surrogateescape")) < len(payload):
        seen = sum(len(part.encode(errors="surrogateescape")) for line in tall for part, _ in line)
        left_out = max(1, len(payload) - seen)
    return Shown(flat, tall, left_out)


def show_text(payload: bytes, *, width: int, height: int) -> Shown:
    """The payload as the text that it is, or is not: what is no UTF-8 is shown by escapes."""
    limit = max(4 * width * height, _ONE_LINE_OF_BYTES)
    return _text(payload, payload[:limit].decode(errors="surrogateescape"), width, height)


def show_bytes(payload: bytes, *, width: int, height: int) -> Shown:
    """The payload byte by byte, in hexadecimal and as ASCII."""
    flat = None
    if len(payload) <= _ONE_LINE_OF_BYTES:
        flat = [(payload.hex(" "), BYTES), (f"  |{_ascii(payload)}|", looks.NOTE)]
    # Offset, two blanks, three cells a byte, the bytes as text: "00000000  68 69 |hi|"; and before
    # that one more blank, where there is room for it.
    a_line = _BYTES_A_LINE
    while a_line > 1 and 12 + 4 * a_line > width:
        a_line //= 2
    gap = " " if 12 + 4 * a_line < width else ""
    tall: list[Line] = []
    for start in range(0, min(len(payload), a_line * height), a_line):
        piece = payload[start : start + a_line]
        tall.append(
            [
                (f"{start:08x}  ", looks.NOTE),
                (piece.hex(" ").ljust(3 * a_line), BYTES),
                (f"{gap}|{_ascii(piece)}|", looks.NOTE),
            ]
        )
    return Shown(flat, tall, max(0, len(payload) - a_line * height))


def _ascii(data: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in data)
