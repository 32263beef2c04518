"""Real sockets: where a broker listens, what it says where it cannot, and what it leaves."""

from __future__ import annotations

import errno
import gc
import os
import signal
import socket
from pathlib import Path

import pytest
import trio
import trio.testing

import trio_mqtt
from tests.broker.raw import V5, V311, Raw
from tests.inside import links_of
from trio_mqtt import Broker
from trio_mqtt.errors import ConfigurationError, ListenError
from trio_mqtt.protocol.packets import Connect, Publish
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.transport.listeners.listener import Listener, open_listener
from trio_mqtt.transport.listeners.options import Endpoint
from trio_mqtt.transport.urls import parse_url

LOCAL = "mqtt://127.0.0.1:0"


async def _dial(url: str) -> Raw:
    address = parse_url(url)
    return Raw(await trio.open_tcp_stream(address.host, address.port))


def _descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


async def _gone(broker: Broker) -> None:
    """Wait until the broker has seen that all have gone."""
    with trio.fail_after(60):
        while links_of(broker):  # noqa: ASYNC110  # nobody tells
            await trio.sleep(0.001)


@pytest.mark.normative("MQTT-4.2-1")
@pytest.mark.normative_v311("MQTT-7.1.1-1")
async def test_a_broker_serves_over_tcp_and_leaves_no_socket() -> None:
    before = _descriptors()
    async with trio_mqtt.open_broker(LOCAL) as broker:
        clients = [await _dial(broker.url) for _ in range(10)]
        for number, client in enumerate(clients):
            await client.connect(f"c{number}")
            await client.subscribe("t", qos=1)
        await clients[0].publish("t", b"x" * 3_000_000, 0)
        for client in clients:
            await client.expect_message("t", b"x" * 3_000_000)
        for client in clients[5:]:
            await client.stream.aclose()
    for client in clients[:5]:
        await client.expect_disconnect(ReasonCode.SERVER_SHUTTING_DOWN)
        await client.stream.aclose()
    assert _descriptors() <= before + 1


async def test_a_client_that_closes_only_its_sending_half_is_let_go() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        client = await _dial(broker.url)
        await client.connect("c")
        assert isinstance(client.stream, trio.SocketStream)
        await client.stream.send_eof()
        await client.expect_closed()
        await client.stream.aclose()
        await _gone(broker)


async def test_a_reset_in_the_middle_of_writing_ends_only_that_client() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        client, other = await _dial(broker.url), await _dial(broker.url)
        await client.connect("c")
        await other.connect("o")
        await client.subscribe("t")
        for _ in range(20):
            await broker.publish("t", b"x" * 1_000_000)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert isinstance(client.stream, trio.SocketStream)
        client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        await client.stream.aclose()
        await other.ping()
        with trio.fail_after(60):
            while len(links_of(broker)) > 1:  # noqa: ASYNC110  # nobody tells
                await trio.sleep(0.001)
        await other.stream.aclose()


async def test_a_slow_reader_gets_everything_in_whole_packets() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        client = await _dial(broker.url)
        await client.connect("c")
        await client.subscribe("t")
        for number in range(30):
            await broker.publish("t", bytes([number]) * 400_000)
        await trio.testing.wait_all_tasks_blocked(0.05)
        for number in range(30):
            await client.expect_message("t", bytes([number]) * 400_000)
        await client.stream.aclose()


async def test_a_refusal_reaches_a_client_that_sends_on() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        client = await _dial(broker.url)
        await client.send(Connect("x" * 2_000), Publish("t", b"x" * 50_000))
        packet = await client.receive()
        assert getattr(packet, "reason_code", None) == ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
        await client.stream.aclose()


async def test_several_addresses_are_listened_at_together() -> None:
    async with trio_mqtt.open_broker(LOCAL, LOCAL, "mqtt://localhost:0") as broker:
        assert len(set(broker.urls)) == 3
        assert broker.url == broker.urls[0]
        subscriber = await _dial(broker.urls[0])
        await subscriber.connect("s")
        await subscriber.subscribe("t")
        for number, url in enumerate(broker.urls):
            client = await _dial(url)
            await client.connect("p")
            await client.publish("t", str(number).encode())
            await subscriber.expect_message("t", str(number).encode())
            await client.stream.aclose()
        await subscriber.stream.aclose()


async def test_ipv6_and_ipv4_may_have_the_same_port() -> None:
    while True:
        try:
            six = await open_listener(Endpoint("mqtt://[::1]:0"))
        except ListenError as error:  # a machine without IPv6 says so
            assert "has no address ::1" in str(error)  # noqa: PT017
            return
        try:
            four = await open_listener(Endpoint(f"mqtt://127.0.0.1:{parse_url(six.url).port}"))
        except ListenError as error:  # another program has that port of IPv4: take another one
            six.close()
            assert "is in use" in str(error)  # noqa: PT017
            continue
        break
    assert six.url == f"mqtt://[::1]:{parse_url(four.url).port}"
    six.close()
    four.close()


async def test_a_port_in_use_is_said_so_with_another() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        port = parse_url(broker.url).port
        with pytest.raises(ListenError) as caught:
            await open_listener(Endpoint(broker.url))
    assert str(caught.value) == (
        f"Port {port} of 127.0.0.1 is in use: another broker may be running."
        f" Stop it, or choose another port, for example mqtt://127.0.0.1:{port + 1}."
    )


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (
            "mqtt://no-such-host.invalid:0",
            "There is no address for the host 'no-such-host.invalid'",
        ),
        ("mqtt://192.0.2.1:0", "This machine has no address 192.0.2.1."),
        (f"mqtt://{'x' * 70}.invalid:0", "There is no address for the host"),
    ],
)
async def test_where_nobody_can_listen_is_said_so(url: str, sentence: str) -> None:
    before = _descriptors()
    with pytest.raises(ListenError) as caught:
        await open_listener(Endpoint(url))
    assert str(caught.value).startswith(sentence)
    assert _descriptors() <= before + 1


async def test_a_broker_that_cannot_listen_everywhere_listens_nowhere() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker:
        await trio.testing.wait_all_tasks_blocked()  # its listener has begun
        before = _descriptors()
        with pytest.raises(ListenError):
            async with trio_mqtt.open_broker(LOCAL, broker.url):
                raise AssertionError("it listens")
        assert _descriptors() == before


async def test_a_name_is_listened_at_as_far_as_this_machine_has_its_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        await trio.lowlevel.checkpoint()
        stream = socket.SOCK_STREAM
        return [
            (socket.AF_INET, stream, 6, "", ("192.0.2.1", 0)),
            (socket.AF_INET, stream, 6, "", ("127.0.0.1", 0)),
        ]

    monkeypatch.setattr(trio.socket, "getaddrinfo", resolve)
    listener = await open_listener(Endpoint("mqtt://some-name:0"))
    assert len(listener._sockets) == 1
    listener.close()


async def test_exhausted_descriptors_pause_accepting_and_closing_meanwhile_is_fine(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, nursery: trio.Nursery
) -> None:
    class Exhausted(socket.socket):
        left = 3

        def accept(self) -> tuple[socket.socket, object]:
            if Exhausted.left:
                Exhausted.left -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    monkeypatch.setattr(socket, "socket", Exhausted)
    listener = await open_listener(Endpoint(LOCAL))
    served = trio.Event()

    async def handle(stream: object) -> None:
        served.set()
        await stream.aclose()  # type: ignore[attr-defined]  # a SocketStream

    nursery.start_soon(listener.serve, handle)
    client = await _dial(listener.url)
    with trio.fail_after(60):
        await served.wait()
    assert caplog.text.count("No more clients can be accepted for now") == 1
    await client.stream.aclose()
    Exhausted.left = 100
    client = await _dial(listener.url)
    while Exhausted.left == 100:  # noqa: ASYNC110  # nobody tells
        await trio.sleep(0.001)
    listener.close()  # its task sleeps now
    with trio.fail_after(60):
        while nursery.child_tasks:  # noqa: ASYNC110  # nobody tells
            await trio.sleep(0.01)
    await client.stream.aclose()


async def test_closing_in_the_moment_of_a_new_connection_is_fine() -> None:
    for _ in range(20):
        async with trio.open_nursery() as nursery:
            listener: Listener = await open_listener(Endpoint(LOCAL))

            async def handle(stream: object) -> None:
                await stream.aclose()  # type: ignore[attr-defined]  # a SocketStream

            nursery.start_soon(listener.serve, handle)
            await trio.testing.wait_all_tasks_blocked()
            address = parse_url(listener.url)
            with socket.create_connection((address.host, address.port)):
                await trio.lowlevel.checkpoint()
                listener.close()


@pytest.mark.posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serve_ends_in_order_at_a_signal(number: int, nursery: trio.Nursery) -> None:
    broker: Broker = await nursery.start(trio_mqtt.serve, LOCAL)
    client = await _dial(broker.url)
    await client.connect("c")
    os.kill(os.getpid(), number)
    await client.expect_disconnect(ReasonCode.SERVER_SHUTTING_DOWN)
    await client.stream.aclose()
    with trio.fail_after(60):
        while nursery.child_tasks:  # noqa: ASYNC110  # nobody tells
            await trio.sleep(0.001)


async def test_serve_ends_in_order_when_cancelled(nursery: trio.Nursery) -> None:
    broker: Broker = await nursery.start(trio_mqtt.serve, LOCAL)
    five, three = await _dial(broker.url), await _dial(broker.url)
    three = Raw(three.stream, V311)
    await five.connect("five")
    await three.connect("three")
    nursery.cancel_scope.cancel()
    with trio.CancelScope(shield=True):
        assert five.version == V5
        await five.expect_disconnect(ReasonCode.SERVER_SHUTTING_DOWN)
        await three.expect_closed()
        await five.stream.aclose()
        await three.stream.aclose()


async def test_a_port_is_shared_by_those_who_say_so() -> None:
    first = await open_listener(Endpoint("mqtt://127.0.0.1:0", reuse_port=True))
    try:
        second = await open_listener(Endpoint(first.url, reuse_port=True))
        assert second.url == first.url
        second.close()
        with pytest.raises(ListenError, match="is in use"):
            await open_listener(Endpoint(first.url))
    finally:
        first.close()


def test_a_unix_socket_is_not_shared() -> None:
    with pytest.raises(ConfigurationError, match="reuse_port has no meaning for unix:///run/mqtt"):
        Endpoint("unix:///run/mqtt", reuse_port=True)
    with pytest.raises(TypeError, match="reuse_port is True or False"):
        Endpoint("mqtt://127.0.0.1", reuse_port="yes")  # type: ignore[arg-type]
