"""The client's end of WebSocket (MQTT 5.0 §6): the request, the answer, and frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from tests.transport.connectors.serving import Within, listening
from trio_mqtt import (
    Backoff,
    ConnectionAttempt,
    ConnectionFailedError,
    ConnectionLostError,
    open_client,
)
from trio_mqtt.protocol.packets import ConnAck
from trio_mqtt.protocol.server_connection import ServerConnection
from trio_mqtt.transport.connectors.by_url import connector_for
from trio_mqtt.transport.urls import parse_url

pytestmark = pytest.mark.anyio


async def test_the_request_has_what_it_must(tmp_path: Path) -> None:
    requests: list[Request] = []

    async def serve(stream: ByteStream) -> None:
        async with stream:
            event = await Within(stream).event()
            assert isinstance(event, Request)
            requests.append(event)

    headers = [("Authorization", "Bearer 123"), ("X-Two", "1"), ("X-Two", "2")]
    async with listening(serve, "ws") as url:
        for path in ("", "/other/path", "/ä b", "/a?X-Signature=%2Fb&c=ä d"):
            with pytest.raises(ConnectionFailedError, match="closed before there was a WebSocket"):
                async with open_client(url + path, websocket_headers=headers):
                    pytest.fail("it closes the connection")
    assert [one.target for one in requests] == [
        "/mqtt", "/other/path", "/%C3%A4%20b", "/a?X-Signature=%2Fb&c=%C3%A4%20d",
    ]  # fmt: skip
    assert requests[0].subprotocols == ["mqtt"]
    assert requests[0].host == url.removeprefix("ws://")
    sent = [(bytes(name), bytes(value)) for name, value in requests[0].extra_headers]
    for name, value in headers:
        assert (name.lower().encode(), value.encode()) in sent


async def test_each_request_may_be_made_anew() -> None:
    """As a signed URL is, and a token in a header."""
    requests: list[Request] = []

    async def serve(stream: ByteStream) -> None:
        async with stream:
            event = await Within(stream).event()
            assert isinstance(event, Request)
            requests.append(event)

    async def sign(attempt: ConnectionAttempt) -> ConnectionAttempt:
        number = len(requests) + 1
        return replace(
            attempt,
            url=f"{attempt.url}?X-Signature={number}",
            websocket_headers=[*attempt.websocket_headers, ("X-Token", f"token {number}")],
        )

    backoff = Backoff(first=0.01, attempts=2)
    async with listening(serve, "ws") as url:
        with pytest.raises(ConnectionFailedError, match="closed before") as caught:
            async with open_client(
                url,
                websocket_headers={"X-Fixed": "1"},
                transform=sign,
                wait_for_broker=True,
                reconnect=backoff,
            ):
                pytest.fail("it closes the connection")
    assert "Signature" not in str(caught.value)
    assert [one.target for one in requests] == [f"/mqtt?X-Signature={n}" for n in (1, 2, 3)]
    for number, request in enumerate(requests, 1):
        sent = [(bytes(name), bytes(value)) for name, value in request.extra_headers]
        assert (b"x-fixed", b"1") in sent
        assert [value for name, value in sent if name == b"x-token"] == [b"token %d" % number]


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
            async with open_client(url, connect_timeout=60):
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

    async def connect(url: str) -> None:
        async with open_client(url, connect_timeout=60):
            pytest.fail("it does not answer CONNECT")

    async with listening(serve, "ws") as url, anyio.create_task_group() as tasks:
        tasks.start_soon(connect, url)
        with anyio.fail_after(60):
            await answered.wait()
        tasks.cancel_scope.cancel()
