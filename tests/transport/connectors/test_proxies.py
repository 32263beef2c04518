"""Connections through proxies by SOCKS and HTTP, and what is said of those that lead nowhere."""

from __future__ import annotations

import base64
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream

from tests.ports import free_port
from tests.transport.connectors.serving import listening, only, running
from trio_mqtt import ConnectionFailedError, InvalidUrlError, ReasonCode, TlsOptions, open_client
from trio_mqtt.transport.connectors.proxies import Proxy, parse_proxy, proxy_of_environment
from trio_mqtt.transport.urls import parse_url

pytestmark = pytest.mark.anyio

NAME, PASSWORD = "ann", "p@ss"
VARIABLES = ("all_proxy", "http_proxy", "https_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class ProxyServer:
    """A proxy that speaks SOCKS 5, SOCKS 4a and CONNECT of HTTP, whichever comes."""

    def __init__(self, *, password: bool = False) -> None:
        self.password = password
        self.asked: list[tuple[str, int]] = []
        self.hosts: list[str] = []  # where its clients come from

    async def serve(self, stream: ByteStream) -> None:
        async with stream:
            try:
                first = await stream.receive(1)
                kind = {b"\x05": self._socks5, b"\x04": self._socks4, b"C": self._http}[first]
                target = await kind(stream)
                if target is not None:
                    self.asked.append(target)
                    await _join(stream, *target)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass

    async def _socks5(self, stream: ByteStream) -> tuple[str, int] | None:
        methods = await _exactly(stream, (await _exactly(stream, 1))[0])
        if self.password:
            if 2 not in methods:
                await stream.send(b"\x05\xff")
                return None
            await stream.send(b"\x05\x02")
            _, size = await _exactly(stream, 2)
            name = await _exactly(stream, size)
            password = await _exactly(stream, (await _exactly(stream, 1))[0])
            right = (name, password) == (NAME.encode(), PASSWORD.encode())
            await stream.send(b"\x01" + (b"\0" if right else b"\x01"))
            if not right:
                return None
        else:
            await stream.send(b"\x05\0")
        *_, kind = await _exactly(stream, 4)
        if kind == 1:
            host = ".".join(map(str, await _exactly(stream, 4)))
        else:
            host = (await _exactly(stream, (await _exactly(stream, 1))[0])).decode()
        port = int.from_bytes(await _exactly(stream, 2), "big")
        for byte in b"\x05\0\0\x01\x7f\0\0\x01\0\x01":  # in pieces, as the network likes
            await stream.send(bytes((byte,)))
        return host, port

    async def _socks4(self, stream: ByteStream) -> tuple[str, int]:
        request = await _exactly(stream, 7)
        port = int.from_bytes(request[1:3], "big")
        await _until(stream, b"\0")
        host = ".".join(map(str, request[3:]))
        if request[3:6] == bytes(3):
            host = (await _until(stream, b"\0"))[:-1].decode()
        await stream.send(b"\0\x5a" + bytes(6))
        return host, port

    async def _http(self, stream: ByteStream) -> tuple[str, int] | None:
        request = (await _until(stream, b"\r\n\r\n")).decode()
        given = base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()
        if self.password and f"Basic {given}" not in request:
            await stream.send(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return None
        for piece in (b"HT", b"TP/1.1 200 Connection established\r\nVia: x\r", b"\n\r\n"):
            await stream.send(piece)
            await anyio.lowlevel.checkpoint()
        host, _, port = request.split()[1].rpartition(":")
        return host, int(port)


async def _exactly(stream: ByteStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await stream.receive(count - len(data))
    return data


async def _until(stream: ByteStream, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        data += await stream.receive(1)
    return data


async def _join(one: ByteStream, host: str, port: int) -> None:
    async def carry(source: ByteStream, sink: ByteStream) -> None:
        try:
            async for data in source:
                await sink.send(data)
            await sink.send_eof()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass

    async with await anyio.connect_tcp(host, port) as other, anyio.create_task_group() as tasks:
        tasks.start_soon(carry, other, one)
        await carry(one, other)


@asynccontextmanager
async def proxied(*, password: bool = False) -> AsyncIterator[tuple[ProxyServer, str]]:
    """A proxy, and where it is, as HOST:PORT."""
    server = ProxyServer(password=password)
    async with listening(server.serve, hosts=server.hosts) as url:
        yield server, url.removeprefix("mqtt://")


@pytest.mark.parametrize("scheme", ["mqtt", "mqtts", "wss"])
@pytest.mark.parametrize("kind", ["socks5", "socks5h", "socks4a", "http"])
async def test_a_client_goes_through_it(
    kind: str, scheme: str, tls: TlsOptions, tmp_path: Path
) -> None:
    async with running(scheme, tmp_path) as server, proxied() as (proxy, place):
        async with (
            open_client(server.url, tls=only(scheme, tls), proxy=f"{kind}://{place}") as client,
            client.subscribe("t") as messages,
        ):
            await client.publish("t", b"x" * 300_000)
            assert len((await anext(messages)).payload) == 300_000
            assert await client.publish("t", "acknowledged", qos=1) is ReasonCode.SUCCESS
        assert proxy.asked == [("localhost", int(server.url.rpartition(":")[2]))]


@pytest.mark.parametrize("kind", ["socks5", "http"])
async def test_it_may_want_a_password(kind: str, tmp_path: Path) -> None:
    async with running("mqtt", tmp_path) as server, proxied(password=True) as (_, place):
        async with open_client(server.url, proxy=f"{kind}://ann:p%40ss@{place}") as client:
            await client.publish("t", qos=1)
        for wrong in ("", "ann:wrong@"):
            with pytest.raises(ConnectionFailedError, match="Check the user name and") as caught:
                async with open_client(server.url, proxy=f"{kind}://{wrong}{place}"):
                    pytest.fail("it does not let in")
            assert f"{kind}://localhost" in str(caught.value)
            assert "wrong" not in str(caught.value)


async def answering(stream: ByteStream, answer: bytes) -> None:
    async with stream:
        await stream.receive()
        await stream.send(answer)
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            await stream.receive()


Handle = Callable[[ByteStream], Awaitable[None]]


def says(answer: bytes) -> Handle:
    async def handle(stream: ByteStream) -> None:
        await answering(stream, answer)

    return handle


@pytest.mark.parametrize(
    ("kind", "answer", "text"),
    [
        ("http", b"HTTP/1.1 403 Forbidden\r\n\r\n", r"did not connect to mqtt://x:1.*403"),
        ("http", b"SSH-2.0-OpenSSH\r\n", "x:1"),
        ("http", b"HTTP/1.1 " + b"x" * 100_000, "x:1"),
        ("http", b"HTTP/1.1 2\xff\r\n\r\n", "x:1"),
        ("socks5", b"HTTP/1.1 400 Bad Request\r\n\r\n", "x:1"),
        ("socks5", b"\x05\xff", "x:1"),
        ("socks5", b"\x05\0\x05\x05\0\x01" + bytes(6), "did not connect to mqtt://x:1"),
        ("socks5", b"\x05\x07", "x:1"),
        ("socks4a", b"\0\x5b" + bytes(6), "did not connect to mqtt://x:1"),
        ("socks4a", b"\x09" * 8, "x:1"),
    ],
)
async def test_a_proxy_that_lies_or_refuses_is_named(kind: str, answer: bytes, text: str) -> None:
    async with listening(says(answer)) as url:
        proxy = url.replace("mqtt", kind, 1)
        with pytest.raises(ConnectionFailedError, match=text) as caught:
            async with open_client("mqtt://x:1", proxy=proxy):
                pytest.fail("it leads nowhere")
    assert proxy in str(caught.value)


@pytest.mark.parametrize("kind", ["socks5", "http"])
async def test_one_that_closes_says_nothing_or_is_not_there_is_named(kind: str) -> None:
    async def close(stream: ByteStream) -> None:
        async with stream:
            await stream.receive()

    async def silent(stream: ByteStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    async with listening(close, kind) as url:
        with pytest.raises(ConnectionFailedError, match="closed the connection before it led"):
            async with open_client("mqtt://x:1", proxy=url):
                pytest.fail("it leads nowhere")
    async with listening(silent, kind) as url:
        with pytest.raises(ConnectionFailedError, match=r"did not answer within 0\.2 s"):
            async with open_client("mqtt://x:1", proxy=url, connect_timeout=0.2):
                pytest.fail("it leads nowhere")
    url = f"{kind}://localhost:{free_port()}"
    with pytest.raises(ConnectionFailedError, match=f"The proxy {url} cannot be reached"):
        async with open_client("mqtt://x:1", proxy=url):
            pytest.fail("it leads nowhere")


async def test_the_environment_may_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running("mqtt", tmp_path) as server, proxied() as (proxy, place):
        monkeypatch.setenv("ALL_PROXY", f"socks5://{place}")
        async with open_client(server.url) as client:  # as it did not ask
            await client.publish("t", qos=1)
        assert proxy.asked == []
        async with open_client(server.url, proxy=True) as client:
            await client.publish("t", qos=1)
        assert len(proxy.asked) == 1
        monkeypatch.setenv("NO_PROXY", "example.org,localhost")
        async with open_client(server.url, proxy=True) as client:
            await client.publish("t", qos=1)
        assert len(proxy.asked) == 1


def test_which_variable_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def named(url: str) -> str | None:
        found = proxy_of_environment(parse_url(url))
        return None if found is None else found.url

    assert named("mqtt://h") is None
    monkeypatch.setenv("http_proxy", "plain:3128")
    monkeypatch.setenv("HTTPS_PROXY", "http://tls:3128")
    assert [named(f"{one}://h") for one in ("mqtt", "ws", "wss")] == [
        None, "http://plain:3128", "http://tls:3128",
    ]  # fmt: skip
    monkeypatch.setenv("all_proxy", "socks5://all")
    assert [named(f"{one}://h") for one in ("mqtt", "mqtts", "ws")] == [
        "socks5://all:1080", "socks5://all:1080", "http://plain:3128",
    ]  # fmt: skip
    assert named("unix:///run/x") is None
    monkeypatch.setenv("no_proxy", ".example.org,h:1883")
    assert [named(f"mqtt://{one}") for one in ("a.example.org", "h", "h:1")] == [
        None, None, "socks5://all:1080",
    ]  # fmt: skip


def test_a_proxy_is_taken_apart() -> None:
    assert parse_proxy("socks5://a%40:p%3A@[::1]:7") == Proxy("socks5", "::1", 7, "a@", "p:")
    assert parse_proxy("socks5://a:secret@[::1]").url == "socks5://[::1]:1080"
    assert parse_proxy("proxy:3128/") == Proxy("http", "proxy", 3128)


@pytest.mark.parametrize(
    "url", ["ftp://a:secret@h", "http://", "http://a:secret@h/x", "socks5://h:x", "http://[::1", ""]
)
async def test_what_is_no_proxy_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrlError, match=r"socks5://HOST:1080") as caught:
        async with open_client("mqtt://localhost", proxy=url):
            pytest.fail("there is none")
    assert "secret" not in str(caught.value)


async def test_no_proxy_leads_to_a_socket_of_this_machine() -> None:
    with pytest.raises(ValueError, match="to which no proxy leads"):
        async with open_client("unix:///run/x", proxy="http://h"):
            pytest.fail("it cannot be")
    with pytest.raises(TypeError, match="proxy is a URL"):
        async with open_client("mqtt://h", proxy=7):  # type: ignore[arg-type]
            pytest.fail("it cannot be")


async def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_socks.async_.anyio.v2", None)
    with pytest.raises(ImportError, match=r"trio-mqtt\[proxy\].* install "):
        async with open_client("mqtt://h", proxy="http://h"):
            pytest.fail("nothing speaks with it")
