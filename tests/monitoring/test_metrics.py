"""Metrics and health checks: what they say, and in which form."""

from __future__ import annotations

import re
import sys
from dataclasses import fields

import pytest
import trio
import trio.testing
from prometheus_client.openmetrics import parser as openmetrics

import trio_mqtt
from tests.broker.raw import Raw
from tests.inside import core_of
from tests.monitoring.scraping import LOCAL, families_of, samples, watched
from trio_mqtt import ConfigurationError, MemoryStorage, Statistics, StoreError
from trio_mqtt.monitoring import MetricsOptions, serving_metrics
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.testing import MemoryBroker, open_memory_broker


async def test_metrics_say_what_the_broker_counts() -> None:
    async with (
        watched() as (memory, connect),
        await connect() as http,
        memory.open_client(client_id="sub") as sub,
        memory.open_client(client_id="pub") as pub,
        sub.subscribe("t/#", qos=1) as messages,
    ):
        for number in range(3):
            await pub.publish("t/x", b"12345", qos=1, retain=not number)
            await anext(messages)
        status, text, headers = await http.get("/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    found = samples(text)
    assert found["mqtt_clients_connected"] == 2
    assert found["mqtt_connections"] == 2
    assert found["mqtt_messages_received_total"] == 3
    assert found["mqtt_messages_sent_total"] == 3
    assert found["mqtt_payload_received_bytes_total"] == 15
    assert found["mqtt_retained_messages"] == 1
    assert found["mqtt_messages_dropped_total cause=queue_full"] == 0
    assert found["mqtt_delivery_seconds_count"] == 3
    assert 0 < found["mqtt_delivery_seconds_sum"] < 10
    assert found["mqtt_ready"] == 1
    assert found["process_resident_memory_bytes"] > 1_000_000
    assert any(name.startswith("mqtt_broker_info") for name in found)


async def test_every_counter_of_the_broker_is_there_and_says_what_it_is() -> None:
    async with watched() as (_, connect), await connect() as http:
        _, text, _ = await http.get("/metrics")
    metrics = {family.name: family for family in families_of(text)}
    for field in fields(Statistics):
        name = field.name
        if name.endswith("_refused"):
            what = name.removesuffix("_refused")
            assert f'mqtt_refused_total{{what="{what}"}} 0.0' in text
        elif name.startswith("kinds_"):
            continue  # see below
        elif name in ("loop_lag", "memory"):
            assert f"mqtt_{name}_{'seconds' if name == 'loop_lag' else 'bytes'}" in metrics
        elif "drop" not in name and "bytes" not in name:
            assert f"mqtt_{name}" in metrics
    for name, family in metrics.items():
        if name.startswith("mqtt_"):
            assert re.fullmatch(r"[A-Z].*\.", family.documentation.strip(), re.S), family
            assert re.fullmatch(r"[a-z_]+[a-z]", name)


async def test_packets_are_told_by_type_qos_and_reason_code() -> None:
    async with (
        watched() as (memory, connect),
        await connect() as http,
        memory.open_client(client_id="c") as client,
    ):
        async with client.subscribe("t", qos=2) as messages:
            for qos in (0, 1, 1, 2):
                await client.publish("t", b"", qos=qos)
                await anext(messages)
        with pytest.raises(trio_mqtt.RequestRefusedError):
            await client.publish("$SYS/x", b"", qos=1)
        found = samples((await http.get("/metrics"))[1])
    received, sent = "mqtt_packets_by_type_received_total", "mqtt_packets_by_type_sent_total"
    expected = {
        f"{received} code=0x00 type=CONNECT": 1,
        f"{received} code=0x00 type=SUBSCRIBE": 1,
        f"{received} code=0x00 type=UNSUBSCRIBE": 1,
        f"{received} code=0x00 type=PUBACK": 2,
        f"{received} code=0x00 type=PUBREL": 1,
        f"{sent} code=0x00 type=CONNACK": 1,
        f"{sent} code=0x00 type=SUBACK": 1,
        f"{sent} code=0x00 type=PUBACK": 2,
        f"{sent} code=0x87 type=PUBACK": 1,
        f"{sent} code=0x00 type=PUBREC": 1,
        "mqtt_publishes_received_total qos=0": 1,
        "mqtt_publishes_received_total qos=1": 3,
        "mqtt_publishes_received_total qos=2": 1,
    }
    assert {name: found.get(name) for name in expected} == expected


async def test_what_is_dropped_is_told_by_its_cause() -> None:
    causes = ("queue_full", "expired", "overload", "not_allowed", "refused")
    async with watched() as (memory, connect), await connect() as http:
        counted = memory.broker.statistics
        counted.messages_dropped = 1 + 20 + 300 + 4_000
        counted.queue_drops, counted.messages_expired, counted.messages_shed = 1, 20, 300
        counted.deliveries_refused = 50_000
        _, text, _ = await http.get("/metrics")
    found = samples(text)
    assert [found[f"mqtt_messages_dropped_total cause={one}"] for one in causes] == [
        1, 20, 300, 50_000, 4_000
    ]  # fmt: skip


async def test_no_counter_goes_down() -> None:
    async with watched() as (memory, connect), await connect() as http:
        for sent, told in ((100, 100), (90, 100), (190, 190)):
            memory.broker.statistics.payload_bytes_sent = sent
            _, text, _ = await http.get("/metrics")
            assert samples(text)["mqtt_payload_sent_bytes_total"] == told


async def test_openmetrics_is_spoken_to_who_asks_for_it() -> None:
    async with watched() as (_, connect), await connect() as http:
        _, text, headers = await http.get("/metrics", accept="application/openmetrics-text")
    assert headers["content-type"].startswith("application/openmetrics-text")
    read = openmetrics.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    families = {family.name for family in read}
    assert {"mqtt_messages_received", "mqtt_delivery_seconds", "mqtt_broker"} <= families


async def test_commits_are_timed_where_there_is_a_storage() -> None:
    async with watched(storage=MemoryStorage()) as (memory, connect), await connect() as http:
        await memory.broker.publish("t", b"x", qos=1, retain=True)
        _, text, _ = await http.get("/metrics")
    found = samples(text)
    assert found["mqtt_storage_commit_seconds_count"] >= 1
    assert found["mqtt_storage_failing"] == 0


@pytest.mark.parametrize("topics", [("t", "t", "t"), ("t", "u", "v")])
@pytest.mark.parametrize("qos", [0, 1])
async def test_runs_of_messages_are_timed(topics: tuple[str, ...], qos: int) -> None:
    async with watched() as (memory, connect), await connect() as http:
        subscriber, publisher = Raw(memory.connect()), Raw(memory.connect())
        await subscriber.connect("s")
        await subscriber.subscribe("t", "u", qos=1)
        await publisher.connect("p")
        await publisher.send(
            *[Publish(one, b"x", qos, packet_id=qos * at) for at, one in enumerate(topics, 1)]
        )
        await subscriber.messages()
        _, text, _ = await http.get("/metrics")
    assert samples(text)["mqtt_delivery_seconds_count"] == len(set(topics) & {"t", "u"})


async def test_nothing_is_timed_while_nobody_asks() -> None:
    async with open_memory_broker() as memory:
        async with serving_metrics(memory.broker, MetricsOptions()) as server:
            assert server is None
            assert not is_timed(memory)
        async with serving_metrics(memory.broker, LOCAL):
            assert is_timed(memory)
        assert not is_timed(memory)


def is_timed(memory: MemoryBroker) -> bool:
    return core_of(memory.broker).timing is not None


class Failing(MemoryStorage):
    """Keeps nothing while `fails`."""

    fails = False

    async def append(self, changes: object) -> None:
        if self.fails:
            raise StoreError("The disk is full.")
        await super().append(changes)  # type: ignore[arg-type]


async def test_ready_is_a_broker_whose_storage_keeps_what_comes() -> None:
    storage = Failing()
    async with watched(storage=storage) as (memory, connect), await connect() as http:
        assert (await http.get("/readyz"))[:2] == (200, "ok\n")
        storage.fails = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_publish, memory)
            await trio.testing.wait_all_tasks_blocked()
            assert (await http.get("/readyz"))[:2] == (
                503, "The storage keeps nothing: The disk is full.\n"
            )  # fmt: skip
            assert (await http.get("/healthz"))[:2] == (200, "ok\n")
            found = samples((await http.get("/metrics"))[1])
            assert (found["mqtt_ready"], found["mqtt_storage_failing"]) == (0, 1)
            storage.fails = False
            nursery.cancel_scope.cancel()


async def _publish(memory: MemoryBroker) -> None:
    await memory.broker.publish("t", b"x", qos=1, retain=True)


async def test_a_broker_that_ends_is_not_ready() -> None:
    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker:
        assert (await broker.readings()).problems == []
        broker._listeners.close()
        assert (await broker.readings()).problems == ["The broker does not listen any more."]
        await broker.close()
        assert (await broker.readings()).problems == ["The broker is shutting down."]


# And the end does not wait for it: the context has ended.


async def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "trio_mqtt.monitoring.metrics", raising=False)
    monkeypatch.delattr("trio_mqtt.monitoring.metrics", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    async with open_memory_broker() as memory:
        with pytest.raises(ConfigurationError, match=r"prometheus-client, .*trio-mqtt\[metrics\]"):
            async with serving_metrics(memory.broker, LOCAL):
                pass


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"listen": "localhost"}, "HOST:PORT"),
        ({"listen": "::1:80"}, "HOST:PORT"),
        ({"listen": "http://x:80"}, "HOST:PORT"),
        ({"listen": "x:99999"}, "no port 99999"),
        ({"timed": 0}, "timed is 1 or more"),
        ({"timeout": 0.0}, "more than 0 seconds"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        MetricsOptions(**given)  # type: ignore[arg-type]
