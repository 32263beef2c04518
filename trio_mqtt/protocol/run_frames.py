"""The bytes of PUBLISH packets that travel together, whatever version and topics they have."""

from __future__ import annotations

import struct
from collections.abc import Sequence


class RunFrames:
    """The packets of a run one after the other, as they came or as they are sent.

    At QoS 1 `starts` are the places where each begins, and `ids_at` those of the packet
    identifiers: each time that they are sent, they get others.
    """

    __slots__ = ("_pieces", "frames", "ids_at", "starts")

    def __init__(self, frames: bytes, starts: list[int], ids_at: Sequence[int]) -> None:
        self.frames = frames
        self.starts = starts
        self.ids_at = ids_at
        self._pieces: list[bytes] | None = None

    def with_identifiers(self, first: int, count: int, packet_id: int) -> bytes:
        """The frames of `count` messages from the one of number `first` on, at QoS 1.

        They have the packet identifiers from `packet_id` on, one after the other.
        """
        frames, ids_at, pieces = self.frames, self.ids_at, self._pieces
        if pieces is None:
            # What stands between the packet identifiers: the same for all who are sent this.
            begins = [0, *[at + 2 for at in ids_at]]
            ends = [*ids_at, len(frames)]
            pieces = self._pieces = [frames[a:b] for a, b in zip(begins, ends, strict=True)]
        packed = struct.pack(f">{count}H", *range(packet_id, packet_id + count))
        parts = [b""] * (2 * count + 1)
        parts[1::2] = struct.unpack("2s" * count, packed)
        parts[::2] = pieces[first : first + count + 1]
        if first:
            parts[0] = frames[self.starts[first] : ids_at[first]]
        if first + count < len(self.starts):
            parts[-1] = frames[ids_at[first + count - 1] + 2 : self.starts[first + count]]
        return b"".join(parts)
