"""An engine whose memory is full: that is told once, and a broker ends in order all the same."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import trio

import trio_mqtt
from tests.cluster.nodes import LOCAL
from tests.cluster.redis import RedisServer, redis_server
from trio_mqtt import Cluster, open_client
from trio_mqtt.broker.clustering import cluster_node, presence


@pytest.fixture
def small() -> Iterator[RedisServer]:
    with redis_server("--maxmemory", "4mb") as server:
        yield server


async def fill(url: str) -> None:
    async with open_client(url) as client:
        for number in range(10_000):
            await client.publish(f"kept/{number}", 20_000 * b"x", qos=1, retain=True)


async def until_said(caplog: pytest.LogCaptureFixture, text: str) -> None:
    with trio.fail_after(60):
        while not any(text in one for one in caplog.messages):  # noqa: ASYNC110
            await trio.sleep(0.01)


async def test_it_is_told_once_and_when_it_has_lasted_that_there_is_room(
    small: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "trio_mqtt.cluster")
    monkeypatch.setattr(presence, "_CALM", 2.5)
    async with (
        trio_mqtt.open_broker(LOCAL, cluster=Cluster(url=small.url)) as broker,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(fill, broker.url)
        await until_said(caplog, "can do nothing now: OOM")
        await trio.sleep(1)  # for many attempts
        assert sum("OOM" in one for one in caplog.messages) == 1
        assert not any("is there again" in one for one in caplog.messages)
        assert not any("script:" in one for one in caplog.messages)
        nursery.cancel_scope.cancel()
        small.command("CONFIG", "SET", "maxmemory", "0")
        with trio.CancelScope(shield=True):
            await until_said(caplog, " times.")
    (again,) = [one for one in caplog.messages if "is there again, after " in one]
    assert int(again.split()[-2]) > 1
    assert not any("is not kept" in one for one in caplog.messages)


async def test_a_broker_ends_in_order_while_it_is_full(
    small: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_node, "LEAVING", 0.5)
    with trio.fail_after(60):
        async with (
            trio_mqtt.open_broker(LOCAL, cluster=Cluster(url=small.url)) as broker,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(fill, broker.url)
            await until_said(caplog, "can do nothing now: OOM")
            small.command("CONFIG", "SET", "maxmemory", "1")  # now and then there is some room
            nursery.cancel_scope.cancel()
    (left,) = [one for one in caplog.messages if "is not kept" in one]
    assert left.endswith("What clients were not promised yet, is not kept.")
