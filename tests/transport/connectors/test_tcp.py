"""The client over real sockets of this machine, in real time."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute

from tests.transport.connectors.serving import Server
from trio_mqtt import ConnectionFailedError, ReasonCode, open_client
from trio_mqtt.protocol.packets import Disconnect, Publish
from trio_mqtt.transport.connectors.sockets import connect_tcp
from trio_mqtt.transport.urls import parse_url

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running_server() -> AsyncIterator[Server]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    async with listener, anyio.create_task_group() as tasks:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 # not Django
        server = Server(port)
        tasks.start_soon(listener.serve, server.serve)
        yield server
        tasks.cancel_scope.cancel()


@pytest.mark.normative("MQTT-4.2-1")
@pytest.mark.normative_v311("MQTT-7.1.2-1")
async def test_messages_large_and_small_travel_both_ways() -> None:
    payloads = [b"", b"x", bytes(range(256)) * 8_000, b"end"]
    async with (
        running_server() as server,
        open_client(server.url) as client,
        client.subscribe("t") as messages,
    ):
        for payload in payloads:
            await client.publish("t", payload)
        assert [(await anext(messages)).payload for _ in payloads] == payloads
        assert await client.publish("t", "acknowledged", qos=1) is ReasonCode.SUCCESS


async def test_the_last_words_arrive_although_unread_bytes_wait() -> None:
    async with running_server() as server:
        async with open_client(server.url) as client:
            for number in range(5_000):
                await client.publish("t", b"%d" % number)
        with anyio.fail_after(60):
            await server.closed.wait()
        assert isinstance(server.received[-1], Disconnect)
        assert len(server.received) == 5_002


async def test_many_tasks_publish_at_once() -> None:
    async with running_server() as server, open_client(server.url) as client:

        async def publish(number: int) -> None:
            for count in range(20):
                await client.publish(f"t/{number}", b"%d" % count, qos=1)

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(publish, number)
        for number in range(20):
            mine = [
                int(packet.payload)
                for packet in server.received
                if isinstance(packet, Publish) and packet.topic == f"t/{number}"
            ]
            assert mine == list(range(20))


async def test_nagles_delay_is_off() -> None:
    async with running_server() as server:
        stream = await connect_tcp(parse_url(server.url))
        try:
            sock = stream._socket
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        finally:
            await stream.aclose()
        for use in (stream.receive(), stream.send(b"x"), stream.send_eof()):
            with pytest.raises(anyio.ClosedResourceError):
                await use


async def test_where_nothing_listens_the_error_says_so() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"mqtt://127.0.0.1:{sock.getsockname()[1]}"
        with pytest.raises(ConnectionFailedError, match=f"Nothing answers at {url}"):
            async with open_client(url):
                pytest.fail("nothing listens there")


async def test_a_host_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("anyio.getaddrinfo", unknown)
    with pytest.raises(ConnectionFailedError, match=r"'nowhere' .* cannot be found"):
        async with open_client("mqtt://nowhere"):
            pytest.fail("there is no such host")


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
async def test_a_host_that_cannot_be_a_name_is_told(host: str) -> None:
    with pytest.raises(ConnectionFailedError, match="cannot be found"):
        async with open_client(f"mqtt://{host}"):
            pytest.fail("there is no such host")


async def test_a_host_with_several_addresses_is_tried_at_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_server() as server:
        port = parse_url(server.url).port
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            ports = [unused.getsockname()[1], port, port]

            async def several(*_args: object, **_options: object) -> list[object]:
                return [
                    (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", one)) for one in ports
                ]

            monkeypatch.setattr("anyio.getaddrinfo", several)
            async with open_client(server.url) as client:
                assert await client.publish("t", qos=1) is ReasonCode.SUCCESS


async def test_an_address_that_does_not_answer_is_given_up() -> None:
    # A listener whose queue is full leaves connections unanswered.
    with socket.socket() as listener, socket.socket() as filling, socket.socket() as more:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for sock in (filling, more):
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        url = f"mqtt://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ConnectionFailedError, match=r"did not answer within 0\.2 s"):
            async with open_client(url, connect_timeout=0.2):
                pytest.fail("nothing answers there")
