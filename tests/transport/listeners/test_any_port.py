"""One port for MQTT, TLS and WebSocket, and sockets that somebody else has opened."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trio

import trio_mqtt
from tests.inside import links_of
from tests.transport.dialing import (
    Certificates,
    dial,
    dial_tls,
    dial_websocket,
    exchange,
    greet,
    until_end,
)
from trio_mqtt import ConfigurationError, Limits, Listen, ListenError, ServerTls


@pytest.mark.parametrize("within_tls", [False, True])
@pytest.mark.parametrize("within_websocket", [False, True])
async def test_all_are_served_on_one_port(
    certificates: Certificates, within_tls: bool, within_websocket: bool
) -> None:
    listen = Listen("any://127.0.0.1:0", tls=ServerTls(certificates.server()))
    async with trio_mqtt.open_broker(listen) as broker:
        stream: trio.abc.Stream = await (
            dial_tls(broker.url, certificates.trusting()) if within_tls else dial(broker.url)
        )
        if within_websocket:
            stream = await dial_websocket(stream)
        client = await greet(stream)
        await exchange(client, "t")
        (connection,) = links_of(broker)
        assert connection.stream.origin.is_encrypted == within_tls
        await client.stream.aclose()


async def test_without_a_certificate_there_is_no_tls_but_everything_else() -> None:
    async with trio_mqtt.open_broker("any://127.0.0.1:0") as broker:
        plain = await greet(await dial(broker.url), "plain")
        web = await greet(await dial_websocket(await dial(broker.url)), "web")
        stranger = await dial(broker.url)
        await stranger.send_all(b"\x16\x03\x01\x00\x05hello")
        assert await until_end(stranger) == b""
        for stream in (plain.stream, web.stream, stranger):
            await stream.aclose()


@pytest.mark.parametrize("word", [b"", b"G", b"\x10", b"\x16", b"x"])
async def test_who_says_only_one_byte_is_closed_in_time(
    certificates: Certificates, word: bytes
) -> None:
    listen = Listen("any://127.0.0.1:0", tls=ServerTls(certificates.server()))
    async with trio_mqtt.open_broker(listen, limits=Limits(connect_timeout=0.2)) as broker:
        stream = await dial(broker.url)
        if word:
            await stream.send_all(word)
        assert await until_end(stream) == b""
        await stream.aclose()


async def test_a_socket_that_listens_already_is_taken_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        listen = Listen("any://0.0.0.0:1", socket=listening)
        async with trio_mqtt.open_broker(listen) as broker:
            assert broker.url == f"any://127.0.0.1:{port}"
            client = await greet(await dial(broker.url))
            await client.stream.aclose()
        assert listening.fileno() < 0


async def test_a_socket_that_does_not_listen_is_refused() -> None:
    with socket.socket() as sock, pytest.raises(ListenError, match="does not listen"):
        async with trio_mqtt.open_broker(Listen("mqtt://127.0.0.1", socket=sock)):
            pass


async def test_what_counts_is_where_the_socket_listens() -> None:
    with (
        socket.create_server(("0.0.0.0", 0)) as listening,  # noqa: S104  # that is the point
        pytest.raises(ConfigurationError),  # everybody would be let in
    ):
        async with trio_mqtt.open_broker(Listen("mqtt://127.0.0.1", socket=listening)):
            pass


@pytest.mark.posix
async def test_a_socket_of_another_kind_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{tmp_path}/s")
        listening.listen()
        with pytest.raises(ListenError, match="of another kind"):
            async with trio_mqtt.open_broker(Listen("mqtt://127.0.0.1", socket=listening)):
                pass
