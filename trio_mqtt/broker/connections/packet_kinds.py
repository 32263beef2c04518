"""What a packet is counted as: its name in the standard, and its reason code."""

from __future__ import annotations

from typing import get_args

from trio_mqtt.protocol.packets import Packet

_NAMES: dict[type, str] = {kind: kind.__name__.upper() for kind in get_args(Packet)}
_GRANTED = 2  # up to this code a subscription is granted, whatever the QoS


def kind_of(packet: Packet) -> tuple[str, int]:
    """The name of a packet, and its reason code: of several the highest, 0 for all successes."""
    codes = getattr(packet, "reason_codes", None)
    code = max(codes, default=0) if codes else getattr(packet, "reason_code", 0)
    return _NAMES[type(packet)], int(code) if code > _GRANTED else 0
