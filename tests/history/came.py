"""Messages as they come to a history."""

from __future__ import annotations

from collections.abc import Sequence

from trio_mqtt.history.chunks import Came
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.protocol.publish_runs import decode_publish_run

NOW = 1_764_000_000  # seconds since 1970
SECOND = 1_000_000


def came(messages: Sequence[Publish], at: float = NOW, *, is_v5: bool = True) -> Came:
    """Messages that came together, `at` seconds since 1970."""
    return Came(messages, is_v5, round(at * SECOND))


def came_as_run(
    topics: Sequence[str], payload: bytes, at: float = NOW, *, qos: int = 0, is_v5: bool = True
) -> Came:
    """As many messages as topics, as the run that they are when they come in one read."""
    version = ProtocolVersion.V5 if is_v5 else ProtocolVersion.V311
    frames = b"".join(
        encode(Publish(topic, payload, qos, packet_id=qos * (number % 65_535 + 1)), version)
        for number, topic in enumerate(topics)
    )
    run = decode_publish_run(frames, 0, len(frames), 0x30 | qos << 1, 1 << 20, is_v5=is_v5)
    assert run is not None
    assert len(run) == len(topics)
    return Came(run, is_v5, round(at * SECOND))
