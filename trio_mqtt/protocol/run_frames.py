"""The bytes of PUBLISH packets that travel together, whatever version and topics they have."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from trio_mqtt.protocol.wire import IDENTIFIERS


class RunFrames:
    """The packets of a run one after the other, as they came or as they are sent.

    At QoS 1 and 2 `starts` are the places where each begins, and `ids_at` those of the packet
    identifiers: each time that they are sent, they get others. Where all packets have one length,
    both are ranges.
    """

    __slots__ = ("_pieces", "frames", "ids_at", "starts")

    def __init__(self, frames: bytes, starts: Sequence[int], ids_at: Sequence[int]) -> None:
        self.frames = frames
        self.starts = starts
        self.ids_at = ids_at
        self._pieces: list[bytes] | None = None

    @property
    def identifiers(self) -> bytes:
        """The packet identifiers at QoS 1 and 2, each in its two bytes."""
        frames, ids_at = self.frames, self.ids_at
        if not isinstance(ids_at, range):
            return b"".join([frames[at : at + 2] for at in ids_at])
        identifiers = bytearray(2 * len(ids_at))
        identifiers[::2] = frames[ids_at.start :: ids_at.step]
        identifiers[1::2] = frames[ids_at.start + 1 :: ids_at.step]
        return bytes(identifiers)

    def with_identifiers(self, first: int, count: int, packet_id: int) -> bytes:
        """The frames of `count` messages from the one of number `first` on, above QoS 0.

        They have the packet identifiers from `packet_id` on, one after the other.
        """
        frames, ids_at = self.frames, self.ids_at
        identifiers = IDENTIFIERS[2 * packet_id : 2 * (packet_id + count)]
        if isinstance(ids_at, range):
            size = ids_at.step
            data = bytearray(
                frames if count == len(ids_at) else frames[first * size : (first + count) * size]
            )
            data[ids_at.start :: size] = identifiers[::2]
            data[ids_at.start + 1 :: size] = identifiers[1::2]
            return bytes(data)
        pieces = self._pieces
        if pieces is None:
            # What stands between the packet identifiers: the same for all who are sent this.
            begins = [0, *[at + 2 for at in ids_at]]
            ends = [*ids_at, len(frames)]
            pieces = self._pieces = [frames[a:b] for a, b in zip(begins, ends, strict=True)]
        parts = [b""] * (2 * count + 1)
        parts[1::2] = struct.unpack("2s" * count, identifiers)
        parts[::2] = pieces[first : first + count + 1]
        if first:
            parts[0] = frames[self.starts[first] : ids_at[first]]
        if first + count < len(self.starts):
            parts[-1] = frames[ids_at[first + count - 1] + 2 : self.starts[first + count]]
        return b"".join(parts)


def identifiers_in(field: bytes) -> list[int]:
    """Packet identifiers that stand one after the other."""
    return list(struct.unpack(f">{len(field) >> 1}H", field))
