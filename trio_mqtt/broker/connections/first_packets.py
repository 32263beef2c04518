"""What a client says first: CONNECT, and what comes with it (MQTT 5.0 §3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.connections.connack import allowed
from trio_mqtt.broker.connections.link import COUNTED, Link
from trio_mqtt.errors import RemoteProtocolError, UnsupportedVersionError
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.packets import ConnAck

if TYPE_CHECKING:
    from trio_mqtt.protocol.packets import Packet


async def receive_first(link: Link) -> list[Packet]:
    """What comes with CONNECT, and CONNECT first; nothing if it does not come."""
    stream = link.stream
    data = stream.receive_nowait()  # mostly it is there when its connection is accepted
    while True:
        if data is None:
            await stream.readable()
            data = stream.receive_nowait()
            continue
        if not data:
            link.lost("it closed the connection before CONNECT")
            return []
        link.core.statistics.bytes_received += len(data)
        packets = link.protocol.receive(data)
        unfinished = link.protocol.unfinished > COUNTED or link.counts_unfinished
        if unfinished and not link.count_unfinished():
            return []
        if packets:
            return packets
        if link.protocol.violation is not None:
            _refuse_violation(link, link.protocol.violation)
            return []
        data = None


async def said_meanwhile(link: Link) -> bytes:
    """What a client says while it waits for CONNACK; none where it has gone, which ends it.

    One that has gone on speaking may have said all that it wanted when it closes its side.
    """
    stream = link.stream
    while True:
        try:
            await stream.readable()
            data = stream.receive_nowait()
        except trio.BrokenResourceError:
            data = b""
        if data:
            link.core.statistics.bytes_received += len(data)
            return data
        if data is not None:
            link.lost("it closed the connection before it was accepted")
            return b""


def _refuse_violation(link: Link, error: RemoteProtocolError) -> None:
    """A first packet that is no right CONNECT: closed without a word, unless those are known."""
    link.count_violation(error)
    if isinstance(error, UnsupportedVersionError):
        # Without words: what it said about them, and about its limits, is not understood.
        answer = encode(ConnAck(reason_code=error.reason_code), error.answer_version)
    else:
        code = allowed(error.reason_code, PacketType.CONNACK)
        answer = link.protocol.refusal(code, str(error))
    if answer:
        link.core.statistics.count_sent("CONNACK", error.reason_code)
        link.outlet.write(answer)
    link.lost(str(error))
