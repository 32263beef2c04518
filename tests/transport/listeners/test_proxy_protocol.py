"""The PROXY protocol: who is behind a proxy, and what lies about it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trio_mqtt
from tests.inside import links_of
from tests.transport.dialing import Certificates, dial, dial_tls, greet, until_end
from trio_mqtt import ConfigurationError, Limits, Listen, ServerTls
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Connect
from trio_mqtt.transport.listeners.proxy_protocol import (
    BadProxyHeaderError,
    ProxyHeader,
    ProxyHeaderReader,
)

LOCAL = "mqtt://127.0.0.1:0"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
CONNECT = encode(Connect("c"), ProtocolVersion.V5)


def v2(body: bytes, *, command: int = 0x21, family: int = 0x11, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return SIGNATURE + struct.pack(">BBH", command, family, size) + body


FOUR = bytes([1, 2, 3, 4, 5, 6, 7, 8]) + struct.pack(">HH", 1000, 1883)
SIX = bytes(15) + b"\x01" + bytes(15) + b"\x02" + struct.pack(">HH", 1000, 1883)
TLV = b"\x04\x00\x03abc"

GOOD = [
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 1883\r\n", "1.2.3.4:1000"),
    (b"PROXY TCP6 2001:db8::1 ::1 1000 1883\r\n", "[2001:db8::1]:1000"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
    (v2(FOUR), "1.2.3.4:1000"),
    (v2(FOUR + TLV), "1.2.3.4:1000"),
    (v2(SIX, family=0x21), "[::1]:1000"),
    (v2(b"", command=0x20, family=0), None),
    (v2(b"anything", command=0x20, family=0), None),
    (v2(bytes(216), family=0x31), None),
    (v2(b"", family=0), None),
]
BAD = [
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1000\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 65536\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 -1 1883\r\n",
    b"PROXY TCP4 ::1 ::2 1000 1883\r\n",
    b"PROXY TCP4 1.2.3.4.5 5.6.7.8 1000 1883\r\n",
    b"PROXY TCP5 1.2.3.4 5.6.7.8 1000 1883\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 1883\n",
    b"PROXY TCP4  1.2.3.4 5.6.7.8 1000 1883\r\n",
    b"PROXY \xff\r\n",
    b"PROXY " + b"x" * 200,
    b"PROXIES\r\n",
    v2(FOUR, length=11),
    v2(SIX, family=0x21, length=35),
    v2(FOUR, length=0xFFFF),
    v2(FOUR, length=4097),
    v2(FOUR, command=0x31),
    v2(FOUR, command=0x22),
    v2(FOUR + TLV[:-1]),
    v2(FOUR + b"\x04\x00"),
    v2(bytes(215), family=0x31),
    SIGNATURE[:-1] + b"x" * 10,
    CONNECT,
]


def read(data: bytes, size: int) -> tuple[ProxyHeader | None, bytes]:
    """The header, seen in pieces of a size, and what is left behind it."""
    reader = ProxyHeaderReader()
    while data:
        wanted = reader.wanted(data[:size])
        header = reader.feed(data[:wanted])
        data = data[wanted:]
        if header is not None:
            return header, data
    return None, data


@pytest.mark.parametrize("size", [1, 7, 16, 1000])
@pytest.mark.parametrize(("header", "client"), GOOD)
def test_a_header_names_the_client_and_nothing_behind_it_is_taken(
    header: bytes, client: str | None, size: int
) -> None:
    assert read(header + CONNECT, size) == (ProxyHeader(client), CONNECT)


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("header", BAD)
def test_a_header_that_lies_is_refused(header: bytes, size: int) -> None:
    with pytest.raises(BadProxyHeaderError):
        read(header + CONNECT, size)


@pytest.mark.parametrize(("header", "_client"), GOOD)
def test_a_header_that_is_cut_off_is_awaited(header: bytes, _client: str | None) -> None:
    for end in range(len(header)):
        assert read(header[:end], 1000) == (None, b"")


@given(st.binary(max_size=60), st.booleans(), st.integers(1, 60))
def test_any_bytes_are_a_header_or_refused(data: bytes, signed: bool, size: int) -> None:
    start = SIGNATURE if signed else b"PROXY "
    try:
        _, rest = read(start + data, size)
    except BadProxyHeaderError:
        rest = b""
    assert (start + data).endswith(rest)


@pytest.mark.parametrize(("header", "peer"), GOOD)
async def test_the_broker_knows_clients_by_what_a_trusted_proxy_says(
    header: bytes, peer: str | None
) -> None:
    listen = Listen(LOCAL, proxy_protocol=("127.0.0.0/8",))
    async with trio_mqtt.open_broker(listen) as broker:
        stream = await dial(broker.url)
        for byte in header:
            await stream.send_all(bytes([byte]))
        client = await greet(stream)
        (connection,) = links_of(broker)
        found = connection.stream.origin.peer
        assert found.startswith("127.0.0.1:") if peer is None else found == peer
        await client.stream.aclose()


@pytest.mark.parametrize("header", BAD)
async def test_the_broker_closes_on_what_lies(header: bytes) -> None:
    listen = Listen(LOCAL, proxy_protocol=("127.0.0.0/8",))
    async with trio_mqtt.open_broker(listen) as broker:
        stream = await dial(broker.url)
        await stream.send_all(header + CONNECT)
        assert await until_end(stream) == b""
        await stream.aclose()


@pytest.mark.parametrize("sent", [b"", b"PROXY TCP4 ", SIGNATURE, v2(FOUR)[:20]])
async def test_a_header_that_does_not_come_is_awaited_no_longer_than_connect(sent: bytes) -> None:
    listen = Listen(LOCAL, proxy_protocol=("127.0.0.0/8",))
    async with trio_mqtt.open_broker(listen, limits=Limits(connect_timeout=0.2)) as broker:
        stream = await dial(broker.url)
        if sent:
            await stream.send_all(sent)
        assert await until_end(stream) == b""
        await stream.aclose()


async def test_the_word_of_others_does_not_count() -> None:
    async with trio_mqtt.open_broker(Listen(LOCAL, proxy_protocol=("10.0.0.0/8",))) as broker:
        liar = await dial(broker.url)
        await liar.send_all(GOOD[0][0] + CONNECT)
        assert await until_end(liar) == b""
        await liar.aclose()
        client = await greet(await dial(broker.url))
        (connection,) = links_of(broker)
        assert connection.stream.peer.startswith("127.0.0.1:")
        await client.stream.aclose()


async def test_a_proxy_may_stand_before_tls(certificates: Certificates) -> None:
    listen = Listen(
        "mqtts://127.0.0.1:0",
        tls=ServerTls(certificates.server()),
        proxy_protocol=("127.0.0.1",),
    )
    async with trio_mqtt.open_broker(listen) as broker:
        stream = await dial_tls(broker.url, certificates.trusting())
        await stream.transport_stream.send_all(GOOD[0][0])  # type: ignore[attr-defined]
        client = await greet(stream)
        (connection,) = links_of(broker)
        assert connection.stream.peer == "1.2.3.4:1000"
        assert connection.stream.origin.is_encrypted
        await client.stream.aclose()


async def test_a_network_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'10\.0\.0\.0/33'"):
        async with trio_mqtt.open_broker(Listen(LOCAL, proxy_protocol=("10.0.0.0/33",))):
            pass
