"""`sub -F`: the format codes of mosquitto_sub, and %L. Sans-IO: message and time in, bytes out."""

from __future__ import annotations

import math
import re
import struct
import time
from collections.abc import Callable

from tmqtt.messages.message import LatencyOf, ShownMessage
from tmqtt.messages.mosquitto_json import NotJsonError, as_json
from tmqtt.terminal.escaping import escape
from trio_mqtt import Properties

# A piece of the output, from the message and the nanoseconds since 1970 when it came.
Piece = Callable[[ShownMessage, int], bytes]
# Told of a topic whose payload is not what the format wants, and what that is.
Complain = Callable[[str, str], None]

_ESCAPES = {
    "\\": b"\\", "0": b"\0", "a": b"\a", "e": b"\x1b", "n": b"\n", "r": b"\r", "t": b"\t",
    "v": b"\v",
}  # fmt: skip
_MAX_WIDTH = 1_000_000
_SEPARATORS = " :,;-_|/"  # between groups of hexadecimal digits: %.2:x
# Numbers as the machine itself keeps them: how they are unpacked, and what they are called.
_NUMBERS = {"f": ("f", "a float of 4 bytes"), "d": ("d", "a double of 8 bytes")}


class FormatError(ValueError):
    """What is wrong with a format, as a sentence."""


class Format:
    """A format that has been read: `line` renders a message. Raises FormatError.

    With `safe`, what comes from a message cannot steer a terminal; what the format says itself may.
    With `pretty`, JSON is laid out on several lines. `latency` is what `%L` shows, and has to.
    """

    def __init__(
        self,
        text: str,
        complain: Complain = lambda _topic, _wanted: None,
        *,
        safe: bool = False,
        pretty: bool = False,
        latency: LatencyOf | None = None,
    ) -> None:
        parser = _Parser(text, complain, safe=safe, pretty=pretty, latency=latency)
        pieces = parser.pieces()
        if latency is not None and not parser.shows_latency:
            raise FormatError(f"The format {text!r} shows no latency: write %L where it is to be.")
        self._pieces = pieces
        self._fixed = [piece if isinstance(piece, bytes) else b"" for piece in pieces]
        self._varying = [
            (index, piece) for index, piece in enumerate(pieces) if not isinstance(piece, bytes)
        ]

    def line(self, message: ShownMessage, moment: int) -> bytes:
        """The message in this format; `moment` is in nanoseconds since 1970."""
        parts = self._fixed.copy()
        for index, piece in self._varying:
            parts[index] = piece(message, moment)
        return b"".join(parts)


class _Field:
    """The flags, width and precision of one code: `%-10.5t`; for `%.2:x` a separator."""

    def __init__(
        self, left: bool, zero: bool, width: int, precision: int | None, separator: str
    ) -> None:
        self.left = left
        self.fill = b"0" if zero else b" "
        self.width = width
        self.precision = precision
        self.separator = separator.encode()

    def text(self, value: str | None) -> bytes:
        """A text, cut to the precision and padded with blanks."""
        data = b"" if value is None else value.encode("utf-8", "surrogateescape")
        if self.precision is not None:
            data = data[: self.precision]
        return data.ljust(self.width) if self.left else data.rjust(self.width)

    def number(self, value: int | None) -> bytes:
        """A number, padded; one that is absent is all padding."""
        if value is None:
            return self.fill * self.width
        data = b"%d" % value
        return data.ljust(self.width) if self.left else data.rjust(self.width, self.fill)

    def decimal(self, value: float, digits: int = 6) -> bytes:
        """A number with as many digits after the point as the precision says, else `digits`."""
        data = b"%.*f" % (digits if self.precision is None else self.precision, value)
        if self.left:
            return data.ljust(self.width)
        if not math.isfinite(value) or self.fill == b" ":
            return data.rjust(self.width)
        return data.zfill(self.width)  # behind a sign

    def payload(self, data: bytes) -> bytes:
        """The payload: the width is both its least and its greatest."""
        if not self.width:
            return data
        data = data[: self.width]
        return data.ljust(self.width) if self.left else data.rjust(self.width, self.fill)

    def hexadecimal(self, data: bytes) -> bytes:
        """The payload in hexadecimal digits, within the width as mosquitto_sub counts it.

        With a precision, in groups of so many digits: then the width counts bytes, and blanks or
        zeros before the digits are grouped like them.
        """
        if self.precision:
            return self._in_groups(data, self.precision)
        if not self.width:
            return data.hex().encode()
        digits = data[: min(len(data), self.width) // 2].hex().encode()
        return digits.ljust(self.width) if self.left else digits.rjust(self.width, self.fill)

    def _in_groups(self, data: bytes, size: int) -> bytes:
        digits = data[: self.width or None].hex().encode()
        missing = max(self.width - len(digits), 0)
        if not self.left:
            digits = self.fill * missing + digits
        groups = (digits[at : at + size] for at in range(0, len(digits), size))
        shown = (self.separator or b" ").join(groups)
        return shown + b" " * missing if self.left else shown


class _Parser:
    """Reads a format once, so that rendering a message need not."""

    def __init__(
        self,
        text: str,
        complain: Complain,
        *,
        safe: bool,
        pretty: bool,
        latency: LatencyOf | None,
    ) -> None:
        self._text = text
        self._safe = safe
        self._pretty = pretty
        self._latency = latency
        self.shows_latency = False
        self._at = 0
        self._complain = complain

    def pieces(self) -> list[bytes | Piece]:
        pieces: list[bytes | Piece] = []
        literal = b""
        while self._at < len(self._text):
            character = self._next()
            piece: bytes | Piece
            if character == "%":
                piece = self._percent()
            elif character == "@":
                piece = self._at_sign()
            elif character == "\\":
                piece = self._backslash()
            else:
                piece = character.encode("utf-8", "surrogateescape")
            if isinstance(piece, bytes):
                literal += piece
                continue
            pieces += [literal, piece]
            literal = b""
        return [*pieces, literal]

    def _next(self) -> str:
        if self._at == len(self._text):
            raise FormatError(
                f"The format {self._text!r} ends in the middle of a code:"
                " write %% for %, @@ for @ and \\\\ for \\."
            )
        self._at += 1
        return self._text[self._at - 1]

    def _number(self, character: str) -> tuple[int, str]:
        """The number that begins with `character`, and the character after it."""
        digits = ""
        while character.isascii() and character.isdecimal():
            digits += character
            character = self._next()
        number = int(digits or "0") if len(digits) < 9 else _MAX_WIDTH
        if number >= _MAX_WIDTH:
            raise FormatError(f"The format {self._text!r} has a width of {_MAX_WIDTH:,} or more.")
        return number, character

    def _percent(self) -> bytes | Piece:
        start = self._at - 1
        character = self._next()
        left = zero = False
        if character == "-":
            left = True
            character = self._next()
        elif character == "0":
            zero = True
            character = self._next()
        width, character = self._number(character)
        precision = None
        if character == ".":
            precision, character = self._number(self._next())
        separator = ""
        if precision is not None and character in _SEPARATORS:
            separator, character = character, self._next()
        if character == "%":
            return b"%"
        field = _Field(left, zero, width, precision, separator)
        if character in _NUMBERS and not separator:
            return self._as_number(character, field)
        if character == "L" and not separator:
            return self._as_latency(field)
        make = _CODES.get(character)
        if make is not None and (not separator or character in "xX"):
            piece = make(field)
            return _made_safe(piece) if self._safe else piece
        if character in "jJ":
            return self._json(escaped=character == "j")
        raise FormatError(
            f"The format {self._text!r} has a code that does not exist:"
            f" {self._text[start : self._at]!r}."
            f" There are % and one of {' '.join(sorted([*_CODES, *_NUMBERS, 'L', 'j', 'J']))};"
            " %% is a %."
        )

    def _as_number(self, character: str, field: _Field) -> Piece:
        kind, wanted = _NUMBERS[character]
        number = struct.Struct(kind)

        def piece(message: ShownMessage, _moment: int) -> bytes:
            if len(message.payload) != number.size:
                self._complain(message.topic, f"{wanted}, which %{character} asks for")
                return b""
            return field.decimal(number.unpack(message.payload)[0])

        return piece

    def _as_latency(self, field: _Field) -> Piece:
        latency = self._latency
        if latency is None:
            raise FormatError(
                f"The format {self._text!r} has %L, how long a message took: say by --latency where"
                " messages have the time."
            )
        self.shows_latency = True

        def piece(message: ShownMessage, moment: int) -> bytes:
            taken = latency(message, moment)
            return field.text("-") if taken is None else field.decimal(taken, digits=1)

        return piece

    def _json(self, *, escaped: bool) -> Piece:
        pretty, safe = self._pretty, self._safe

        def piece(message: ShownMessage, moment: int) -> bytes:
            try:
                shown = as_json(message, moment, escaped=escaped, pretty=pretty)
            except NotJsonError:
                self._complain(message.topic, f"JSON, which %{'j' if escaped else 'J'} asks for")
                return b""
            return _layout_kept(shown) if safe else shown

        return piece

    def _at_sign(self) -> bytes | Piece:
        character = self._next()
        if character == "@":
            return b"@"
        if character == "N":
            return lambda _message, moment: b"%09d" % (moment % 1_000_000_000)
        code = f"%{character}"
        if not character.isascii():
            return code.encode("utf-8", "surrogateescape")

        def piece(_message: ShownMessage, moment: int) -> bytes:
            shown = time.strftime(code, time.localtime(moment // 1_000_000_000))
            return shown.encode("utf-8", "surrogateescape")

        return piece

    def _backslash(self) -> bytes:
        character = self._next()
        if character not in _ESCAPES:
            raise FormatError(
                f"The format {self._text!r} has an escape that does not exist: '\\{character}'."
                " There are \\\\ \\0 \\a \\e \\n \\r \\t \\v."
            )
        return _ESCAPES[character]


def safe_bytes(data: bytes) -> bytes:
    """The text with what could steer a terminal written out."""
    shown = escape(data.decode("utf-8", "surrogateescape"))
    return shown.encode("utf-8", "surrogateescape")


def _layout_kept(json: bytes) -> bytes:
    """JSON made safe, but for the lines and tabs between its parts: strings have none."""
    return b"".join(
        one if one in (b"\n", b"\t") else safe_bytes(one) for one in re.split(rb"([\n\t])", json)
    )


def _made_safe(piece: Piece) -> Piece:
    return lambda message, moment: safe_bytes(piece(message, moment))


def _iso(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(moment // 1_000_000_000))


def _identifier(properties: Properties) -> int | None:
    identifiers = properties.get("subscription_identifier")
    return identifiers[0] if identifiers else None


def _user_properties(message: ShownMessage, _moment: int) -> bytes:
    pairs = message.properties.get("user_property", ())
    return " ".join(f"{name}:{value}" for name, value in pairs).encode()


_CODES: dict[str, Callable[[_Field], Piece]] = {
    "A": lambda field: lambda message, _: field.number(message.properties.get("topic_alias")),
    "C": lambda field: lambda message, _: field.text(message.properties.get("content_type")),
    "D": lambda _field: lambda message, _: message.properties.get("correlation_data", b""),
    "E": lambda field: (
        lambda message, _: field.number(message.properties.get("message_expiry_interval"))
    ),
    "F": lambda field: (
        lambda message, _: field.number(message.properties.get("payload_format_indicator"))
    ),
    "I": lambda field: lambda _message, moment: field.text(_iso(moment)),
    "P": lambda _field: _user_properties,
    # Where there is none, mosquitto_sub does not pad it.
    "R": lambda field: (
        lambda message, _: (
            field.text(message.properties["response_topic"])
            if "response_topic" in message.properties
            else b""
        )
    ),
    "S": lambda field: lambda message, _: field.number(_identifier(message.properties)),
    "U": lambda _field: lambda _message, moment: b"%d.%09d" % divmod(moment, 1_000_000_000),
    "X": lambda field: lambda message, _: field.hexadecimal(message.payload).upper(),
    # In the byte order of this machine, as mosquitto_sub has them since 2.1.
    "l": lambda field: lambda message, _: field.number(len(message.payload)),
    "m": lambda field: lambda message, _: field.number(message.packet_id),
    "p": lambda field: lambda message, _: field.payload(message.payload),
    "q": lambda _field: lambda message, _: b"%d" % message.qos,
    "r": lambda _field: lambda message, _: b"%d" % message.retain,
    "t": lambda field: lambda message, _: field.text(message.topic),
    "x": lambda field: lambda message, _: field.hexadecimal(message.payload),
}
