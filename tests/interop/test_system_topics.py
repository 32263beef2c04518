"""`$SYS` beside Mosquitto's: no topic of its is missing, and they mean the same."""

from __future__ import annotations

from pathlib import Path

import pytest

import trio_mqtt
from tests.cli.programs import Program, running_broker
from trio_mqtt import sync

from .brokers import run_mosquitto

# The same after the same traffic. Mosquitto counts its own topics as retained and sent.
SAME = (
    "clients/connected",
    "clients/total",
    "clients/disconnected",
    "publish/bytes/received",
    "subscriptions/count",
    "bytes/received",
)


def told(url: str) -> dict[str, str]:
    """What a broker tells after some traffic."""
    version = trio_mqtt.ProtocolVersion.V311
    with (
        sync.open_client(url, client_id="a", protocol_version=version) as client,
        client.subscribe("t/#", qos=1) as messages,
    ):
        for number in range(5):
            client.publish("t/x", b"12345", qos=1, retain=not number)
            next(messages)
        options = ("-F", "%t=%p", "-V", "3.1.1", "-i", "w", "-W", "4", "-b", url)
        with Program("sub", "$SYS/broker/#", *options) as sub:
            assert sub.ended() in (0, 27), sub.err.text
    found: dict[str, str] = {}
    for line in sub.out.text.splitlines():
        topic, _, value = line.partition("=")
        found[topic.removeprefix("$SYS/broker/")] = value
    return found


@pytest.mark.interop
def test_nothing_that_mosquitto_tells_is_missing(tmp_path: Path) -> None:
    with run_mosquitto(tmp_path, "allow_anonymous true\nsys_interval 1") as server:
        theirs = told(f"mqtt://{server.host}:{server.port}")
    settings = ("mqtt://127.0.0.1:0", "--set", "options.system_topics_interval=1")
    with running_broker(*settings) as (_, url):
        ours = told(url)
    assert len(theirs) > 40
    assert set(theirs) - set(ours) == set()
    assert {name: ours[name] for name in SAME} == {name: theirs[name] for name in SAME}
