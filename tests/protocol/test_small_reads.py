"""A packet that comes in the smallest pieces takes no more memory than its bytes."""

from __future__ import annotations

import sys

import pytest

from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Publish


@pytest.mark.parametrize("size", [1, 2, 3, 4_095, 4_096, 5_000])
def test_small_reads_are_kept_together(size: int) -> None:
    version = ProtocolVersion.V311
    decoder = PacketDecoder(PacketType.CONNACK, version)
    assert decoder.feed(encode(ConnAck(), version)) == [ConnAck()]
    message = Publish("t", bytes(range(256)) * 400)
    data = encode(message, version)
    for start in range(0, len(data) - 1, size):
        assert decoder.feed(data[start : min(start + size, len(data) - 1)]) == []
        assert sum(sys.getsizeof(chunk) for chunk in decoder._chunks) < 2 * start + 20_000
    assert decoder.feed(data[-1:]) == [message]
    assert decoder._chunks == []


def test_small_and_large_reads_may_alternate() -> None:
    version = ProtocolVersion.V311
    decoder = PacketDecoder(PacketType.CONNACK, version)
    decoder.feed(encode(ConnAck(), version))
    message = Publish("t", bytes(range(256)) * 400)
    data = encode(message, version)
    found = []
    position = 0
    for size in [1, 5_000, 2, 3, 20_000, 4_096, 1, 1, 100_000]:
        found += decoder.feed(data[position : position + size])
        position += size
    assert found == [message]
