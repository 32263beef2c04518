"""The opening handshake of a WebSocket at the broker's end: whom it lets in (MQTT 5.0 §6)."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

import trio_mqtt
from tests.inside import links_of
from tests.transport.dialing import (
    WebSocket,
    dial,
    dial_websocket,
    frame,
    gone,
    greet,
    request,
    until_end,
)
from trio_mqtt import ConfigurationError, Limits, Listen
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Connect

LOCAL = "ws://127.0.0.1:0"
CONNECT = encode(Connect("c"), ProtocolVersion.V5)


async def answer_to(url: str, opening: bytes) -> bytes:
    """The whole answer of the broker, which closes."""
    stream = await dial(url)
    await stream.send_all(opening)
    answer = await until_end(stream)
    await stream.aclose()
    return answer


@pytest.mark.normative("MQTT-6.0.0-4")
@pytest.mark.normative_v311("MQTT-6.0.0-4")
@pytest.mark.parametrize(
    ("offered", "chosen"),
    [("mqtt", "mqtt"), ("mqttv3.1, mqtt", "mqtt"), ("x, mqtt", "mqtt"), ("mqttv3.1", "mqttv3.1")],
)
async def test_the_subprotocol_is_mqtt(offered: str, chosen: str) -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        websocket = await dial_websocket(await dial(broker.url), request(protocol=offered))
        lines = websocket.response.decode().split("\r\n")
        assert f"Sec-WebSocket-Protocol: {chosen}" in lines
        await greet(websocket)
        await websocket.aclose()


@pytest.mark.parametrize("protocol", [None, "chat", "MQTT"])
async def test_who_does_not_offer_it_is_refused(protocol: str | None) -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        answer = await answer_to(broker.url, request(protocol=protocol))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b'subprotocol "mqtt"' in answer


@pytest.mark.parametrize(
    ("opening", "status"),
    [
        (b"GET /mqtt HTTP/1.1\r\nHost: h\r\n\r\n", b"400"),
        (b"POST /mqtt HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"\x10\x10" + b"x" * 20 + b"\r\n\r\n", b"400"),
        (request(path="/"), b"404"),
        (request(path="/mqtt/x"), b"404"),
        (request(host="\xff"), b"400"),
        (request().replace(b"Version: 13", b"Version: 8"), b"426"),
        (request(Cookie="x" * 20_000), b"431"),
        (b"GET /mqtt HTTP/1.1\r\n" + b"x" * 20_000, b"431"),
    ],
    ids=range(10),
)
async def test_what_is_no_websocket_gets_an_answer_in_http(opening: bytes, status: bytes) -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        answer = await answer_to(broker.url, opening)
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert b"This is an MQTT broker for WebSocket" in answer
        assert broker.statistics.clients_connected == 0


async def test_a_listener_may_take_any_path() -> None:
    async with trio_mqtt.open_broker("ws://127.0.0.1:0/*") as broker:
        for path in ("/", "/mqtt", "/a/b?x=1"):
            websocket = await dial_websocket(await dial(broker.url), request(path))
            await websocket.aclose()


async def test_the_path_is_the_urls() -> None:
    async with trio_mqtt.open_broker("ws://127.0.0.1:0/a/b") as broker:
        websocket = await dial_websocket(await dial(broker.url), request("/a/b?x=1"))
        await websocket.aclose()
        assert (await answer_to(broker.url, request("/mqtt"))).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("bytes_at_once", [1, 100])
async def test_an_opening_that_never_ends_is_closed_in_time(bytes_at_once: int) -> None:
    async with trio_mqtt.open_broker(LOCAL, limits=Limits(connect_timeout=0.3)) as broker:
        stream = await dial(broker.url)
        await stream.send_all(request()[:bytes_at_once])
        assert await until_end(stream) == b""
        await stream.aclose()


async def test_connect_right_behind_the_opening_is_read() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        websocket = WebSocket(await dial(broker.url))
        await websocket.upgrade(request() + frame(CONNECT))
        assert (await websocket.receive_some())[:1] == b"\x20"
        await websocket.aclose()


@pytest.mark.parametrize(
    ("origins", "origin", "host", "welcome"),
    [
        (None, None, "h", True),
        (None, "https://h", "h:9001", True),
        (None, "http://127.0.0.1:8000", "127.0.0.1", True),
        (None, "https://evil.example", "h", False),
        (None, "null", "h", False),
        (None, "https://[", "h", False),
        (["https://a.example", "https://b.example:8443"], "https://A.example", "h", True),
        (["https://a.example"], "https://h", "h", False),
        (["https://a.example"], "https://a.example.evil", "h", False),
        (["https://a.example"], None, "h", True),
        (["*"], "https://evil.example", "h", True),
        ([], "https://h", "h", False),
    ],
)
async def test_pages_may_connect_where_their_origin_is_allowed(
    origins: list[str] | None, origin: str | None, host: str, welcome: bool
) -> None:
    async with trio_mqtt.open_broker(Listen(LOCAL, origins=origins, hosts=["*"])) as broker:
        headers = {} if origin is None else {"Origin": origin}
        opening = request(host=host, **headers)
        if welcome:
            websocket = await dial_websocket(await dial(broker.url), opening)
            await websocket.aclose()
        else:
            answer = await answer_to(broker.url, opening)
            assert answer.startswith(b"HTTP/1.1 403 ")
            assert b"origin is not allowed" in answer


@pytest.mark.parametrize(
    ("proxies", "header", "peer"),
    [
        ((), "1.2.3.4", None),
        (("10.0.0.0/8",), "1.2.3.4", None),
        (("127.0.0.0/8",), "1.2.3.4", "1.2.3.4"),
        (("127.0.0.1",), "6.6.6.6, 1.2.3.4", "1.2.3.4"),  # the first is anybody's invention
        (("127.0.0.1", "10.0.0.0/8"), "1.2.3.4, 10.1.1.1", "1.2.3.4"),
        (("127.0.0.1",), "1.2.3.4:567", "1.2.3.4:567"),
        (("127.0.0.1",), "2001:db8::1", "[2001:db8::1]"),
        (("127.0.0.1",), "[2001:db8::1]:5", "[2001:db8::1]:5"),
        (("127.0.0.1",), "unknown", None),
        (("127.0.0.1",), "", None),
        # Of what is no address nothing comes into logs, and each is written in one way.
        (("127.0.0.1",), "1.2.3.4%said by:5", "1.2.3.4:5"),
        (("127.0.0.1",), "[1.2.3.4]said: by: him", "1.2.3.4"),
        (("127.0.0.1",), "[::ffff:1.2.3.4]:5", "1.2.3.4:5"),
        (("127.0.0.1",), "1.2.3.4%" + 9_000 * "x", None),
    ],
)
async def test_the_word_of_trusted_proxies_counts(
    proxies: tuple[str, ...], header: str, peer: str | None
) -> None:
    async with trio_mqtt.open_broker(Listen(LOCAL, trusted_proxies=proxies)) as broker:
        opening = request(X_Forwarded_For=header)
        client = await greet(await dial_websocket(await dial(broker.url), opening))
        (connection,) = links_of(broker)
        found = connection.stream.origin.peer
        assert connection.stream.peer == found
        assert found.startswith("127.0.0.1:") if peer is None else found == peer
        await client.stream.aclose()


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost.:9001", "127.0.0.1:80", "127.9.9.9", "[::1]:9001", "a.localhost:1"],
)
@pytest.mark.parametrize("url", [LOCAL, "any://localhost:0"])
async def test_a_listener_of_this_machine_is_called_by_names_of_this_machine(
    url: str, host: str
) -> None:
    async with trio_mqtt.open_broker(url) as broker:
        stream = await dial(broker.url)
        await stream.send_all(request(host=host))
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101")
        await stream.aclose()


@pytest.mark.parametrize(
    "host",
    ["evil.example:9001", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1",
     "0.0.0.1", "evillocalhost", "2130706433", "[::", "a:b:c"],
)  # fmt: skip
@pytest.mark.parametrize("url", [LOCAL, "any://localhost:0"])
async def test_a_page_whose_name_leads_to_this_machine_is_not_let_in(
    url: str, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with trio_mqtt.open_broker(url) as broker:
        # Its origin is that of the host that it asked for.
        answer = await answer_to(broker.url, request(host=host, Origin=f"http://{host}"))
        assert answer.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))
        await gone(broker)
        if answer.startswith(b"HTTP/1.1 403"):
            assert b"host=NAME" in answer
            assert f"not known by the name {host}" in caplog.text


@pytest.mark.parametrize(
    ("listen", "host", "welcome"),
    [
        (Listen(LOCAL, hosts=["mqtt.example", "*.a.example"]), "mqtt.example:1", True),
        (Listen(LOCAL, hosts=["mqtt.example", "*.A.example"]), "x.a.example", True),
        (Listen(LOCAL, hosts=["mqtt.example"]), "localhost", False),
        (Listen(LOCAL, hosts=["10.0.0.0/8", "::1"]), "10.1.2.3:5", True),
        (Listen(LOCAL, hosts=["*"]), "anything.example", True),
        # The list of pages decides alone.
        (Listen(LOCAL, origins=["http://page.example"]), "mqtt.example", True),
        # Others can reach it, by whatever name.
        (Listen("ws://0.0.0.0:0", allow_anonymous=True), "mqtt.example", True),
        (Listen("ws://0.0.0.0:0", allow_anonymous=True, hosts=["a.example"]), "b.example", False),
    ],
)
async def test_hosts_are_those_that_the_listener_is_told(
    listen: Listen, host: str, welcome: bool
) -> None:
    async with trio_mqtt.open_broker(listen) as broker:
        stream = await dial(f"ws://127.0.0.1:{urlsplit(broker.url).port}/mqtt")
        await stream.send_all(request(host=host))
        assert (await stream.receive_some()).startswith(
            b"HTTP/1.1 101" if welcome else b"HTTP/1.1 403"
        )
        await stream.aclose()


@pytest.mark.parametrize("host", ["mqtt.example:9001", "http://mqtt.example", "", "a.*", "*a.b"])
async def test_a_host_that_nobody_could_ask_for_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match="without a port"):
        async with trio_mqtt.open_broker(Listen(LOCAL, hosts=[host])):
            raise AssertionError("it has started")
