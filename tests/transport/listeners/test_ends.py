"""On every transport, what belongs to a client that has gone is freed by reference counting."""

from __future__ import annotations

import gc
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

import trio_mqtt
from tests.broker.raw import Raw
from tests.remains import living, without_collector
from tests.transport.dialing import (
    Certificates,
    dial,
    dial_tls,
    dial_websocket,
    gone,
    greet,
    until_end,
)
from trio_mqtt import Broker, Limits, Listen, ServerTls
from trio_mqtt.protocol.packets import Connect, Disconnect, Publish

LARGE = b"\x30\xff\xff\x7f"  # the beginning of a PUBLISH of 2 MiB


@pytest.fixture(autouse=True)
def _only_reference_counting() -> Iterator[None]:
    with without_collector():
        yield


@pytest.fixture(
    params=[
        "mqtt",
        "mqtts",
        "ws",
        "wss",
        "any",
        "any with TLS",
        pytest.param("unix", marks=pytest.mark.posix),
    ]
)
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def listen(scheme: str, certificates: Certificates, tmp_path: Path) -> Listen:
    if scheme == "unix":
        return Listen(f"unix://{tmp_path}/s")
    tls = ServerTls(certificates.server()) if scheme not in ("mqtt", "ws", "any") else None
    return Listen(f"{scheme.split()[0]}://127.0.0.1:0", tls=tls)


async def reach(broker: Broker, scheme: str, certificates: Certificates) -> trio.abc.Stream:
    """A stream on which MQTT may begin."""
    stream: trio.abc.Stream = await (
        dial_tls(broker.url, certificates.trusting())
        if scheme in ("mqtts", "wss", "any with TLS")
        else dial(broker.url)
    )
    return await dial_websocket(stream) if scheme in ("ws", "wss") else stream


async def freed(broker: Broker, before: Counter[str]) -> None:
    """Wait until nothing is there that was not before; fail with what is."""
    await gone(broker)
    with trio.move_on_after(60):
        while living() - before:  # noqa: ASYNC110  # nobody tells
            await trio.sleep(0.01)
    assert living() - before == {}


async def test_a_client_that_says_goodbye_or_is_lost_or_breaks_off(
    listen: Listen, scheme: str, certificates: Certificates
) -> None:
    async with trio_mqtt.open_broker(listen) as broker:
        for turn in range(2):
            before = living()
            for last in (Disconnect(), b"", LARGE + bytes(1_000_000), b"\x36\x02\0\0"):
                client = await greet(await reach(broker, scheme, certificates))
                await client.subscribe("t")
                await client.publish("t", bytes(10))
                await client.expect_message("t", bytes(10))
                await client.send(last)
                await trio.aclose_forcefully(client.stream)
            if turn:
                await freed(broker, before)
            await gone(broker)


async def test_a_client_that_resets_its_connection() -> None:
    """The error is raised by whoever reads for all, and again by the client's own task."""
    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker:
        for turn in range(2):
            before = living()
            stream = await dial(broker.url)
            client = await greet(stream)
            await client.subscribe("t")
            assert isinstance(stream, trio.SocketStream)
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.socket.close()
            if turn:
                await freed(broker, before)
            await gone(broker)


async def test_a_client_that_does_not_come_as_far_as_mqtt(
    listen: Listen, scheme: str, certificates: Certificates
) -> None:
    limits = Limits(connect_timeout=0.3)
    async with trio_mqtt.open_broker(listen, limits=limits) as broker:
        for turn in range(2):
            before = living()
            for word in (
                b"",
                b"G",
                b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n",
                b"\x16\x03\x01\0\x05",
            ):
                stream = await dial(broker.url)
                await stream.send_all(word + b"hello\r\n\r\n" if word else b"")
                await until_end(stream)
                await stream.aclose()
            if turn:
                await freed(broker, before)
            await gone(broker)


async def test_a_client_that_is_refused(
    listen: Listen, scheme: str, certificates: Certificates
) -> None:
    async with trio_mqtt.open_broker(listen) as broker:
        for turn in range(2):
            before = living()
            client = Raw(await reach(broker, scheme, certificates))
            await client.send(Connect("c" * 2_000), Publish("t"))
            await until_end(client.stream)
            await trio.aclose_forcefully(client.stream)
            if turn:
                await freed(broker, before)
            await gone(broker)


async def test_nothing_of_all_that_waits_for_the_collector(
    listen: Listen, scheme: str, certificates: Certificates
) -> None:
    """Nor what is not the broker's own: tasks, nurseries, frames, buffers."""
    async with trio_mqtt.open_broker(listen) as broker:
        stream = await reach(broker, scheme, certificates)
        client = await greet(stream)
        await client.send(LARGE + bytes(1_000_000))
        await trio.aclose_forcefully(stream)
        await gone(broker)
        await trio.sleep(0.01)
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            gc.collect()
            ours = [
                one
                for one in gc.garbage
                if type(one).__module__.startswith("trio_mqtt.")
                or (isinstance(one, (bytes, bytearray)) and len(one) > 10_000)
            ]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
        assert not ours
