"""A client that sends any bytes and shows every packet that comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio
import trio.testing

from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

V31, V311, V5 = ProtocolVersion.V31, ProtocolVersion.V311, ProtocolVersion.V5
P = TypeVar("P", bound=Packet)


class Closed:
    """What `receive` gives where the broker has closed the connection."""


class Raw:
    """One connection, as a client sees it. It answers nothing by itself."""

    def __init__(self, stream: trio.abc.Stream, version: ProtocolVersion = V5) -> None:
        self.stream = stream
        self.version = version
        self.connack: ConnAck | None = None
        self._decoder = PacketDecoder(PacketType.CONNACK, version)
        self._packets: list[Packet] = []
        self._next_id = 0

    def packet_id(self) -> int:
        self._next_id += 1
        return self._next_id

    async def send(self, *packets: Packet | bytes) -> None:
        """Send packets in one write."""
        if any(isinstance(p, Connect) and "authentication_method" in p.properties for p in packets):
            self._decoder.first = None  # AUTH may come before CONNACK
        await self.stream.send_all(
            b"".join(p if isinstance(p, bytes) else encode(p, self.version) for p in packets)
        )

    async def receive(self) -> Packet | Closed:
        """The next packet, whatever it is."""
        while not self._packets:
            try:
                data = await self.stream.receive_some(65_536)
            except trio.BrokenResourceError:
                return Closed()
            if not data:
                return Closed()
            self._packets = self._decoder.feed(bytes(data))
            assert self._decoder.violation is None, self._decoder.violation
        return self._packets.pop(0)

    async def expect(self, kind: type[P]) -> P:
        """The next packet, which must be of this kind."""
        with trio.fail_after(300):
            packet = await self.receive()
        assert isinstance(packet, kind), packet
        return packet

    async def expect_closed(self) -> None:
        """The broker closes, and says nothing before."""
        with trio.fail_after(300):
            packet = await self.receive()
        assert isinstance(packet, Closed), packet
        await trio.testing.wait_all_tasks_blocked()  # its task has ended too

    async def expect_disconnect(self, code: ReasonCode) -> Disconnect | None:
        """The broker closes; in MQTT 5 it says this reason before."""
        packet = None
        if self.version == V5:
            packet = await self.expect(Disconnect)
            assert packet.reason_code == code, packet
        await self.expect_closed()
        return packet

    async def expect_nothing(self, seconds: float = 0.05) -> None:
        """Nothing comes, and the connection stands."""
        with trio.move_on_after(seconds):
            packet = await self.receive()
            raise AssertionError(packet)

    async def drain(self, seconds: float = 0.05) -> list[Packet]:
        """All that comes until nothing has come for so long, or the broker closes."""
        found: list[Packet] = []
        while True:
            with trio.move_on_after(seconds) as scope:
                packet = await self.receive()
            if scope.cancelled_caught or isinstance(packet, Closed):
                return found
            found.append(packet)

    async def messages(self, seconds: float = 0.05) -> list[Publish]:
        """The messages among all that comes."""
        return [p for p in await self.drain(seconds) if isinstance(p, Publish)]

    async def payloads(self, seconds: float = 0.05) -> list[bytes]:
        return [message.payload for message in await self.messages(seconds)]

    async def connect(
        self,
        client_id: str = "c",
        *,
        clean_start: bool = True,
        keep_alive: int = 0,
        will: Will | None = None,
        expiry: int | None = None,
        properties: Properties = NO_PROPERTIES,
        username: str | None = None,
    ) -> ConnAck:
        """CONNECT and its answer, which must accept it. `expiry` means a session that is kept."""
        if expiry is not None and self.version == V5:
            properties = {**properties, "session_expiry_interval": expiry}
        await self.send(
            Connect(client_id, clean_start, keep_alive, self.version, will, username,
                    properties=properties)
        )  # fmt: skip
        answer = await self.expect(ConnAck)
        assert answer.reason_code == ReasonCode.SUCCESS, answer
        self.connack = answer
        return answer

    async def subscribe(
        self, *filters: str | Subscription, qos: int = 0, identifier: int | None = None
    ) -> list[ReasonCode]:
        """SUBSCRIBE and its answer."""
        subscriptions = [Subscription(f, qos) if isinstance(f, str) else f for f in filters]
        properties: Properties = (
            {} if identifier is None else {"subscription_identifier": [identifier]}
        )
        packet_id = self.packet_id()
        await self.send(Subscribe(packet_id, subscriptions, properties))
        answer = await self.expect(SubAck)
        assert answer.packet_id == packet_id
        return answer.reason_codes

    async def unsubscribe(self, *filters: str) -> list[ReasonCode]:
        packet_id = self.packet_id()
        await self.send(Unsubscribe(packet_id, list(filters)))
        answer = await self.expect(UnsubAck)
        assert answer.packet_id == packet_id
        return answer.reason_codes

    async def publish(
        self,
        topic: str,
        payload: bytes = b"",
        qos: int = 0,
        *,
        retain: bool = False,
        properties: Properties = NO_PROPERTIES,
    ) -> ReasonCode:
        """Publish, with the whole handshake of the QoS; the code of its first answer."""
        packet_id = self.packet_id() if qos else 0
        await self.send(
            Publish(topic, payload, qos, retain, packet_id=packet_id, properties=properties)
        )
        code = ReasonCode.SUCCESS
        if qos == 1:
            puback = await self.expect(PubAck)
            assert puback.packet_id == packet_id
            code = puback.reason_code
        elif qos == 2:
            pubrec = await self.expect(PubRec)
            assert pubrec.packet_id == packet_id
            code = pubrec.reason_code
            if not code.is_failure:
                await self.send(PubRel(packet_id))
                pubcomp = await self.expect(PubComp)
                assert pubcomp == PubComp(packet_id)
        return code

    async def expect_message(self, topic: str, payload: bytes, qos: int = 0) -> Publish:
        """The next packet is this message; it is not acknowledged."""
        message = await self.expect(Publish)
        assert (message.topic, message.payload, message.qos) == (topic, payload, qos), message
        return message

    async def expect_any(self) -> Publish:
        """The next packet is a message; where it is of QoS 1, it is acknowledged."""
        message = await self.expect(Publish)
        if message.qos == 1:
            await self.send(PubAck(message.packet_id))
        return message

    async def take(self, seconds: float = 0.05) -> list[Publish]:
        """All messages that come, acknowledged with the whole handshake of their QoS."""
        found: list[Publish] = []
        while batch := await self.drain(seconds):
            for packet in batch:
                if isinstance(packet, Publish):
                    found.append(packet)
                    if packet.qos == 1:
                        await self.send(PubAck(packet.packet_id))
                    elif packet.qos == 2:
                        await self.send(PubRec(packet.packet_id))
                elif isinstance(packet, PubRel):
                    await self.send(PubComp(packet.packet_id))
        return found

    async def ping(self) -> None:
        """PINGREQ and its answer: by then the broker has done all that was asked before."""
        await self.send(PingReq())
        await self.expect(PingResp)

    async def disconnect(
        self, code: ReasonCode = ReasonCode.SUCCESS, properties: Properties = NO_PROPERTIES
    ) -> None:
        await self.send(Disconnect(code, properties))
        await self.expect_closed()

    async def drop(self) -> None:
        """The connection is lost, and the broker has seen it."""
        await self.stream.aclose()
        await trio.testing.wait_all_tasks_blocked()


Open = Callable[..., Raw]
