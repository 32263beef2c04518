"""The HTTP of metrics and health checks: what is answered to whom, and that no client does harm."""

from __future__ import annotations

import gc
import socket
from itertools import count
from types import SimpleNamespace

import pytest
import trio
import trio.testing

from tests.monitoring.scraping import LOCAL, Got, watched
from trio_mqtt import (
    ListenError,
    LocalProtocolError,
)
from trio_mqtt.monitoring import MetricsOptions, metrics, serving_metrics
from trio_mqtt.monitoring.http import Answer, HttpServer, Request
from trio_mqtt.testing import open_memory_broker


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
                with trio.fail_after(60):
                    assert await _closed(http.stream)


async def _closed(stream: trio.SocketStream) -> bool:
    try:
        while await stream.receive_some():
            pass
    except trio.BrokenResourceError:
        return True
    return True


async def test_who_says_nothing_makes_room_for_who_asks() -> None:
    options = MetricsOptions(listen="127.0.0.1:0", maximum_connections=2, timeout=300)
    async with (
        watched(options) as (_, connect),
        await connect() as first,
        await connect() as second,
    ):
        await first.get("/healthz")
        await second.stream.send_all(b"GET /heal")
        async with await connect() as third, await connect() as fourth:
            assert (await third.get("/healthz"))[0] == 200
            assert (await fourth.get("/healthz"))[0] == 200
            with trio.fail_after(60):
                assert await _closed(first.stream)
                assert await _closed(second.stream)


async def _ask_until_nothing_is_taken(client: Got) -> None:
    """Ask, and read no answer, until the server waits to be read."""
    client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)

    async def ask() -> None:
        while True:
            await client.stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked(0.5)  # both ends run here
        nursery.cancel_scope.cancel()


async def test_only_so_many_clients_are_answered_at_once() -> None:
    options = MetricsOptions(listen="127.0.0.1:0", maximum_connections=1, timeout=300)
    async with watched(options) as (_, connect), await connect() as slow:
        await _ask_until_nothing_is_taken(slow)
        async with await connect() as another:
            with trio.fail_after(60):
                assert await _closed(another.stream)


async def test_who_does_not_read_holds_up_nobody() -> None:
    async with watched() as (_, connect), await connect() as slow:
        await _ask_until_nothing_is_taken(slow)
        async with await connect() as http:
            assert (await http.get("/healthz"))[0] == 200


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


def test_addresses_of_both_kinds_are_taken() -> None:
    assert MetricsOptions(listen="[::1]:80").host_and_port == ("::1", 80)
    assert MetricsOptions(listen="example.org:0").host_and_port == ("example.org", 0)
