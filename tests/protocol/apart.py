"""Packets one by one, whatever runs they came in."""

from __future__ import annotations

from collections.abc import Iterable

from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.packets import (
    AckRun,
    Packet,
    PubAck,
    PubComp,
    PublishRun,
    PubRec,
    PubRel,
)

ACKS: dict[PacketType, type[PubAck | PubRec | PubRel | PubComp]] = {
    PacketType.PUBACK: PubAck,
    PacketType.PUBREC: PubRec,
    PacketType.PUBREL: PubRel,
    PacketType.PUBCOMP: PubComp,
}


def taken_apart(packets: Iterable[Packet]) -> list[Packet]:
    apart: list[Packet] = []
    for packet in packets:
        if isinstance(packet, PublishRun):
            apart += packet.messages
        elif isinstance(packet, AckRun):
            apart += [ACKS[packet.kind](packet_id) for packet_id in packet.packet_ids]
        else:
            apart.append(packet)
    return apart
