"""The control packet types and protocol versions (MQTT 5.0 §2.1.2, §3.1.2.2)."""

from __future__ import annotations

from enum import IntEnum


class PacketType(IntEnum):
    """The four highest bits of a packet's first byte (MQTT 5.0 §2.1.2)."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


class ProtocolVersion(IntEnum):
    """The protocol level byte of CONNECT (MQTT 5.0 §3.1.2.2)."""

    V31 = 3
    V311 = 4
    V5 = 5

    @property
    def text(self) -> str:
        """The version as people write it: "3.1", "3.1.1" or "5"."""
        return {3: "3.1", 4: "3.1.1", 5: "5"}[self]
