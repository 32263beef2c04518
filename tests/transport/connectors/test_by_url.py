"""A client over TLS, WebSocket and Unix sockets: what holds whatever the scheme of the URL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream

from tests.transport.connectors.serving import listening, only, running
from trio_mqtt import (
    ConnectionFailedError,
    InvalidUrlError,
    ProtocolVersion,
    ReasonCode,
    TlsOptions,
    open_client,
)
from trio_mqtt.protocol.client_connection import ClientConnection
from trio_mqtt.protocol.packets import Connect, Disconnect, Publish
from trio_mqtt.transport.connectors.by_url import connector_for
from trio_mqtt.transport.urls import parse_url

pytestmark = pytest.mark.anyio

SCHEMES = ["mqtts", "ws", "wss", pytest.param("unix", marks=pytest.mark.posix)]


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


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("tcp", "mqtt"),
        ("ssl", "mqtts"),
        ("tls", "mqtts"),
        pytest.param("mqtt+unix", "unix", marks=pytest.mark.posix),
        ("ws", "ws"),
    ],
)
async def test_a_url_may_be_as_others_write_it(
    theirs: str, ours: str, tls: TlsOptions, tmp_path: Path
) -> None:
    async with running(ours, tmp_path) as server:
        url = f"{server.url.replace(ours, theirs, 1)}?clientId=me"
        async with open_client(url, tls=only(ours, tls)) as client:
            assert client.client_id == "me"
            assert await client.publish("t", "acknowledged", qos=1) is ReasonCode.SUCCESS
        async with open_client(url, client_id="given", tls=only(ours, tls)):
            pass
        names = [one.client_id for one in server.received if isinstance(one, Connect)]
        assert names == ["me", "given"]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_the_last_words_arrive(scheme: str, tls: TlsOptions, tmp_path: Path) -> None:
    async with running(scheme, tmp_path) as server:
        async with open_client(server.url, tls=only(scheme, tls)) as client:
            for number in range(5_000):
                await client.publish("t", b"%d" % number)
        with anyio.fail_after(60):
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


@pytest.mark.parametrize("url", ["mqtts://", "ws://h#f", "unix://h/p", "http://h"])
async def test_what_is_no_address_is_a_value_error(url: str) -> None:
    with pytest.raises(ValueError, match=r"address|names no|more than|socket") as caught:
        async with open_client(url):
            pytest.fail("that is no address")
    assert isinstance(caught.value, InvalidUrlError)


def test_a_client_without_websocket_and_tls_does_not_load_them() -> None:
    program = "import sys, trio_mqtt; trio_mqtt.open_client; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert not {"wsproto", "h11", "trio_mqtt.transport.connectors.tls_stream"} & set(loaded)
