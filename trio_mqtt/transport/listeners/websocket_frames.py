"""WebSocket frames at the broker's end (RFC 6455 §5): read from clients, made for them. No I/O.

A client that sends each packet in a frame of its own sends thousands of small frames in one read:
their payloads are unmasked together, by one operation on large integers. A general parser, frame
by frame, would take longer than all that the broker does with the messages.
"""

from __future__ import annotations

import struct
from functools import cache

BINARY, TEXT, CONTINUATION = 0x2, 0x1, 0x0
CLOSE, PING, PONG = 0x8, 0x9, 0xA
NORMAL, PROTOCOL_ERROR, UNSUPPORTED_DATA, INVALID_DATA = 1000, 1002, 1003, 1007

_FINAL = 0x80
_MASKED = 0x80
_WHOLE = _FINAL | BINARY
_SMALL = 125  # bytes whose number fits the second byte of a frame
_LARGE = 2_048  # bytes from which unmasking by table is faster
_LONGEST_CONTROL = 125


class FrameError(Exception):
    """A client broke the rules of WebSocket; `code` is what to close with."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def frame(payload: bytes, opcode: int = BINARY) -> bytes:
    """One whole frame for a client: unmasked."""
    size = len(payload)
    if size <= _SMALL:
        return struct.pack("BB", _FINAL | opcode, size) + payload
    if size < 0x1_0000:
        return struct.pack(">BBH", _FINAL | opcode, 126, size) + payload
    return struct.pack(">BBQ", _FINAL | opcode, 127, size) + payload


class FrameReader:
    """Takes the payloads out of a client's frames, which need not align with anything."""

    __slots__ = ("_fragmented", "_key", "_left", "_masks", "_parts", "_read", "_rest", "close_code",
                 "error", "pings")  # fmt: skip

    def __init__(self) -> None:
        self._rest = b""  # a frame whose header, or which as a small one, is not yet whole
        self._left = 0  # bytes to come of a frame that has begun
        self._key = b""  # its mask, turned to where it stands
        self._fragmented = False  # a message goes on in the next frame
        # Small payloads, and a mask of the same size for each; what is unmasked already.
        self._parts: list[bytes] = []
        self._masks: list[bytes] = []
        self._read: list[bytes] = []
        # To be answered.
        self.pings: list[bytes] = []
        # The client says goodbye; 1005 is without a code.
        self.close_code: int | None = None
        # What ends the reading, after the payloads that came before.
        self.error: FrameError | None = None

    def feed(self, data: bytes) -> bytes:
        """The payload of what is in `data`, as far as it has come.

        Afterwards look at `pings`, `close_code` and `error`.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        position = self._go_on(data, 0) if self._left else 0
        end = len(data)
        parts, masks = self._parts, self._masks
        fragmented = self._fragmented
        while end - position >= 6:
            if data[position] == _WHOLE and not fragmented:
                size = data[position + 1] - _MASKED
                if 0 <= size <= _SMALL:
                    start = position + 6
                    stop = start + size
                    if stop > end:
                        break
                    parts.append(data[start:stop])
                    masks.append((data[position + 2 : start] * 32)[:size])
                    position = stop
                    continue
            try:
                after = self._other(data, position)
            except FrameError as error:
                self.error = error
                break
            if after is None:
                break
            position = after
            fragmented = self._fragmented
            if self.close_code is not None:
                break
        else:
            # Fewer bytes than any frame of a client has, but the first two may be wrong already.
            self._check_beginning(data[position:])
        if self.error is None and self.close_code is None:
            self._rest = data[position:]
        self._unmask_parts()
        read, self._read = self._read, []
        return read[0] if len(read) == 1 else b"".join(read)

    def _check_beginning(self, data: bytes) -> None:
        if len(data) >= 2:
            try:
                self._check(data[0], data[1])
            except FrameError as error:
                self.error = error

    def _check(self, first: int, second: int) -> None:
        opcode = first & 0x0F
        if first & 0x70:
            raise FrameError(PROTOCOL_ERROR, "a reserved bit is set")
        if not second & _MASKED:
            raise FrameError(PROTOCOL_ERROR, "a frame is not masked")
        if opcode >= CLOSE:
            if opcode > PONG:
                raise FrameError(PROTOCOL_ERROR, f"there is no opcode {opcode}")
            if not first & _FINAL:
                raise FrameError(PROTOCOL_ERROR, "a control frame is fragmented")
            if second & 0x7F > _LONGEST_CONTROL:
                raise FrameError(PROTOCOL_ERROR, "a control frame is too long")
        elif opcode == TEXT:
            # [MQTT-6.0.0-1]
            raise FrameError(UNSUPPORTED_DATA, "MQTT is in binary frames, not in text")
        elif opcode > BINARY:
            raise FrameError(PROTOCOL_ERROR, f"there is no opcode {opcode}")
        elif (opcode == CONTINUATION) != self._fragmented:
            raise FrameError(PROTOCOL_ERROR, "a message is continued that has not begun, or not")

    def _other(self, data: bytes, position: int) -> int | None:
        """Read a frame that is not small, whole and binary; where the next begins, None to wait."""
        first, second = data[position], data[position + 1]
        self._check(first, second)
        size = second & 0x7F
        start = position + 2
        if size > _SMALL:
            width = 2 if size == 126 else 8
            if len(data) - start < width + 4:
                return None
            size = int.from_bytes(data[start : start + width])
            if size <= (_SMALL if width == 2 else 0xFFFF) or size >> 63:
                raise FrameError(PROTOCOL_ERROR, "a length is written in a wrong way")
            start += width
        elif len(data) - start < 4:
            return None
        key = data[start : start + 4]
        start += 4
        opcode = first & 0x0F
        if opcode >= CLOSE:
            if len(data) - start < size:
                return None
            self._control(opcode, _unmasked(data[start : start + size], key))
            return start + size
        self._fragmented = not first & _FINAL
        self._left = size
        self._key = key
        return self._go_on(data, start)

    def _go_on(self, data: bytes, position: int) -> int:
        """Take what has come of the frame that has begun."""
        payload = data[position : position + self._left]
        size = len(payload)
        self._left -= size
        key = self._key
        if size >= _LARGE:
            self._unmask_parts()
            self._read.append(_unmasked(payload, key))
        else:
            self._parts.append(payload)
            self._masks.append((key * (size // 4 + 1))[:size])
        turn = size % 4
        if turn:
            self._key = key[turn:] + key[:turn]
        return position + size

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.pings.append(payload)
        elif opcode == CLOSE:
            self.close_code = _close_code(payload)

    def _unmask_parts(self) -> None:
        if not self._parts:
            return
        payload = b"".join(self._parts)
        mask = b"".join(self._masks)
        self._parts.clear()
        self._masks.clear()
        number = int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")
        self._read.append(number.to_bytes(len(payload), "little"))


def _close_code(payload: bytes) -> int:
    if not payload:
        return 1005
    code = int.from_bytes(payload[:2]) if len(payload) >= 2 else 0
    if not (1000 <= code < 5000) or code in (1004, 1005, 1006, 1015) or 1015 < code < 3000:
        raise FrameError(PROTOCOL_ERROR, "a goodbye has no such code")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise FrameError(INVALID_DATA, "the reason of a goodbye is not UTF-8") from None
    return code


def _unmasked(payload: bytes, key: bytes) -> bytes:
    """A payload without its mask: every fourth byte by the same table."""
    data = bytearray(payload)
    for offset in range(4):
        data[offset::4] = data[offset::4].translate(_table(key[offset]))
    return bytes(data)


@cache
def _table(byte: int) -> bytes:
    return bytes(number ^ byte for number in range(256))
