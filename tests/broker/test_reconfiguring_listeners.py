"""Listeners that come, go and change while a broker runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from tests.broker.opened import LOCAL, joined, may_connect, opened
from tests.transport.dialing import Certificates
from trio_mqtt import (
    ConfigurationError,
    Limits,
    Listen,
    ListenerLimits,
    ListenError,
    ReasonCode,
    ServerTls,
    TlsOptions,
)
from trio_mqtt.protocol.packets import Subscription

pytestmark = pytest.mark.trio  # in real time: sockets, and files that are read in threads

SUCCESS = ReasonCode.SUCCESS


async def test_listeners_come_and_go() -> None:
    async with opened() as broker:
        first = broker.url
        await broker.reconfigure(first, LOCAL)
        second = broker.urls[1]
        assert broker.urls[0] == first
        async with (
            joined(first, "stays") as stays,
            joined(second, "goes", expiry=1_000) as goes,
        ):
            await goes.subscribe("t", qos=1)
            await broker.reconfigure(first)
            await goes.expect_disconnect(ReasonCode.ADMINISTRATIVE_ACTION)
            assert not await may_connect(second)
            assert await stays.publish("t", b"kept", 1) == SUCCESS
        async with joined(first, "goes", clean_start=False) as goes:
            assert [message.payload for message in await goes.take()] == [b"kept"]
        await broker.reconfigure(second, first)
        assert broker.urls == (second, first)
        assert await may_connect(second)


async def test_a_broker_that_has_ended_listens_nowhere_any_more() -> None:
    async with opened() as broker:
        pass
    await broker.reconfigure(broker.url, LOCAL)
    assert not any([await may_connect(url) for url in broker.urls])


async def test_a_listener_that_stays_has_its_own_bounds_anew() -> None:
    async with opened() as broker, joined(broker.url, "1") as client:
        listen = Listen(broker.url, limits=ListenerLimits(maximum_connections=1))
        await broker.reconfigure(listen)
        assert broker.listeners == (listen,)
        assert not await may_connect(broker.url)
        await broker.reconfigure(broker.url)
        assert await may_connect(broker.url)
        await client.ping()


async def test_what_is_spoken_at_a_port_can_change(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    tls = ServerTls(certificates.server())
    trusting = TlsOptions(ca=certificates.ca_file)
    async with opened() as broker, joined(broker.url) as client:
        plain = broker.url
        encrypted = plain.replace("mqtt://", "mqtts://")
        await broker.reconfigure(Listen(encrypted, tls=tls))
        assert broker.urls == (encrypted,)
        assert not await may_connect(plain, connect_timeout=2)
        assert await may_connect(encrypted, tls=trusting)
        await client.ping()
        await broker.reconfigure(plain)
        assert await may_connect(plain)


async def test_a_new_mount_point_is_for_new_connections() -> None:
    async with opened() as broker, joined(broker.url) as before:
        await before.subscribe("#")
        await broker.reconfigure(Listen(broker.url, mount_point="a/"))
        async with joined(broker.url) as after:
            await after.publish("t", b"x", 1)
        assert [message.topic for message in await before.messages()] == ["a/t"]


async def test_another_address_at_a_port_that_is_held_needs_a_start() -> None:
    async with opened("mqtt://127.0.0.1:0") as broker:
        port = broker.url.rpartition(":")[2]
        with pytest.raises(ListenError) as raised:
            await broker.reconfigure(Listen(f"mqtt://0.0.0.0:{port}", allow_anonymous=True))
        assert str(raised.value) == (
            f"The broker itself listens at the port of mqtt://0.0.0.0:{port},"
            f" by {broker.url}. Another address at the same port needs a start."
        )
        assert await may_connect(broker.url)


@pytest.mark.posix
async def test_a_unix_socket_stays_as_it_is(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/s"
    async with opened(Listen(url, mode=0o600)) as broker:
        await broker.reconfigure(Listen(url, mode=0o600), LOCAL)
        assert await may_connect(url)
        with pytest.raises(ConfigurationError, match="they change at the next start"):
            await broker.reconfigure(Listen(url, mode=0o660))
        await broker.reconfigure(broker.urls[1])
        assert not (tmp_path / "s").exists()


async def test_a_flood_loses_nothing_while_settings_change() -> None:
    async with (
        opened() as broker,
        joined(broker.url, "to") as receiver,
        joined(broker.url, "from") as sender,
    ):
        await receiver.subscribe(Subscription("t", 1))
        count = 300

        async def publish() -> None:
            for number in range(count):
                await sender.publish("t", b"%d" % number, 1)

        got: list[bytes] = []

        async def receive() -> None:
            while len(got) < count:
                got.extend(message.payload for message in await receiver.take())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            nursery.start_soon(receive)
            for number in range(20):
                await broker.reconfigure(limits=Limits(maximum_in_flight=10 + number))
        assert got == [b"%d" % number for number in range(count)]
