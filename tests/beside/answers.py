"""What a client answers to the messages that it gets, read from their first bytes alone."""

from __future__ import annotations

from collections.abc import Iterator


def frames(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Each whole packet: first byte, body, and where it ends. Stops where there is none."""
    at, size = 0, len(data)
    while size - at >= 2:
        length = shift = 0
        body = at + 1
        while True:
            if body >= size or shift > 21:
                return
            byte = data[body]
            length |= (byte & 0x7F) << shift
            shift += 7
            body += 1
            if byte < 0x80:
                break
        if body + length > size:
            return
        yield data[at], data[body : body + length], body + length
        at = body + length


class Answerer:
    """PUBACK, PUBREC, PUBCOMP, and PUBREL for a PUBREC, as they are due."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> bytes:
        """The answers to the packets that `data` completes."""
        self._data += data
        used = 0
        parts = []
        for first, body, end in frames(self._data):
            used = end
            kind, qos = first >> 4, first >> 1 & 3
            if kind == 3 and qos and len(body) > 3:
                at = 2 + int.from_bytes(body[:2], "big")
                parts.append(bytes((0x40 if qos == 1 else 0x50, 2)) + body[at : at + 2])
            elif kind == 5:
                parts.append(b"\x62\x02" + body[:2])
            elif kind == 6:
                parts.append(b"\x70\x02" + body[:2])
        self._data = self._data[used:]
        return b"".join(parts)
