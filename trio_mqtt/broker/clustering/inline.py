"""Messages on their way to a durable session that are in no log: they are kept with the session.

Such are retained ones that SUBSCRIBE has asked for, what a program's hooks have made of others, and
what waited in a subscription that has ended and matches another one.
"""

from __future__ import annotations

import struct
import uuid
from typing import NamedTuple

INLINE = b"m/"

_FIXED = struct.Struct(">BHHH")  # flags, packet identifier, lengths of filter and identifiers
_QOS, _RELEASED, _RETAIN = 3, 4, 8


class Inline(NamedTuple):
    """A message as it is kept with its session; `data` is the batch of it alone, as it travels.

    `packet_id` is 0 while it waits, in the subscription to `topic_filter`.
    """

    field: bytes
    topic_filter: str
    qos: int
    retain: bool
    identifiers: bytes
    data: bytes
    packet_id: int = 0
    is_released: bool = False

    @classmethod
    def of(
        cls, topic_filter: str, qos: int, identifiers: bytes, data: bytes, *, retain: bool
    ) -> Inline:
        """One that is new."""
        field = INLINE + uuid.uuid4().hex.encode()
        return cls(field, topic_filter, qos, retain, identifiers, data)

    def __bytes__(self) -> bytes:
        flags = self.qos | _RELEASED * self.is_released | _RETAIN * self.retain
        text = self.topic_filter.encode()
        fixed = _FIXED.pack(flags, self.packet_id, len(text), len(self.identifiers))
        # Of one that is released nothing is needed but its identifier.
        return b"".join((fixed, text, self.identifiers, b"" if self.is_released else self.data))

    @classmethod
    def parsed(cls, field: bytes, value: bytes) -> Inline:
        """Raises ValueError where that is none."""
        try:
            flags, packet_id, size, more = _FIXED.unpack_from(value, 0)
        except struct.error as error:
            raise ValueError(f"no message: {error}") from error
        at = _FIXED.size + size
        return cls(
            field,
            value[_FIXED.size : at].decode(),
            flags & _QOS,
            bool(flags & _RETAIN),
            value[at : at + more],
            value[at + more :],
            packet_id,
            bool(flags & _RELEASED),
        )
