"""Clients of every transport, by hand: what they send is up to the test."""

from __future__ import annotations

import base64
import itertools
import os
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trio
import trustme

from tests.broker.raw import Raw
from tests.inside import links_of
from trio_mqtt import Broker
from trio_mqtt.transport.urls import parse_url

CLOSE, PING, PONG, TEXT, BINARY, CONTINUATION = 8, 9, 10, 1, 2, 0
FINAL = 0x80


@dataclass
class Certificates:
    """An authority, certificates that it has signed, and one that it has not."""

    folder: Path
    ca: trustme.CA = field(default_factory=trustme.CA)
    other_ca: trustme.CA = field(default_factory=trustme.CA)
    _numbers: Callable[[], int] = field(default_factory=lambda: itertools.count().__next__)

    def __post_init__(self) -> None:
        self.ca.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        self.other_ca.cert_pem.write_to_path(str(self.folder / "other-ca.pem"))

    @property
    def ca_file(self) -> str:
        return str(self.folder / "ca.pem")

    @property
    def other_ca_file(self) -> str:
        return str(self.folder / "other-ca.pem")

    def server(
        self, name: str = "localhost", *, expired: bool = False, into: Path | None = None
    ) -> str:
        """A file with the key and a certificate for 127.0.0.1, the key first."""
        leaf = self.ca.issue_cert(name, "127.0.0.1", not_after=_until(expired))
        return self._write(leaf, into)

    def client(
        self, name: str | None = "sensor", *, ours: bool = True, expired: bool = False
    ) -> str:
        """A file with a client's certificate and its key."""
        ca = self.ca if ours else self.other_ca
        return self._write(
            ca.issue_cert(
                "client@example.org", common_name=name, organization_name="Example, Inc.",
                not_after=_until(expired),
            )
        )  # fmt: skip

    def parts(self, file: str) -> tuple[str, str]:
        """The key and the certificate in a file."""
        text = Path(file).read_text()
        start = text.index("-----BEGIN CERTIFICATE-----")
        return text[:start], text[start:]

    def _write(self, leaf: trustme.LeafCert, into: Path | None = None) -> str:
        path = into or self.folder / f"{self._numbers()}.pem"
        leaf.private_key_and_cert_chain_pem.write_to_path(str(path))
        return str(path)

    def trusting(self, client: str | None = None) -> ssl.SSLContext:
        """What a client needs that trusts the authority."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if client is not None:
            context.load_cert_chain(client)
        return context


def _until(expired: bool) -> datetime | None:
    return datetime.now(UTC) - timedelta(days=1) if expired else None


async def dial(url: str) -> trio.abc.Stream:
    """A plain stream to where the broker listens, whatever is spoken there."""
    address = parse_url(url, listening=True)
    if address.scheme == "unix":
        return await trio.open_unix_socket(address.path)
    return await trio.open_tcp_stream(address.host, address.port)


async def dial_tls(url: str, context: ssl.SSLContext) -> trio.abc.Stream:
    return trio.SSLStream(
        await dial(url), context, server_hostname="127.0.0.1", https_compatible=True
    )


async def gone(broker: Broker) -> None:
    """Wait until the broker serves nobody."""
    with trio.fail_after(60):
        while links_of(broker):  # noqa: ASYNC110  # nobody tells
            await trio.sleep(0.001)


async def until_end(stream: trio.abc.Stream, seconds: float = 9) -> bytes:
    """All that comes until the broker closes: before the ten seconds are over that it gives a
    client to connect, where nothing else is said.
    """
    data = b""
    with trio.fail_after(seconds):
        try:
            while part := await stream.receive_some(65_536):
                data += part
        except trio.BrokenResourceError:
            pass
    return data


def request(
    path: str = "/mqtt", *, host: str = "127.0.0.1", protocol: str | None = "mqtt", **headers: str
) -> bytes:
    """The opening handshake of a WebSocket; `headers` are added, an underscore for the hyphen."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
    ]
    if protocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(
    payload: bytes, opcode: int = BINARY, *, final: bool = True, mask: bytes = b"\x11\x22\x33\x44"
) -> bytes:
    """A frame as a client sends it."""
    first = opcode | (FINAL if final else 0)
    size = len(payload)
    if size < 126:
        header = struct.pack(">BB", first, 0x80 | size)
    elif size < 0x10000:
        header = struct.pack(">BBH", first, 0x80 | 126, size)
    else:
        header = struct.pack(">BBQ", first, 0x80 | 127, size)
    pad = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload) ^ int.from_bytes(pad)).to_bytes(size)
    return header + mask + masked


class WebSocket(trio.abc.Stream):
    """A WebSocket as a stream of what is in its binary frames; other frames are kept beside."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.response = b""
        self.others: list[tuple[int, bytes]] = []
        self.binary = 0  # frames
        self._received = b""

    async def upgrade(self, opening: bytes) -> bytes:
        """Send the opening handshake and return the head of the answer."""
        await self.stream.send_all(opening)
        while b"\r\n\r\n" not in self._received:
            part = bytes(await self.stream.receive_some(65_536))
            assert part, self._received
            self._received += part
        self.response, _, self._received = self._received.partition(b"\r\n\r\n")
        return self.response

    async def next_frame(self) -> tuple[int, bytes] | None:
        """The next frame, whatever it is; None at the end."""
        while True:
            data = self._received
            if len(data) >= 2:
                size, start = data[1], 2
                assert size < 0x80, "a server masks nothing"
                if size == 126:
                    size, start = int.from_bytes(data[2:4]), 4
                elif size == 127:
                    size, start = int.from_bytes(data[2:10]), 10
                if len(data) >= start + size:
                    self._received = data[start + size :]
                    return data[0] & 0x0F, data[start : start + size]
            try:
                part = await self.stream.receive_some(1 << 20)
            except trio.BrokenResourceError:
                return None
            if not part:
                return None
            self._received += part

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        del max_bytes
        while True:
            found = await self.next_frame()
            if found is None:
                return b""
            if found[0] == BINARY:
                self.binary += 1
                return found[1]
            self.others.append(found)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(frame(bytes(data)))

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()


async def dial_websocket(stream: trio.abc.Stream, opening: bytes | None = None) -> WebSocket:
    websocket = WebSocket(stream)
    answer = await websocket.upgrade(request() if opening is None else opening)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    return websocket


async def greet(stream: trio.abc.Stream, client_id: str = "c") -> Raw:
    """A client that is connected over `stream`."""
    client = Raw(stream)
    await client.connect(client_id)
    return client


async def exchange(
    client: Raw, topic: str, sizes: tuple[int, ...] = (5, 70_000, 1_000_000)
) -> None:
    """Messages both ways, small and large."""
    await client.subscribe(topic)
    for size in sizes:
        payload = os.urandom(1) * size
        await client.publish(topic, payload)
        await client.expect_message(topic, payload)
