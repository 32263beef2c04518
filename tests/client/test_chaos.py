"""Through a network that cuts, stalls, delays and garbles: QoS 1 and 2 keep what they promise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

import trio_mqtt
from tests.client.chaos import Chaos, between
from tests.transport.connectors.serving import AUTHORITY
from trio_mqtt import Backoff, TlsOptions, open_client
from trio_mqtt.transport.urls import parse_url

pytestmark = pytest.mark.parametrize("backend", ["asyncio", "trio"])

PRODUCERS = 4  # of each QoS
MESSAGES = 1_300  # of each
TIME = 300  # seconds, of which it takes a few; ten times as many beside ten others


@asynccontextmanager
async def broker_behind(chaos: Chaos, listener: str) -> AsyncIterator[str]:
    async with (
        trio_mqtt.open_broker(listener) as broker,
        between(parse_url(broker.url).port, chaos) as port,
    ):
        yield f"{parse_url(listener.partition('?')[0]).scheme}://localhost:{port}"


@contextmanager
def chaotic_broker(chaos: Chaos, listener: str) -> Iterator[str]:
    """Our broker, in a thread of its own, behind chaos; yields the URL to use."""
    with (
        start_blocking_portal("trio") as portal,
        portal.wrap_async_context_manager(broker_behind(chaos, listener)) as url,
    ):
        yield url


async def exchange(chaos: Chaos, url: str, messages: int, tls: TlsOptions | None = None) -> None:
    """Publish through chaos, receive through chaos, and check what came."""
    received: dict[str, list[int]] = {}
    options = {
        "tls": tls,
        "protocol_version": 5,
        "clean_start": False,
        "session_expiry_interval": 3_600,
        "wait_for_broker": True,
        "reconnect": Backoff(first=0.001, maximum=0.01),
        "connect_timeout": 2,
        "keep_alive": 5,
    }
    complete = anyio.Event()
    expected = {f"chaos/{qos}/{number}" for qos in (1, 2) for number in range(PRODUCERS)}

    async with (
        open_client(url, client_id="receiver", **options) as receiver,  # type: ignore[arg-type]
        receiver.subscribe("chaos/#", qos=2) as arrivals,
        open_client(url, client_id="publisher", **options) as publisher,  # type: ignore[arg-type]
        anyio.create_task_group() as tasks,
    ):

        async def receive() -> None:
            left = set(expected)
            async for message in arrivals:
                number = int(message.payload)
                received.setdefault(message.topic, []).append(number)
                if number == messages - 1:
                    left.discard(message.topic)
                    if not left:
                        break
            complete.set()

        async def publish(qos: int, producer: int) -> None:
            topic = f"chaos/{qos}/{producer}"
            for start in range(0, messages, 100):
                await publisher.publish_many(
                    ((topic, b"%d" % number) for number in range(start, start + 100)), qos=qos
                )

        tasks.start_soon(receive)
        async with anyio.create_task_group() as producers:
            for qos in (1, 2):
                for producer in range(PRODUCERS):
                    producers.start_soon(publish, qos, producer)
        await complete.wait()
        assert publisher.undelivered == 0
        chaos.calm = True  # for the goodbyes

    assert set(received) == expected
    for topic, numbers in received.items():
        if "/2/" in topic:
            assert numbers == list(range(messages)), f"{topic}: not exactly once and in order"
        else:
            assert list(dict.fromkeys(numbers)) == list(range(messages)), f"{topic}: lost, or moved"


async def through(chaos: Chaos, url: str, messages: int, tls: TlsOptions | None = None) -> None:
    with anyio.fail_after(TIME):
        await exchange(chaos, url, messages, tls)


def test_nothing_is_lost_and_qos_2_comes_once_and_order_holds(backend: str) -> None:
    chaos = Chaos(1, flips_bytes=False)
    with chaotic_broker(chaos, "mqtt://127.0.0.1:0") as url:
        anyio.run(through, chaos, url, MESSAGES, backend=backend)
    assert 2 * PRODUCERS * MESSAGES > 10_000
    assert sum(chaos.done[kind] for kind in ("cut", "garble", "stall")) > 200
    assert min(chaos.done[kind] for kind in ("cut", "garble", "stall", "delay")) > 20


def test_through_tls_no_byte_that_was_changed_passes(backend: str, tmp_path: Path) -> None:
    ca, certificate = tmp_path / "ca.pem", tmp_path / "server.pem"
    AUTHORITY.cert_pem.write_to_path(ca)
    AUTHORITY.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
    chaos = Chaos(2, flips_bytes=True)
    chaos.mean = 25_000  # a record of TLS has up to 16 KiB, and is of no use in part
    listener = f"mqtts://127.0.0.1:0?cert={certificate}"
    with chaotic_broker(chaos, listener) as url:
        anyio.run(through, chaos, url, 1_000, TlsOptions(ca=ca), backend=backend)
    assert chaos.done["garble"] > 3
