"""Clients that speak packets over plain sockets, and brokers that are started by their settings."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from tests.cli.programs import DEADLINE, Program
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
    Publish,
    SubAck,
    Subscribe,
    Subscription,
)
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties

V311, V5 = ProtocolVersion.V311, ProtocolVersion.V5
P = TypeVar("P", bound=Packet)
_AT = r"Listening at (\w+:\S+)\n"


@contextmanager
def broker_of(text: str, folder: Path) -> Iterator[tuple[Program, list[str]]]:
    """The command with a file of settings, and the addresses of its listeners in their order."""
    file = folder / "broker.toml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    with Program("broker", "--config", str(file)) as broker:
        urls = [
            broker.out.expect(_AT, times=number + 1)[1]
            for number in range(text.count("[[listeners]]"))
        ]
        yield broker, urls
        if broker.process.poll() is None:
            assert broker.stop() == 0


@contextmanager
def broker_with(settings: Iterable[str]) -> Iterator[str]:
    """The command with `--set` for each of the settings, and its address."""
    options = [part for setting in settings for part in ("--set", setting)]
    with Program("broker", "mqtt://127.0.0.1:0", *options) as broker:
        yield broker.out.expect(_AT)[1]
        assert broker.stop() == 0


def dialled(url: str) -> socket.socket:
    """A connection to a listener, at which nothing was said yet."""
    scheme, _, where = url.partition("://")
    if scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(DEADLINE)
        connection.connect(where)
        return connection
    host, _, port = where.partition("/")[0].partition(":")
    return socket.create_connection((host, int(port)), DEADLINE)


class Wire:
    """A client of MQTT 5, by default, that answers nothing by itself.

    `before` are bytes that are sent before CONNECT.
    """

    def __init__(
        self,
        url: str,
        name: str = "c",
        *,
        version: ProtocolVersion = V5,
        before: bytes = b"",
        properties: Properties = NO_PROPERTIES,
        **connect: Any,
    ) -> None:
        self.socket = dialled(url)
        self._version = version
        self._decoder = PacketDecoder(PacketType.CONNACK, version)
        self._packets: list[Packet] = []
        packet = Connect(name, protocol_version=version, properties=properties, **connect)
        self.socket.sendall(before + encode(packet, version))
        self.connack = self.expect(ConnAck)

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.socket.close()

    def goodbye(self) -> None:
        """Disconnect, and wait until the broker has closed: its session is free then."""
        self.send(Disconnect())
        while self.receive() is not None:
            pass

    def send(self, *packets: Packet) -> None:
        """Send packets in one write."""
        self.socket.sendall(b"".join(encode(packet, self._version) for packet in packets))

    def receive(self) -> Packet | None:
        """The next packet; None where the broker has closed the connection."""
        while not self._packets:
            try:
                data = self.socket.recv(65_536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._packets = self._decoder.feed(data)
            assert self._decoder.violation is None, self._decoder.violation
        return self._packets.pop(0)

    def expect(self, kind: type[P]) -> P:
        """The next packet, which is of this kind."""
        packet = self.receive()
        assert isinstance(packet, kind), packet
        return packet

    def until_pong(self) -> list[Packet]:
        """Ping, and return what comes before the answer."""
        self.send(PingReq())
        packets: list[Packet] = []
        while not isinstance(packet := self.receive(), PingResp):
            assert packet is not None, packets
            packets.append(packet)
        return packets

    def subscribe(self, topic_filter: str, qos: int = 0) -> int:
        """Subscribe, and return the reason code of SUBACK, before which no message comes."""
        self.send(Subscribe(1, [Subscription(topic_filter, qos)]))
        (code,) = self.expect(SubAck).reason_codes
        return code

    def publish(self, topic: str, payload: bytes = b"x", **fields: Any) -> int:
        """Publish at QoS 1, and return the reason code of PUBACK."""
        self.send(Publish(topic, payload, 1, packet_id=1, **fields))
        return self.expect(PubAck).reason_code
