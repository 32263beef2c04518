"""What comes in one read with DISCONNECT takes effect, and so does the DISCONNECT."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.inside import core_of, idle_broker
from trio_mqtt import Broker
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    Connect,
    Disconnect,
    Packet,
    PingReq,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)

V5, V311 = ProtocolVersion.V5, ProtocolVersion.V311

ASKING: list[Packet] = [
    Subscribe(1, [Subscription("t", qos=1)]),
    Unsubscribe(1, ["t"]),
    PingReq(),
    PubRec(1),
    PubRel(1),
]


async def converse(broker: Broker, version: ProtocolVersion, *reads: list[Packet]) -> None:
    """Be a client that says these packets, those of each list at once, and hangs up."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broker.handle, theirs)
        for packets in reads:
            await ours.send_all(b"".join(encode(packet, version) for packet in packets))
            await trio.testing.wait_all_tasks_blocked()
        await ours.aclose()


def kept(broker: Broker, topic: str) -> list[bytes]:
    """The payload that is retained for a topic, if one is."""
    return [message.payload for message, *_ in core_of(broker).retained.matching(topic)]


@pytest.mark.parametrize("version", [V5, V311], ids=lambda version: version.text)
@pytest.mark.parametrize("asking", ASKING, ids=lambda packet: type(packet).__name__)
@pytest.mark.parametrize("together", [True, False], ids=["with CONNECT", "after CONNECT"])
@pytest.mark.normative("MQTT-3.14.4-3")
@pytest.mark.normative_v311("MQTT-3.14.4-3")
async def test_a_goodbye_with_a_request_before_it_cancels_the_will(
    asking: Packet, version: ProtocolVersion, together: bool, caplog: pytest.LogCaptureFixture
) -> None:
    broker = idle_broker()
    connect = Connect("c", protocol_version=version, will=Will("will", b"gone", retain=True))
    message = Publish("t", b"said", retain=True)
    goodbye: list[Packet] = [asking, message, Disconnect()]
    reads = [[connect, *goodbye]] if together else [[connect], goodbye]
    await converse(broker, version, *reads)

    assert kept(broker, "t") == [b"said"]
    assert kept(broker, "will") == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_resumed_session_bears_a_goodbye_at_once(caplog: pytest.LogCaptureFixture) -> None:
    broker = idle_broker()
    connect = Connect(
        "c", protocol_version=V5, clean_start=False, properties={"session_expiry_interval": 60}
    )
    await converse(broker, V5, [connect, Subscribe(1, [Subscription("t", qos=2)])])
    await broker.publish("t", b"", qos=2)
    await converse(broker, V5, [connect], [PubRec(1)])  # released, and never completed
    await converse(broker, V5, [connect, Disconnect()])

    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    [session] = core_of(broker).sessions.all()
    assert list(session.sender.released) == [1]
