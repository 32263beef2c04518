"""Runs of acknowledgements: consecutive PUBACK, PUBREC, PUBREL or PUBCOMP that all say success.

Whole reads consist of them where many messages are under way, so they come and go at once.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.packets import AckRun, PubAck, PubComp, PubRec, PubRel
from trio_mqtt.protocol.wire import IDENTIFIERS

# By their first byte (MQTT 5.0 §3.4.1, §3.5.1, §3.6.1, §3.7.1).
ACKNOWLEDGEMENTS: dict[int, PacketType] = {
    0x40: PacketType.PUBACK,
    0x50: PacketType.PUBREC,
    0x62: PacketType.PUBREL,
    0x70: PacketType.PUBCOMP,
}
ACK_PACKETS: dict[int, type[PubAck | PubRec | PubRel | PubComp]] = {
    0x40: PubAck,
    0x50: PubRec,
    0x62: PubRel,
    0x70: PubComp,
}
_FIRST_BYTES = {kind: first for first, kind in ACKNOWLEDGEMENTS.items()}

# All acknowledgements of a kind that say success, in the order of packet identifiers from 0 on, by
# their first byte: those of consecutive identifiers are part of that. Made when first used.
_ALL: dict[int, bytes] = {}

LONGEST_ACK_RUN = 256  # packets: looking at so many costs little, whatever they turn out to be

# Where packets of a run have the same bytes, by their size: type and length; and zeros, which are
# the reason code and the length of properties.
_ALIKE: dict[int, tuple[int, ...]] = {4: (0, 1), 5: (0, 1, 4), 6: (0, 1, 4, 5)}


def decode_ack_run(data: bytes, start: int, end: int) -> tuple[AckRun, int] | None:
    """The run that begins at `start`, and where it ends; None if what is there belongs to none.

    The packet there is whole, and one of `ACKNOWLEDGEMENTS` of four to six bytes. Those of a run
    are alike in form: with neither reason code nor properties, with a reason code, or with a length
    of properties besides (MQTT 5.0 §3.4.2.1, §3.4.2.2); and the last two are zero. A run ends
    before the first packet that is not like those before it, or has no packet identifier. Where
    the identifiers are consecutive, they are a range.
    """
    kind, size = ACKNOWLEDGEMENTS[data[start]], data[start + 1] + 2
    if size == 4 and start + 4 == end:
        packet_id = data[start + 2] << 8 | data[start + 3]
        return (AckRun(kind, (packet_id,)), end) if packet_id else None
    count = min((end - start) // size, LONGEST_ACK_RUN)
    stop = start + count * size
    if size == 4:
        in_order = consecutive_acks(data[start:stop])
        if in_order is not None:
            return AckRun(kind, in_order), stop
    for at in _ALIKE[size]:
        # One byte of each packet: from the first one on that is another, nothing belongs to it.
        there = data[start + at : stop : size]
        unlike = len(there.lstrip(there[:1] if at < 2 else b"\0"))
        if unlike:
            count -= unlike
            stop = start + count * size
    if not count:
        return None
    identifiers = bytearray(2 * count)
    identifiers[::2] = data[start + 2 : stop : size]
    identifiers[1::2] = data[start + 3 : stop : size]
    first = identifiers[0] << 8 | identifiers[1]
    if count > 1 and first and IDENTIFIERS.startswith(identifiers, 2 * first):
        # They are one after the other, as they were sent.
        return AckRun(kind, range(first, first + count)), stop
    packet_ids: tuple[int, ...] = struct.unpack(f">{count}H", identifiers)
    if not all(packet_ids):
        packet_ids = packet_ids[: packet_ids.index(0)]
        stop = start + size * len(packet_ids)
    return (AckRun(kind, packet_ids), stop) if packet_ids else None


def _all_of(first_byte: int) -> bytes:
    found = _ALL.get(first_byte)
    if found is None:
        data = bytearray(bytes((first_byte, 2, 0, 0)) * (len(IDENTIFIERS) >> 1))
        data[2::4] = IDENTIFIERS[::2]
        data[3::4] = IDENTIFIERS[1::2]
        found = _ALL[first_byte] = bytes(data)
    return found


def consecutive_acks(data: bytes) -> range | None:
    """The packet identifiers of what is nothing but acknowledgements, one after the other.

    They are of the kind of the first and say success. None for whatever else there is.
    """
    size = len(data)
    if size < 4 or size & 3 or data[0] not in ACKNOWLEDGEMENTS:
        return None
    first = data[2] << 8 | data[3]
    if not first or not _all_of(data[0]).startswith(data, 4 * first):
        return None
    return range(first, first + (size >> 2))


def encode_ack_run(kind: PacketType, packet_ids: Sequence[int]) -> bytes:
    """The bytes of a run, in the shortest form: that is the same in all versions.

    Identifiers are within 1 to 65,535.
    """
    if isinstance(packet_ids, range) and packet_ids.step == 1:
        return _all_of(_FIRST_BYTES[kind])[4 * packet_ids.start : 4 * packet_ids.stop]
    head = _FIRST_BYTES[kind] << 24 | 2 << 16
    return struct.pack(f">{len(packet_ids)}I", *[head | packet_id for packet_id in packet_ids])


def encode_answers(kind: PacketType, identifiers: bytes) -> bytes:
    """A run of acknowledgements, of which these are the packet identifiers as they came.

    Each has two bytes.
    """
    first = identifiers[0] << 8 | identifiers[1]
    count = len(identifiers) >> 1
    if IDENTIFIERS.startswith(identifiers, 2 * first):
        return _all_of(_FIRST_BYTES[kind])[4 * first : 4 * (first + count)]
    data = bytearray(bytes((_FIRST_BYTES[kind], 2, 0, 0)) * count)
    data[2::4] = identifiers[::2]
    data[3::4] = identifiers[1::2]
    return bytes(data)
