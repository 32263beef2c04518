"""A client that sees every code that a broker answers with: one blocking socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from trio_mqtt import ProtocolVersion
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    Subscription,
)

from .peers import DEADLINE, Server


class PlainClient:
    """One connection."""

    def __init__(self, connection: socket.socket, version: ProtocolVersion) -> None:
        self._connection = connection
        self._version = version
        self._decoder = PacketDecoder(PacketType.CONNACK, version)
        self._packets: list[Packet] = []

    def send(self, packet: Packet) -> None:
        self._connection.sendall(encode(packet, self._version))

    def receive(self) -> Packet:
        while not self._packets:
            data = self._connection.recv(65_536)
            if not data:
                raise ConnectionError("The broker has closed the connection.")
            self._packets += self._decoder.feed(data)
            assert self._decoder.violation is None
        return self._packets.pop(0)

    def publish(self, topic: str) -> bool:
        """Whether a message of QoS 1 is accepted."""
        self.send(Publish(topic, b"x", qos=1, packet_id=1))
        answer = self.receive()
        assert isinstance(answer, PubAck)
        return not answer.reason_code.is_failure

    def subscribe(self, *filters: str) -> list[bool]:
        """Which of the filters are granted."""
        self.send(Subscribe(1, [Subscription(each, 0) for each in filters]))
        answer = self.receive()
        assert isinstance(answer, SubAck)
        return [not code.is_failure for code in answer.reason_codes]

    def received(self) -> list[str]:
        """The topics of the messages that the broker has sent before it answers a PINGREQ."""
        return [message.topic for message in self.messages()]

    def messages(self) -> list[Publish]:
        """Those messages."""
        self.send(PingReq())
        messages = []
        while not isinstance(packet := self.receive(), PingResp):
            assert isinstance(packet, Publish)
            messages.append(packet)
        return messages


@contextmanager
def connect_plainly(
    server: Server,
    client_id: str,
    username: str | None = None,
    password: bytes | None = None,
    *,
    version: ProtocolVersion = ProtocolVersion.V5,
    is_bridge: bool = False,
) -> Iterator[PlainClient]:
    """Connect. Raises ConnectionRefusedError where the broker says no."""
    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as connection:
        client = PlainClient(connection, version)
        client.send(
            Connect(
                client_id=client_id,
                username=username,
                password=password,
                clean_start=True,
                keep_alive=0,
                protocol_version=version,
                is_bridge=is_bridge,
            )
        )
        answer = client.receive()
        assert isinstance(answer, ConnAck)
        if answer.reason_code.is_failure:
            raise ConnectionRefusedError(answer.reason_code.sentence)
        yield client
