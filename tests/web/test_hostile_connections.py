"""Connections that mean no good: each ends alone, and keeps nobody else from asking."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing
import trustme

import trio_mqtt
from tests.web.conftest import OPTIONS, Served, served_with
from tests.web.event_streams import EventStream
from trio_mqtt.web.api import Api
from trio_mqtt.web.connections import Way

# The beginning of HTTP/2, and a request whose path is no ASCII.
NO_ASCII = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    b"\x00\x00\x0a\x01\x05\x00\x00\x00\x01\x82\x86\x04\x03/\xff\xfeA\x01a"
)
LOGIN = b"POST /api/v1/login HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\n"


@asynccontextmanager
async def connected(served: Served) -> AsyncIterator[trio.SocketStream]:
    host, _, port = served.url.partition("://")[2].rpartition(":")
    stream = await trio.open_tcp_stream(host, int(port))
    try:
        yield stream
    finally:
        await trio.aclose_forcefully(stream)


async def until_it_ends(stream: trio.SocketStream) -> bytes:
    found = b""
    with trio.fail_after(60):
        try:
            while data := await stream.receive_some():
                found += data
        except trio.BrokenResourceError:
            pass  # it was closed with something unread
    return found


async def is_answered(served: Served) -> bool:
    async with served.asking("see") as client:
        return (await client.get("/session")).status_code == 200


async def test_a_defect_met_by_one_connection_ends_that_alone(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(served) as stream:
        await stream.send_all(NO_ASCII)
        await until_it_ends(stream)
    assert await is_answered(served)
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


@pytest.mark.parametrize("target", [b"/page/style.css", b"/api/v1/session"])
async def test_who_reads_no_answer_holds_up_neither_others_nor_the_end(
    short_path: Path, target: bytes
) -> None:
    asked = b"GET %s HTTP/1.1\r\nHost: b\r\n\r\n" % target * 100
    options = replace(OPTIONS, maximum_requests=1)
    with trio.fail_after(60):
        async with served_with(options, short_path) as served, connected(served) as stream:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            is_full = False
            while not is_full:
                with trio.move_on_after(0.5) as scope:
                    await stream.send_all(asked)
                is_full = scope.cancelled_caught
            while not await is_answered(served):  # noqa: ASYNC110 # some of its answers may be on their way
                await trio.sleep(0.05)


async def test_who_reads_a_long_answer_slowly_keeps_nobody_from_asking(served: Served) -> None:
    app = Api(served.broker, replace(OPTIONS, maximum_requests=1)).app()
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "headers": [],
        "path": "/api/v1/openapi.json", "query_string": b"", "root_path": "", "server": ("b", 80),
        "client": ("127.0.0.1", 1),
    }  # fmt: skip
    first_part = trio.Event()

    async def receive() -> Any:  # noqa: ANN401 # ASGI's
        await trio.sleep_forever()

    async def send(message: Any) -> None:  # noqa: ANN401 # ASGI's
        if message["type"] == "http.response.body":
            assert message["more_body"]  # else it is no long one
            first_part.set()
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(app, scope, receive, send)
        with trio.fail_after(60):
            await first_part.wait()
            way = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=way, base_url="http://b/api/v1") as client:
                assert (await client.get("/session")).status_code == 401
        nursery.cancel_scope.cancel()


async def test_a_body_that_does_not_come_makes_room(short_path: Path) -> None:
    options = replace(OPTIONS, maximum_requests=1)
    async with served_with(options, short_path) as served, connected(served) as stream:
        await stream.send_all(LOGIN + b"Expect: 100-continue\r\nContent-Length: 100\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 100")
        await stream.send_all(b"{")
        assert await is_answered(served)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 408")


async def test_the_most_silent_connection_makes_room(short_path: Path) -> None:
    options = replace(OPTIONS, maximum_requests=1)  # and four connections
    async with (
        served_with(options, short_path) as served,
        connected(served) as first,
        connected(served),
        connected(served),
        connected(served),
    ):
        assert await is_answered(served)
        assert await until_it_ends(first) == b""


async def test_strangers_drive_out_nobody_who_is_known(short_path: Path) -> None:
    options = replace(OPTIONS, maximum_requests=1)  # and four connections
    async with (
        served_with(options, short_path) as served,
        EventStream(served, "/events", kinds="ClientConnected") as told,
    ):
        for _ in range(8):
            async with connected(served) as one, connected(served) as other:
                await one.send_all(b"GET / HTTP/1.1\r\n")
                await other.send_all(b"GET / HTTP/1.1\r\n")
                async with connected(served) as third, connected(served) as fourth:
                    await third.send_all(b"x")
                    await fourth.send_all(b"x")
                    await until_it_ends(one)  # the most silent of those that nobody knows
        async with trio_mqtt.open_client(served.broker.url, client_id="c"):
            with trio.fail_after(60):
                assert (await told.next())[1]["client_id"] == "c"


@pytest.mark.parametrize("head", ["POST /api/v1/login", "GET /api/v1/session"])
async def test_a_body_with_two_ends_is_refused_and_nothing_after_it_heard(
    served: Served, head: str
) -> None:
    smuggled = (
        f"{head} HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: 6\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: b\r\n\r\n"
    )
    async with connected(served) as stream:
        await stream.send_all(smuggled.encode())
        found = await until_it_ends(stream)
    # What is unread when it closes may have the answer lost.
    assert found == b"" or found.startswith(b"HTTP/1.1 400")
    assert found.count(b"HTTP/1.1") < 2
    assert await is_answered(served)


async def test_nobody_is_sent_to_a_host_of_their_own(served: Served) -> None:
    async with served.asking() as client:
        answer = await client.get("/clients/", headers={"Host": "elsewhere.example"})
    assert answer.status_code == 404
    assert "location" not in answer.headers


async def test_who_never_finishes_a_handshake_makes_room(
    short_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = short_path / "server.pem"
    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(certificate))
    options = replace(OPTIONS, maximum_requests=1, certificate=certificate)
    async with (
        served_with(options, short_path) as served,
        connected(served) as first,
        connected(served),
        connected(served),
        connected(served),
        connected(served),
    ):
        assert await until_it_ends(first) == b""
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


async def test_a_body_that_ends_too_early_is_no_defect(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(served) as stream:
        await stream.send_all(LOGIN + b"Content-Length: 100\r\n\r\n{")
        await stream.send_eof()
        await until_it_ends(stream)
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


async def test_who_is_not_known_may_send_little(served: Served) -> None:
    async with served.asking(None) as client:
        answer = await client.post("/login", json={"user": "ada", "password": "x" * 20_000})
    assert answer.status_code == 413


async def test_who_takes_nothing_of_an_answer_is_let_go(
    autojump_clock: trio.testing.MockClock,
) -> None:
    here, there = trio.socket.socketpair()
    way = Way(trio.SocketStream(here))
    with there, pytest.raises(trio.BrokenResourceError, match="not read"):
        await way.send_all(bytes(50_000_000))
    assert 30 <= trio.current_time() < 60
