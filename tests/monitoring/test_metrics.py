"""Metrics and health checks: what they say, in which form, and that no HTTP client does harm."""

from __future__ import annotations

import gc
import re
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import fields
from itertools import count
from types import SimpleNamespace

import h11
import pytest
import trio
import trio.testing
from prometheus_client.core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

import trio_mqtt
from tests.inside import core_of
from trio_mqtt import (
    ConfigurationError,
    ListenError,
    LocalProtocolError,
    MemoryStorage,
    Statistics,
    StoreError,
)
from trio_mqtt.monitoring import MetricsOptions, metrics, serving_metrics
from trio_mqtt.monitoring.http import Answer, HttpServer, Request
from trio_mqtt.testing import MemoryBroker, open_memory_broker

LOCAL = MetricsOptions(listen="127.0.0.1:0", timed=1)


class Got(trio.abc.AsyncResource):
    """One HTTP client."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._connection = h11.Connection(h11.CLIENT)

    async def get(
        self, path: str, method: str = "GET", accept: str = "*/*"
    ) -> tuple[int, str, dict[str, str]]:
        connection = self._connection
        if connection.our_state is h11.DONE:
            connection.start_next_cycle()
        headers = [(b"Host", b"x"), (b"Accept", accept.encode("latin-1"))]
        data = connection.send(h11.Request(method=method, target=path, headers=headers)) or b""
        await self.stream.send_all(data + (connection.send(h11.EndOfMessage()) or b""))
        body, response = b"", None
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await self.stream.receive_some())
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                assert response is not None
                found = {name.decode(): value.decode() for name, value in response.headers}
                return response.status_code, body.decode(), found

    async def aclose(self) -> None:
        await self.stream.aclose()


@asynccontextmanager
async def watched(
    options: MetricsOptions = LOCAL, storage: MemoryStorage | None = None
) -> AsyncIterator[tuple[MemoryBroker, Callable[[], Awaitable[Got]]]]:
    async with (
        open_memory_broker(storage=storage) as memory,
        serving_metrics(memory.broker, options) as server,
    ):
        assert server is not None
        port = int(server.url.rpartition(":")[2])

        async def connect() -> Got:
            return Got(await trio.open_tcp_stream("127.0.0.1", port))

        yield memory, connect


def families_of(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def samples(text: str) -> dict[str, float]:
    """Each sample with its labels, as Prometheus reads it."""
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sample.labels.items()): (
            sample.value
        )
        for family in families_of(text)
        for sample in family.samples
    }


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


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text; version=a.b",
        "application/openmetrics-text; version=1.0.0\xe9",
        "application/openmetrics-text; version=",
        "text/plain; version=1.0.0; escaping=\xff",
        ";=,;",
    ],
)
async def test_whatever_is_accepted_is_answered(accept: str) -> None:
    async with watched() as (_, connect), await connect() as client:
        status, body, _ = await client.get("/metrics", accept=accept)
        assert status == 200
        assert "mqtt_" in body


async def test_pages_leave_most_of_the_time_to_clients_however_often_they_are_asked_for(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each page takes a second.
    monkeypatch.setattr(metrics, "time", SimpleNamespace(perf_counter=count().__next__))
    async with open_memory_broker() as memory:
        with memory.broker.timing(1) as timing:
            exposition = metrics.Exposition(memory.broker, timing)
            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(exposition.page, "")
            assert trio.current_time() - began == 3 * 4


async def test_what_fails_ends_only_the_connection_that_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(_: Request) -> Answer:
        raise RuntimeError("a defect")

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(HttpServer(fail, connections=1, timeout=9).run, [listener])
        for _ in range(2):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert await _closed(stream)
        nursery.cancel_scope.cancel()
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


async def test_commits_are_timed_where_there_is_a_storage() -> None:
    async with watched(storage=MemoryStorage()) as (memory, connect), await connect() as http:
        await memory.broker.publish("t", b"x", qos=1, retain=True)
        _, text, _ = await http.get("/metrics")
    found = samples(text)
    assert found["mqtt_storage_commit_seconds_count"] >= 1
    assert found["mqtt_storage_failing"] == 0


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


# -- HTTP ------------------------------------------------------------------------------------------


async def test_other_paths_and_methods_are_answered_as_http_has_it() -> None:
    async with watched() as (_, connect), await connect() as http:
        assert (await http.get("/healthz?x=1"))[0] == 200
        status, text, _ = await http.get("/nothing")
        assert (status, "/metrics" in text) == (404, True)
        status, text, headers = await http.get("/metrics", "HEAD")
        assert (status, text) == (200, "")
        assert int(headers["content-length"]) > 1_000
        status, _, headers = await http.get("/healthz", "POST")
        assert (status, headers["allow"]) == (405, "GET, HEAD")


async def test_who_says_nothing_or_nonsense_is_let_go() -> None:
    options = MetricsOptions(listen="127.0.0.1:0", timeout=0.05)
    async with watched(options) as (_, connect):
        for said in (b"", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000):
            async with await connect() as http:
                await http.stream.send_all(said)
                with trio.fail_after(10):
                    assert await _closed(http.stream)


async def _closed(stream: trio.SocketStream) -> bool:
    try:
        while await stream.receive_some():
            pass
    except trio.BrokenResourceError:
        return True
    return True


async def test_who_says_nothing_makes_room_for_who_asks() -> None:
    options = MetricsOptions(listen="127.0.0.1:0", maximum_connections=2)
    async with (
        watched(options) as (_, connect),
        await connect() as first,
        await connect() as second,
    ):
        await first.get("/healthz")
        await second.stream.send_all(b"GET /heal")
        for _ in range(3):
            async with await connect() as third:
                assert (await third.get("/healthz"))[0] == 200
        with trio.fail_after(10):
            assert await _closed(first.stream)
            assert await _closed(second.stream)


async def test_only_so_many_clients_are_answered_at_once() -> None:
    options = MetricsOptions(listen="127.0.0.1:0", maximum_connections=1)
    async with watched(options) as (_, connect), await connect() as slow:
        slow.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        with trio.move_on_after(0.5):
            while True:
                await slow.stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        async with await connect() as another:
            with trio.fail_after(10):
                assert await _closed(another.stream)


async def test_who_does_not_read_holds_up_nobody() -> None:
    async with watched() as (_, connect), await connect() as slow:
        slow.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        with trio.move_on_after(0.5):
            while True:
                await slow.stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        async with await connect() as http:
            assert (await http.get("/healthz"))[0] == 200
        # And the end does not wait for it: the context has ended.


async def test_an_address_that_is_taken_is_told_in_a_sentence() -> None:
    async with open_memory_broker() as memory:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            where = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(ListenError, match=rf"^Metrics cannot be served at {where}: "):
                async with serving_metrics(memory.broker, MetricsOptions(listen=where)):
                    pass


async def test_a_broker_has_one_and_a_second_opens_nothing() -> None:
    async with watched() as (memory, connect):
        with pytest.raises(LocalProtocolError, match="timed already"):
            async with serving_metrics(memory.broker, LOCAL):
                pass
        gc.collect()  # what were left open would warn
        async with await connect() as http:
            assert (await http.get("/healthz"))[0] == 200


async def test_what_is_raised_meanwhile_is_raised_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with watched():
            raise ZeroDivisionError


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


def test_addresses_of_both_kinds_are_taken() -> None:
    assert MetricsOptions(listen="[::1]:80").host_and_port == ("::1", 80)
    assert MetricsOptions(listen="example.org:0").host_and_port == ("example.org", 0)
