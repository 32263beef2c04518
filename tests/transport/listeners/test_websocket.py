"""WebSocket at the broker's end (MQTT 5.0 §6): a byte stream in binary frames."""

from __future__ import annotations

import struct
from urllib.parse import urlsplit

import pytest
import trio

import trio_mqtt
from tests.broker.raw import Raw
from tests.inside import links_of
from tests.transport.dialing import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Certificates,
    WebSocket,
    dial,
    dial_tls,
    dial_websocket,
    exchange,
    frame,
    gone,
    greet,
    request,
    until_end,
)
from trio_mqtt import ConfigurationError, Limits, Listen, ServerTls
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Connect, Publish

LOCAL = "ws://127.0.0.1:0"
CONNECT = encode(Connect("c"), ProtocolVersion.V5)


async def test_messages_go_both_ways() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        assert broker.url.endswith("/mqtt")
        client = await greet(await dial_websocket(await dial(broker.url)))
        await exchange(client, "t")
        await client.stream.aclose()
        await gone(broker)


async def test_messages_go_both_ways_within_tls(certificates: Certificates) -> None:
    listen = Listen("wss://127.0.0.1:0", tls=ServerTls(certificates.server()))
    async with trio_mqtt.open_broker(listen) as broker:
        stream = await dial_tls(broker.url, certificates.trusting())
        client = await greet(await dial_websocket(stream))
        await exchange(client, "t")
        (connection,) = links_of(broker)
        assert connection.stream.origin.is_encrypted
        await client.stream.aclose()
        await gone(broker)


@pytest.mark.normative("MQTT-6.0.0-2")
@pytest.mark.normative_v311("MQTT-6.0.0-2")
async def test_frames_need_not_align_with_packets() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        websocket = await dial_websocket(await dial(broker.url))
        client = Raw(websocket)
        # One byte to a frame, an empty one among them, and each frame in two writes.
        for byte in CONNECT:
            data = frame(bytes([byte])) + frame(b"")
            await websocket.stream.send_all(data[:3])
            await websocket.stream.send_all(data[3:])
        await client.expect(trio_mqtt.protocol.packets.ConnAck)
        await client.subscribe("t")
        # Many packets in one frame; and one packet in many fragments of a message.
        packets = b"".join(
            encode(Publish("t", b"%d" % number), ProtocolVersion.V5) for number in range(100)
        )
        await websocket.stream.send_all(frame(packets[:-1], final=False))
        await websocket.stream.send_all(frame(packets[-1:], CONTINUATION))
        for number in range(100):
            await client.expect_message("t", b"%d" % number)
        await websocket.aclose()


async def test_what_leaves_together_is_one_frame() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        websocket = await dial_websocket(await dial(broker.url))
        client = await greet(websocket)
        await client.subscribe("t")
        before = websocket.binary
        await client.send(*[Publish("t", b"x")] * 100)
        for _ in range(100):
            await client.expect_message("t", b"x")
        assert websocket.binary == before + 1
        await websocket.aclose()


async def test_control_frames_between_fragments_are_answered() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        websocket = await dial_websocket(await dial(broker.url))
        client = await greet(websocket)
        await client.subscribe("t")
        packet = encode(Publish("t", b"x" * 300), ProtocolVersion.V5)
        await websocket.stream.send_all(
            frame(packet[:100], final=False)
            + frame(b"one", PING)
            + frame(packet[100:200], CONTINUATION, final=False)
            + frame(b"unasked", PONG)
            + frame(b"two", PING)
            + frame(packet[200:], CONTINUATION)
        )
        await client.expect_message("t", b"x" * 300)
        assert websocket.others == [(PONG, b"one"), (PONG, b"two")]
        await websocket.aclose()


@pytest.mark.normative("MQTT-6.0.0-1")
@pytest.mark.normative_v311("MQTT-6.0.0-1")
@pytest.mark.parametrize("greeted", [True, False])
async def test_a_text_frame_ends_the_connection(greeted: bool) -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        websocket = await dial_websocket(await dial(broker.url))
        if greeted:
            await greet(websocket)
        await websocket.stream.send_all(frame(CONNECT, TEXT))
        with trio.fail_after(5):
            assert await websocket.receive_some() == b""
        ((opcode, payload),) = websocket.others
        assert (opcode, payload[:2]) == (CLOSE, struct.pack(">H", 1003))
        await websocket.aclose()
        await gone(broker)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (b"\x82\x05hello", 1002),  # not masked
        (frame(b"x", 3), 1002),
        (frame(b"x", PING, final=False), 1002),
        (frame(b"x" * 126, PING), 1002),
        (frame(b"x", CONTINUATION), 1002),
        (frame(b"x", BINARY | 0x40), 1002),
        (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff" + b"mask", 1002),
        (b"\x82\xfe\x00\x01mask", 1002),
        (frame(b"\x03", CLOSE), 1002),
    ],
)
async def test_frames_that_break_the_rules_end_the_connection(words: bytes, code: int) -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        other = await greet(await dial_websocket(await dial(broker.url)), "other")
        websocket = await dial_websocket(await dial(broker.url))
        await greet(websocket)
        await websocket.stream.send_all(words)
        with trio.fail_after(5):
            assert await websocket.receive_some() == b""
        ((opcode, payload),) = websocket.others
        assert (opcode, payload[:2]) == (CLOSE, struct.pack(">H", code))
        await other.ping()
        for stream in (websocket, other.stream):
            await stream.aclose()


async def test_a_frame_that_claims_much_costs_nothing_and_mqtt_decides_about_its_bytes() -> None:
    limits = Limits(connect_timeout=0.3)
    async with trio_mqtt.open_broker(LOCAL, limits=limits) as broker:
        websocket = await dial_websocket(await dial(broker.url))
        await websocket.stream.send_all(b"\x82\xff" + struct.pack(">Q", 1 << 62) + b"\0\0\0\0")
        await websocket.stream.send_all(CONNECT)
        assert (await websocket.receive_some())[:1] == b"\x20"
        await websocket.stream.send_all(b"\x30" + b"\xff" * 4)  # a length of five bytes
        with trio.fail_after(5):
            assert (await websocket.receive_some())[:1] == b"\xe0"  # malformed: DISCONNECT
        await websocket.aclose()


async def test_the_closing_handshake_is_answered_and_no_will_is_lost() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        websocket = await dial_websocket(await dial(broker.url))
        client = await greet(websocket)
        await client.subscribe("t")
        # A last message in the same write as the goodbye.
        packet = encode(Publish("u", b"x"), ProtocolVersion.V5)
        await websocket.stream.send_all(frame(packet) + frame(struct.pack(">H", 1000), CLOSE))
        with trio.fail_after(5):
            assert await websocket.receive_some() == b""
        assert websocket.others == [(CLOSE, struct.pack(">H", 1000))]
        await websocket.aclose()
        await gone(broker)
        assert broker.statistics.messages_received == 1


async def test_the_broker_says_goodbye_by_a_closing_handshake() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        websocket = await dial_websocket(await dial(broker.url))
        client = await greet(websocket)
        await client.send(trio_mqtt.protocol.packets.Disconnect())
        with trio.fail_after(5):
            found = await websocket.next_frame()
            assert found is not None
            assert found == (CLOSE, struct.pack(">H", 1000))
            await websocket.stream.send_all(frame(found[1], CLOSE))
            assert await until_end(websocket.stream) == b""
        await websocket.aclose()


async def test_a_client_that_pings_and_does_not_read_is_not_answered_without_end() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        websocket = await dial_websocket(await dial(broker.url))
        await greet(websocket)
        (connection,) = links_of(broker)
        with trio.move_on_after(0.5):
            for _ in range(200):
                await websocket.stream.send_all(frame(b"x" * 125, PING) * 500)
        stream = connection.stream
        assert len(stream._unsent) < 1000  # type: ignore[attr-defined]
        other = await greet(await dial_websocket(await dial(broker.url)), "other")
        await other.ping()
        for end in (websocket, other.stream):
            await end.aclose()


# -- the opening handshake ------------------------------------------------------------------------


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
