"""The client over TLS, WebSocket and Unix sockets: real sockets of this machine, in real time."""

from __future__ import annotations

import datetime as dt
import os
import socket
import ssl
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
import trustme
from anyio.abc import ByteStream
from anyio.streams.tls import TLSAttribute
from cryptography.hazmat.primitives import serialization
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from tests.client.links import AUTHORITY, Within, listening, running, server_context
from trio_mqtt import (
    ConnectionFailedError,
    ConnectionLostError,
    InvalidUrlError,
    ProtocolVersion,
    ReasonCode,
    TlsError,
    TlsOptions,
    open_client,
)
from trio_mqtt.protocol.client_connection import ClientConnection
from trio_mqtt.protocol.packets import ConnAck, Connect, Disconnect, Publish
from trio_mqtt.protocol.server_connection import ServerConnection
from trio_mqtt.transport.connectors.by_url import connector_for
from trio_mqtt.transport.urls import parse_url

pytestmark = pytest.mark.anyio

SCHEMES = ["mqtts", "ws", "wss", "unix"]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the authority that signs the servers' certificates."""
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def tls(ca: Path) -> TlsOptions:
    return TlsOptions(ca=ca)


def only(scheme: str, tls: TlsOptions) -> TlsOptions | None:
    return tls if scheme in ("mqtts", "wss") else None


@pytest.mark.normative("MQTT-4.2-1", "MQTT-6.0.0-2", "MQTT-6.0.0-3")
@pytest.mark.normative_v311("MQTT-6.0.0-2", "MQTT-6.0.0-3")
@pytest.mark.parametrize("cut", [1, 70_000])
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_messages_large_and_small_travel_both_ways(
    scheme: str, tls: TlsOptions, tmp_path: Path, cut: int
) -> None:
    size = 2_000 if cut == 1 else 2_000_000
    payloads = [b"", b"x", os.urandom(size), b"end"]
    async with (
        running(scheme, tmp_path, cut=cut) as server,
        open_client(server.url, tls=only(scheme, tls)) as client,
        client.subscribe("t") as messages,
    ):
        for payload in payloads:
            await client.publish("t", payload)
        assert [(await anext(messages)).payload for _ in payloads] == payloads
        assert await client.publish("t", "acknowledged", qos=1) is ReasonCode.SUCCESS


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_the_last_words_arrive(scheme: str, tls: TlsOptions, tmp_path: Path) -> None:
    async with running(scheme, tmp_path) as server:
        async with open_client(server.url, tls=only(scheme, tls)) as client:
            for number in range(5_000):
                await client.publish("t", b"%d" % number)
        with anyio.fail_after(5):
            await server.closed.wait()
        assert isinstance(server.received[-1], Disconnect)
        assert len(server.received) == 5_002


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_bytes_arrive_once_and_in_order_past_a_full_socket(
    scheme: str, tls: TlsOptions, tmp_path: Path
) -> None:
    """What the kernel does not take at once is sent later, and nothing of it twice."""
    async with running(scheme, tmp_path) as server:
        address = parse_url(server.url)
        stream = await connector_for(address, only(scheme, tls))(address)
        async with stream:
            client = ClientConnection(ProtocolVersion.V5)
            await stream.send(client.send(Connect("c")))
            client.receive(await stream.receive())
            payloads = [os.urandom(300_000) for _ in range(10)]
            data = b"".join(
                client.send(Publish("t", payload, qos=1, packet_id=number + 1))
                for number, payload in enumerate(payloads)
            )
            acknowledged = 0
            send_now = stream.send_now  # type: ignore[attr-defined]  # all of them have it
            async with anyio.create_task_group() as tasks:

                async def send() -> None:
                    rest = data
                    sizes = 0
                    while rest:
                        sizes = sizes * 3 % 200_003 + 1
                        rest = rest[send_now(rest[:sizes]) :]
                        await anyio.lowlevel.checkpoint()

                tasks.start_soon(send)
                while acknowledged < len(payloads):
                    acknowledged += len(client.receive(await stream.receive()))
        received = [packet.payload for packet in server.received if isinstance(packet, Publish)]
        assert received == payloads


# TLS


async def fails(url: str, tls: TlsOptions | ssl.SSLContext | None = None) -> str:
    """The sentence of the TlsError that a client meets at `url`."""
    with pytest.raises(TlsError) as caught:
        async with open_client(url, tls=tls, connect_timeout=5):
            pytest.fail("that is no connection to trust")
    sentence = str(caught.value)
    assert url in sentence
    assert "_ssl.c" not in sentence
    return sentence


async def test_a_certificate_of_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    async with running("mqtts", tmp_path) as server:
        sentence = await fails(server.url)
        assert "unknown authority" in sentence
        assert "`ca` of TlsOptions" in sentence


async def test_waiting_for_the_broker_ends_at_a_certificate_that_is_not_trusted(
    tmp_path: Path,
) -> None:
    async with running("mqtts", tmp_path) as server:
        with anyio.fail_after(10), pytest.raises(TlsError, match="unknown authority"):
            async with open_client(server.url, wait_for_broker=True):
                pytest.fail("that is no broker to trust")


async def test_a_certificate_that_signs_itself_is_refused(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = tmp_path / "own.pem"
    pem.write_bytes(AUTHORITY.private_key_pem.bytes() + AUTHORITY.cert_pem.bytes())
    context.load_cert_chain(pem)
    async with running("mqtts", tmp_path, context) as server:
        assert "self-signed" in await fails(server.url)


async def test_a_certificate_for_another_host_is_refused(
    tls: TlsOptions, ca: Path, tmp_path: Path
) -> None:
    async with running("mqtts", tmp_path, server_context("other.example")) as server:
        sentence = await fails(server.url, tls)
        assert "for another host" in sentence
        assert "'localhost'" in sentence
        assert "for another host" in await fails(server.url.replace("localhost", "127.0.0.1"), tls)
        for options in (
            TlsOptions(ca=ca, server_name="other.example"),
            TlsOptions(verify=False),
        ):
            async with open_client(server.url, tls=options) as client:
                await client.publish("t", qos=1)


async def test_a_certificate_for_an_address_is_found(tls: TlsOptions, tmp_path: Path) -> None:
    async with (
        running("mqtts", tmp_path, server_context("127.0.0.1")) as server,
        open_client(server.url.replace("localhost", "127.0.0.1"), tls=tls) as client,
    ):
        await client.publish("t", qos=1)


async def test_a_certificate_that_has_expired_is_refused(tls: TlsOptions, tmp_path: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    past = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    AUTHORITY.issue_cert("localhost", not_after=past).configure_cert(context)
    async with running("mqtts", tmp_path, context) as server:
        assert "has expired" in await fails(server.url, tls)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_is_shown_where_the_broker_demands_one(
    version: ssl.TLSVersion, tls: TlsOptions, ca: Path, tmp_path: Path
) -> None:
    context = server_context(demanding=True)
    context.maximum_version = version
    mine = AUTHORITY.issue_cert("me@example.org")
    both, key, certificate = (tmp_path / name for name in ("both.pem", "key.pem", "cert.pem"))
    mine.private_key_and_cert_chain_pem.write_to_path(both)
    mine.private_key_pem.write_to_path(key)
    certificate.write_bytes(b"".join(blob.bytes() for blob in mine.cert_chain_pems))
    stranger = tmp_path / "stranger.pem"
    unknown = trustme.CA().issue_cert("me@example.org")
    unknown.private_key_and_cert_chain_pem.write_to_path(stranger)
    async with running("mqtts", tmp_path, context) as server:
        sentence = await fails(server.url, tls)
        assert "demands a certificate of the client" in sentence
        assert "`certificate` and `key`" in sentence
        sentence = await fails(server.url, TlsOptions(ca=ca, certificate=stranger))
        assert "does not accept the client's certificate (" in sentence
        for options in (
            TlsOptions(ca=ca, certificate=both),
            TlsOptions(ca=ca, certificate=str(certificate), key=str(key)),
        ):
            async with open_client(server.url, tls=options) as client:
                await client.publish("t", qos=1)


async def test_a_port_without_tls_is_told(tls: TlsOptions, tmp_path: Path) -> None:
    """Brokers close such a connection; others answer what is no TLS."""

    async def closes(stream: ByteStream) -> None:
        async with stream:
            await stream.receive()

    async def answers(stream: ByteStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            with suppress(anyio.EndOfStream):  # it depends on the versions how the end is told
                await stream.receive()

    async with listening(closes, "mqtts") as url:
        assert "begins with mqtt://" in await fails(url, tls)
    async with listening(answers, "wss") as url:
        sentence = await fails(f"{url}/mqtt", tls)
        assert "does not speak TLS" in sentence
        assert "ws://" in sentence


async def test_a_version_of_tls_that_is_too_old_is_told(tls: TlsOptions, tmp_path: Path) -> None:
    context = server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with running("mqtts", tmp_path, context) as server:
        newest = ssl.create_default_context(cafile=tls.ca)
        newest.minimum_version = ssl.TLSVersion.TLSv1_3
        assert "no version of TLS" in await fails(server.url, newest)


async def test_a_name_that_no_certificate_can_bear_is_told(tmp_path: Path) -> None:
    async with running("mqtts", tmp_path) as server:
        with pytest.raises(TlsError, match=r"No certificate can be for the name '\.\.'"):
            async with open_client(server.url, tls=TlsOptions(server_name="..")):
                pytest.fail("that is no name")


async def test_a_broker_that_stalls_in_the_handshake_is_given_up(
    tls: TlsOptions,
) -> None:
    async def stalls(stream: ByteStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    for scheme in ("mqtts", "ws", "wss"):
        async with listening(stalls, scheme) as url:
            with pytest.raises(ConnectionFailedError, match=r"did not answer within 0\.1 s"):
                async with open_client(url, tls=only(scheme, tls), connect_timeout=0.1):
                    pytest.fail("nobody answers there")


async def test_files_that_are_no_certificates_are_told(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    own = tmp_path / "own.pem"
    mine = AUTHORITY.issue_cert("me@example.org")
    own.write_bytes(mine.cert_chain_pems[0].bytes())
    for options, words in [
        (TlsOptions(ca=tmp_path / "missing.pem"), r"missing\.pem.*no such file"),
        (TlsOptions(ca=nothing), r"nothing\.pem"),
        (TlsOptions(certificate=tmp_path / "missing.pem"), r"missing\.pem.*no such file"),
        (TlsOptions(certificate=own), r"own\.pem.*private key"),
    ]:
        with pytest.raises(TlsError, match=words):
            async with open_client("mqtts://localhost:1", tls=options):
                pytest.fail("there is no such file")


async def test_an_encrypted_key_wants_its_password(tmp_path: Path, ca: Path) -> None:
    mine = AUTHORITY.issue_cert("me@example.org")
    key = serialization.load_pem_private_key(mine.private_key_pem.bytes(), None)
    pem = tmp_path / "own.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
        + mine.cert_chain_pems[0].bytes()
    )
    with pytest.raises(TlsError, match="is encrypted: give key_password"):
        connector_for(parse_url("mqtts://h"), TlsOptions(certificate=pem))
    with pytest.raises(TlsError, match="the right password"):
        connector_for(parse_url("mqtts://h"), TlsOptions(certificate=pem, key_password="wrong"))
    async with running("mqtts", tmp_path, server_context(demanding=True)) as server:
        tls = TlsOptions(ca=ca, certificate=pem, key_password="secret")
        async with open_client(server.url, tls=tls) as client:
            await client.publish("t", qos=1)


async def test_application_protocols_are_offered(ca: Path, tmp_path: Path) -> None:
    context = server_context()
    seen: list[str | None] = []

    async def look(stream: ByteStream) -> None:
        async with stream:
            seen.append(stream.extra(TLSAttribute.alpn_protocol))  # noqa: S610 # not Django

    context.set_alpn_protocols(["mqtt"])
    async with listening(look, "mqtts", context) as url:
        with pytest.raises(ConnectionFailedError):
            async with open_client(url, tls=TlsOptions(ca=ca, alpn=("mqtt",))):
                pytest.fail("it closes the connection")
    assert seen[0] == "mqtt"


def test_options_that_would_go_unused_are_refused() -> None:
    with pytest.raises(ValueError, match="certificate that it belongs to"):
        TlsOptions(key="key.pem")
    for url in ("mqtt://h", "ws://h", "unix:///s"):
        with pytest.raises(ValueError, match="does without TLS"):
            connector_for(parse_url(url), TlsOptions())
    for url in ("mqtt://h", "mqtts://h", "unix:///s"):
        with pytest.raises(ValueError, match="is no WebSocket"):
            connector_for(parse_url(url), None, {"a": "b"})
    with pytest.raises(TypeError, match="not bool"):
        connector_for(parse_url("mqtts://h"), True)  # type: ignore[arg-type]  # that is what is tested


# WebSocket


async def test_the_request_has_what_it_must(tmp_path: Path) -> None:
    requests: list[Request] = []

    async def serve(stream: ByteStream) -> None:
        async with stream:
            event = await Within(stream).event()
            assert isinstance(event, Request)
            requests.append(event)

    headers = [("Authorization", "Bearer 123"), ("X-Two", "1"), ("X-Two", "2")]
    async with listening(serve, "ws") as url:
        for path in ("", "/other/path", "/ä b"):
            with pytest.raises(ConnectionFailedError, match="closed before there was a WebSocket"):
                async with open_client(url + path, websocket_headers=headers):
                    pytest.fail("it closes the connection")
    assert [one.target for one in requests] == ["/mqtt", "/other/path", "/%C3%A4%20b"]
    assert requests[0].subprotocols == ["mqtt"]
    assert requests[0].host == url.removeprefix("ws://")
    sent = [(bytes(name), bytes(value)) for name, value in requests[0].extra_headers]
    for name, value in headers:
        assert (name.lower().encode(), value.encode()) in sent


@pytest.mark.parametrize(
    "header",
    [("a b", "c"), ("", "c"), ("a", "b\r\nc: d"), ("Sec-WebSocket-Key", "x"), ("Host", "h")],
)
def test_headers_that_are_none_are_refused(header: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="header"):
        connector_for(parse_url("ws://h"), None, [header])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (RejectConnection(status_code=404), "no WebSocket at this path"),
        (RejectConnection(status_code=401), "does not let this client in"),
        (
            RejectConnection(status_code=302, headers=[(b"location", b"wss://h/x")]),
            "refers to 'wss://h/x'",
        ),
        (RejectConnection(status_code=503), "HTTP status 503"),
        (AcceptConnection(), "not for MQTT"),
    ],
)
async def test_a_server_that_does_not_agree_is_told(
    answer: AcceptConnection | RejectConnection, words: str
) -> None:
    async def serve(stream: ByteStream) -> None:
        async with stream:
            within = Within(stream)
            await within.event()
            await within.say(answer)

    async with listening(serve, "ws") as url:
        with pytest.raises(ConnectionFailedError, match=words):
            async with open_client(url):
                pytest.fail("it does not agree")


@pytest.mark.parametrize(
    "answer",
    [
        b"\x20\x02\0\0", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 X\r\nupgrade: websocket\r\nsec-websocket-protocol: \xff\r\n\r\n",
        b"a" * 200_000,
    ],
)  # fmt: skip
async def test_what_is_no_websocket_is_told(answer: bytes) -> None:
    async def serve(stream: ByteStream) -> None:
        async with stream:
            await stream.receive()
            try:
                await stream.send(answer)
                await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass

    async with listening(serve, "ws") as url:
        with pytest.raises(ConnectionFailedError, match=r"No WebSocket with|closed before"):
            async with open_client(url, connect_timeout=5):
                pytest.fail("it does not speak WebSocket")


@pytest.mark.normative("MQTT-6.0.0-1")
@pytest.mark.normative_v311("MQTT-6.0.0-1")
async def test_text_frames_close_the_connection() -> None:
    codes: list[int] = []

    async def serve(stream: ByteStream) -> None:
        async with stream:
            within = Within(stream)
            await within.accept()
            protocol = ServerConnection(
                maximum_packet_size=1_000, receive_maximum=10, topic_alias_maximum=0
            )
            protocol.receive(await within.receive())
            await within.say(BytesMessage(protocol.send(ConnAck())))
            await within.say(TextMessage("text"))
            event = await within.event()
            codes.append(event.code)  # type: ignore[attr-defined]  # a goodbye has one

    async with listening(serve, "ws") as url:
        with pytest.raises(ConnectionLostError, match="broke the rules of WebSocket: a text frame"):
            async with open_client(url, reconnect=False):
                await anyio.sleep_forever()
    assert codes == [1003]


async def test_pings_are_answered_and_frames_cut_anywhere() -> None:
    answered = anyio.Event()

    async def serve(stream: ByteStream) -> None:
        async with stream:
            within = Within(stream)
            await within.accept()
            await within.receive()
            await within.say(Ping(b"alive?"))
            assert await within.event() == Pong(b"alive?")
            answered.set()
            with pytest.raises(anyio.EndOfStream):
                await within.receive()

    async with listening(serve, "ws") as url:
        with pytest.raises(ConnectionFailedError, match=r"did not answer"):
            async with open_client(url, connect_timeout=0.5):
                pytest.fail("it does not answer CONNECT")
    assert answered.is_set()


# Unix sockets


async def test_a_unix_socket_that_is_not_there_is_told(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    stale = tmp_path / "stale"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(stale))
    for path, words in [
        (tmp_path / "none", "There is no socket at .*none"),
        (plain, "No broker listens at .*plain"),
        (stale, "No broker listens at .*stale"),
        (Path("/" + "x" * 200), "cannot be connected to"),
    ]:
        with pytest.raises(ConnectionFailedError, match=words):
            async with open_client(f"unix://{path}"):
                pytest.fail("nobody listens there")


async def test_a_unix_socket_whose_queue_is_full_is_tried_until_the_time_out(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "full")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(path)
        listener.listen(0)
        first.connect(path)
        with pytest.raises(ConnectionFailedError, match=r"did not answer within 0\.2 s"):
            async with open_client(f"unix://{path}", connect_timeout=0.2):
                pytest.fail("nobody accepts")


async def test_where_there_are_no_unix_sockets_that_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(ConnectionFailedError, match="has no Unix sockets"):
        async with open_client("unix:///run/mqtt.sock"):
            pytest.fail("there are none")


@pytest.mark.parametrize("url", ["mqtts://", "ws://h?q", "unix://h/p", "http://h"])
async def test_what_is_no_address_is_a_value_error(url: str) -> None:
    with pytest.raises(ValueError, match=r"address|names no|more than|socket") as caught:
        async with open_client(url):
            pytest.fail("that is no address")
    assert isinstance(caught.value, InvalidUrlError)


def test_a_client_without_websocket_and_tls_does_not_load_them() -> None:
    program = "import sys, trio_mqtt; trio_mqtt.open_client; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert not {"wsproto", "h11", "trio_mqtt.transport.connectors.tls_stream"} & set(loaded)
