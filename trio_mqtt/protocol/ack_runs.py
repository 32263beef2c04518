"""Runs of acknowledgements: consecutive PUBACK, PUBREC, PUBREL or PUBCOMP that all say success.

Whole reads consist of them where many messages are under way, so they come and go at once.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.packets import AckRun

# By their first byte (MQTT 5.0 §3.4.1, §3.5.1, §3.6.1, §3.7.1).
ACKNOWLEDGEMENTS: dict[int, PacketType] = {
    0x40: PacketType.PUBACK,
    0x50: PacketType.PUBREC,
    0x62: PacketType.PUBREL,
    0x70: PacketType.PUBCOMP,
}
_FIRST_BYTES = {kind: first for first, kind in ACKNOWLEDGEMENTS.items()}

LONGEST_ACK_RUN = 1_024  # packets: so many are answered in one turn


def decode_ack_run(data: bytes, start: int, end: int) -> tuple[AckRun, int] | None:
    """The run that begins at `start`, and where it ends; None if what is there belongs to none.

    The packet there is whole, and one of `ACKNOWLEDGEMENTS`. Those of a run are alike in form: with
    neither reason code nor properties, with a reason code, or with a length of properties besides
    (MQTT 5.0 §3.4.2.1, §3.4.2.2); and the last two are zero. A run ends before the first packet
    that is not like those before it, or has no packet identifier.
    """
    kind = ACKNOWLEDGEMENTS[data[start]]
    size = data[start + 1] + 2
    stop = start + size
    end = min(end, start + LONGEST_ACK_RUN * size)
    if size == 4:
        if stop == end:
            packet_id = data[start + 2] << 8 | data[start + 3]
            return (AckRun(kind, (packet_id,)), stop) if packet_id else None
        head = data[start : start + 2]
        while stop + 4 <= end and data.startswith(head, stop):
            stop += 4
        packet_ids: tuple[int, ...]
        packet_ids = struct.unpack_from(f">{(stop - start) // 2}H", data, start)[1::2]
    else:
        head = data[start : start + 2]
        zeros = bytes(size - 4)
        if not data.startswith(zeros, start + 4):
            return None
        while (
            stop + size <= end and data.startswith(head, stop) and data.startswith(zeros, stop + 4)
        ):
            stop += size
        packet_ids = tuple(data[at] << 8 | data[at + 1] for at in range(start + 2, stop, size))
    if 0 in packet_ids:
        packet_ids = packet_ids[: packet_ids.index(0)]
        stop = start + size * len(packet_ids)
    return (AckRun(kind, packet_ids), stop) if packet_ids else None


def encode_ack_run(kind: PacketType, packet_ids: Sequence[int]) -> bytes:
    """The bytes of a run, in the shortest form: that is the same in all versions.

    Identifiers are within 1 to 65,535.
    """
    head = _FIRST_BYTES[kind] << 24 | 2 << 16
    return struct.pack(f">{len(packet_ids)}I", *[head | packet_id for packet_id in packet_ids])
