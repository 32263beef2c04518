"""Packets that no encoder would write, and what a decoder says to them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trio_mqtt.errors import RemoteProtocolError
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Packet

V31, V311, V5 = ProtocolVersion.V31, ProtocolVersion.V311, ProtocolVersion.V5
V = pytest.mark.parametrize("version", [V31, V311, V5], ids=lambda v: v.text)
Decode = Callable[[bytes, ProtocolVersion], Packet]
ReadyDecoder = Callable[[ProtocolVersion, int], PacketDecoder]
Sample = tuple[str, Packet, ProtocolVersion, frozenset[int]]

BAD_TOPICS = ["+", "#", "a/+", "a/#", "a+", "#/a", "+/a"]


def frame(first: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes((first, len(body))) + body


def string(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw


def none(version: ProtocolVersion) -> bytes:
    """No properties."""
    return b"\0" if version == V5 else b""


def refusal(data: bytes, version: ProtocolVersion, decode: Decode) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(data, version)
    assert str(caught.value)
    return caught.value


def connect(level: int, flags: int, payload: bytes, name: bytes = b"\0\4MQTT") -> bytes:
    properties = b"\0" if level == 5 else b""
    return frame(0x10, name + bytes((level, flags)) + b"\0\x3c" + properties + payload)
