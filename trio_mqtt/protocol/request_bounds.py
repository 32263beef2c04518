"""How large SUBSCRIBE and UNSUBSCRIBE may be: known before they are held, or decoded."""

from __future__ import annotations

from trio_mqtt.errors import RemoteProtocolError
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.wire import Reader


class RequestBounds:
    """The number of topic filters in a request, and its size in bytes; None is without a bound."""

    __slots__ = ("_filters", "_size")

    def __init__(self, filters: int | None, size: int | None) -> None:
        self._filters = filters
        self._size = size

    def check_size(self, first: int, size: int) -> None:
        """Raise RemoteProtocolError for a SUBSCRIBE or UNSUBSCRIBE of too many bytes."""
        maximum = self._size
        if maximum is not None and size > maximum:
            raise RemoteProtocolError(
                f"{PacketType(first >> 4).name} has {size} bytes, of {maximum} at most",
                ReasonCode.QUOTA_EXCEEDED,
            )

    def check_filters(self, data: bytes, first: int, body: int, stop: int, *, is_v5: bool) -> None:
        """Raise RemoteProtocolError for a SUBSCRIBE or UNSUBSCRIBE of too many topic filters.

        They are only counted: nothing of such a packet is worth decoding.
        """
        maximum = self._filters
        # Each takes three bytes at least: its length and a character.
        if maximum is None or stop - body <= 3 * maximum:
            return
        at = body + 2
        if is_v5:
            reader = Reader(data, at, stop)
            at = reader.variable_byte_integer()
            at += reader.position
        options = first >> 4 == PacketType.SUBSCRIBE
        for _ in range(maximum):
            if at + 2 > stop:
                return
            at += 2 + (data[at] << 8 | data[at + 1]) + options
        if at < stop:
            raise RemoteProtocolError(
                f"{PacketType(first >> 4).name} has more than {maximum} topic filters",
                ReasonCode.QUOTA_EXCEEDED,
            )
