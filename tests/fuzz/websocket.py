"""WebSocket as a client writes it, by hand, so that every rule of it can be broken (RFC 6455)."""

from __future__ import annotations

import random
from collections.abc import Sequence

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MASK = b"\x12\x34\x56\x78"


def upgrade(host: str = "localhost", path: str = "/mqtt") -> bytes:
    """The request that begins WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: mqtt\r\n\r\n"
    ).encode()


def frame(
    payload: bytes,
    opcode: int = BINARY,
    *,
    final: bool = True,
    masked: bool = True,
    reserved: int = 0,
    length: int | None = None,
) -> bytes:
    """One frame. `length` is what it claims to have, `reserved` three bits that mean nothing."""
    claimed = len(payload) if length is None else length
    head = bytes((final << 7 | reserved << 4 | opcode,))
    mask_bit = 0x80 if masked else 0
    if claimed < 126:
        head += bytes((mask_bit | claimed,))
    elif claimed < 65_536:
        head += bytes((mask_bit | 126,)) + claimed.to_bytes(2, "big")
    else:
        head += bytes((mask_bit | 127,)) + (claimed & (1 << 64) - 1).to_bytes(8, "big")
    if not masked:
        return head + payload
    return head + MASK + masked_bytes(payload)


def masked_bytes(payload: bytes) -> bytes:
    """The payload under the mask, which takes it off again, too."""
    size = len(payload)
    mask = (MASK * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")


def hostile_frames(packets: Sequence[bytes], chance: random.Random) -> bytes:
    """The packets in frames as nobody writes them: most of it allowed, some of it not."""
    data = b"".join(packets)
    frames = []
    first = True
    while data:
        size = chance.choice((1, 3, 20, 200, len(data)))
        part, data = data[:size], data[size:]
        fragmented = chance.random() < 0.3
        frames.append(frame(part, BINARY if first else CONTINUATION, final=not fragmented))
        first = not fragmented
        if chance.random() < 0.3:
            frames.append(frame(chance.randbytes(chance.choice((0, 5, 125))), PING))
        if chance.random() < 0.15:
            frames.append(_bad_frame(chance))
    return b"".join(frames)[:200_000]


def _bad_frame(chance: random.Random) -> bytes:
    match chance.randrange(11):
        case 0:
            return frame(b"text", TEXT)
        case 1:
            return frame(b"x", masked=False)
        case 2:
            return frame(bytes(126), PING)
        case 3:
            return frame(b"", CLOSE, final=False)
        case 4:
            return frame(b"\x03", CLOSE)
        case 5:
            return frame(chance.choice((1_000, 1_005, 1_006, 4_999, 0)).to_bytes(2, "big"), CLOSE)
        case 6:
            return frame(b"x", chance.choice((3, 7, 11, 15)))
        case 7:
            return frame(b"x", reserved=chance.randint(1, 7))
        case 8:
            return frame(b"x", length=chance.choice((1 << 63, (1 << 64) - 1, 1 << 32, 70_000)))
        case 9:
            return frame(b"", CONTINUATION)
        case _:
            return frame(b"\x03\xe8\xff\xfe", CLOSE)


class Deframer:
    """What a server sends, without its frames. `problem` says what no server may send."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self._data = b""
        self._open = False  # HTTP's answer is complete

    def feed(self, data: bytes) -> bytes:
        """The bytes that the frames in `data` carry."""
        self._data += data
        if not self._open:
            head, found, rest = self._data.partition(b"\r\n\r\n")
            if not found:
                return b""
            if not head.startswith(b"HTTP/1.1 101 "):
                self._data = b""  # an error page
                return b""
            self._open, self._data = True, rest
        carried = []
        while (part := self._take()) is not None:
            carried.append(part)
        return b"".join(carried)

    def _take(self) -> bytes | None:
        data = self._data
        if len(data) < 2:
            return None
        size, at = data[1], 2
        if data[0] & 0x70 or size & 0x80:
            self.problem = f"a server's frame begins {data[:2].hex()}"
        size &= 0x7F
        if size > 125:
            extra = 2 if size == 126 else 8
            if len(data) < 2 + extra:
                return None
            size, at = int.from_bytes(data[2 : 2 + extra], "big"), 2 + extra
        if len(data) < at + size:
            return None
        self._data = data[at + size :]
        opcode = data[0] & 0xF
        if opcode not in (CONTINUATION, BINARY, CLOSE, PING, PONG):
            self.problem = f"a server's frame has opcode {opcode}"
        return data[at : at + size] if opcode in (CONTINUATION, BINARY) else b""
