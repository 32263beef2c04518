"""`tmqtt broker --metrics`: figures and health checks beside the broker."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.cli.broker.seen import sees
from tests.cli.broker.wire import Wire, broker_of
from tests.cli.programs import Program, publish
from trio_mqtt.protocol.packets import Publish

pytestmark = pytest.mark.slow


def got(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310
        return str(answer.read().decode())


@sees("metrics.listen")
@pytest.mark.parametrize("in_terminal", [True, False])
def test_prometheus_and_health_checks_are_answered(in_terminal: bool) -> None:
    command = ("broker", "mqtt://127.0.0.1:0", "--metrics", "127.0.0.1:0")
    with Program(*command, terminal=in_terminal) as broker:
        url = broker.out.expect(r"Listening at (\S+)\n")[1]
        metrics = broker.out.expect(r"Metrics are at (http://127\.0\.0\.1:\d+)/metrics\.")[1]
        publish(url, "t", "x", qos=1)
        assert "mqtt_messages_received_total 1.0\n" in got(f"{metrics}/metrics")
        assert got(f"{metrics}/healthz") == got(f"{metrics}/readyz") == "ok\n"
        assert broker.stop() == 0
        with pytest.raises(urllib.error.URLError):
            got(f"{metrics}/healthz")


@sees("metrics.timed")
@pytest.mark.parametrize(("timed", "count"), [(1, 3), (1_000, 0)])
def test_the_time_of_so_many_messages_is_taken(timed: int, count: int, tmp_path: Path) -> None:
    settings = f"[metrics]\nlisten = '127.0.0.1:0'\ntimed = {timed}\n"
    listener = "[[listeners]]\nurl = 'mqtt://127.0.0.1:0'\n"
    with broker_of(settings + listener, tmp_path) as (broker, (url,)), Wire(url) as client:
        metrics = broker.out.expect(r"Metrics are at (http://127\.0\.0\.1:\d+)/metrics\.")[1]
        assert client.subscribe("t") == 0
        for _ in range(3):
            client.send(Publish("t"))
            client.expect(Publish)
        assert f"mqtt_delivery_seconds_count {count}.0\n" in got(f"{metrics}/metrics")


def test_an_address_that_cannot_be_had_is_told_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with Program("broker", "mqtt://127.0.0.1:0", "--metrics", where) as broker:
            assert broker.ended() == 1
        assert broker.err.text == (
            f"Error: Metrics cannot be served at {where}: Address already in use.\n"
        )
    with Program("broker", "--metrics", "9883") as broker:
        assert broker.ended() == 2
        assert "127.0.0.1:9883" in broker.err.text
