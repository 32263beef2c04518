"""Looking at what one client says and is sent: counted, and packet by packet for who traces it.

There is one for a connection only while somebody asks for it; all others have a None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.broker.connections.offers import RefusedPublish
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import Publish, PublishRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_mqtt.broker.timers import Timer
    from trio_mqtt.broker.traces import Direction, PacketFollower


class Observation:
    """What one connection carries since somebody looks.

    Messages are PUBLISH packets, bytes those of MQTT. `followers` are told of each packet: they are
    the broker's list of who traces the client, so that who has left it hears nothing more.
    """

    __slots__ = ("_decoder", "bytes_received", "bytes_sent", "followers", "messages_received",
                 "messages_sent", "metered_until", "since", "timer", "version")  # fmt: skip

    def __init__(self, version: ProtocolVersion, since: float) -> None:
        self.version = version
        self.since = since  # on the broker's clock: what is counted, is counted from then on
        self.metered_until = since
        self.timer: Timer | None = None  # looks whether it is metered any longer
        self.messages_received = self.messages_sent = 0
        self.bytes_received = self.bytes_sent = 0
        self.followers: Sequence[PacketFollower] = ()
        self._decoder: PacketDecoder | None = None

    def end(self) -> None:
        """The connection is over: nothing is looked at any more, and nothing waits to."""
        self.followers = ()
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def begin_anew(self, now: float) -> None:
        """What is counted, is counted from now on."""
        self.since = now
        self.messages_received = self.messages_sent = 0
        self.bytes_received = self.bytes_sent = 0

    def received(self, packets: Sequence[object], size: int) -> None:
        """A read has brought these packets, and so many bytes."""
        self.bytes_received += size
        for packet in packets:
            if isinstance(packet, PublishRun):
                self.messages_received += len(packet)
            elif isinstance(packet, (Publish, RefusedPublish)):
                self.messages_received += 1
        if packets:
            self._tell("in", packets)

    def sent(self, data: bytes) -> None:
        """Whole packets leave for the client."""
        self.bytes_sent += len(data)
        self.messages_sent += _publishes(data)
        if self.followers:
            if self._decoder is None:
                self._decoder = PacketDecoder(PacketType.CONNACK, self.version)
                self._decoder.first = None
            self._tell("out", self._decoder.feed(data))

    def _tell(self, direction: Direction, packets: Sequence[object]) -> None:
        for follower in self.followers:
            follower.packets(direction, packets)


def _publishes(data: bytes) -> int:
    """How many of these packets are PUBLISH."""
    count, at, end = 0, 0, len(data)
    while at < end:
        count += data[at] >> 4 == PacketType.PUBLISH
        length = shift = 0
        while True:
            at += 1
            length |= (data[at] & 0x7F) << shift
            shift += 7
            if data[at] < 0x80:
                break
        at += 1 + length
    return count
