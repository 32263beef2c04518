"""Commands of Mosquitto, of MQTT.js and ours, through the same proxy by the same options."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from anyio.from_thread import BlockingPortal

from tests.transport.connectors.test_proxies import proxied
from trio_mqtt import sync

from .node import PACKAGES, node_command
from .peers import DEADLINE, Server
from .test_mosquitto_clients import program

JS = str(PACKAGES / "mqtt" / "build" / "bin" / "mqtt.js")


def command(who: str) -> list[str]:
    """How each publishes."""
    if who == "mqtt.js":
        return [node_command("clients.mjs")[0], JS, "pub"]
    return (
        [program("mosquitto_pub")] if who == "mosquitto" else [sys.executable, "-m", "tmqtt", "pub"]
    )


@pytest.mark.parametrize("who", ["mosquitto", "mqtt.js", "ours"])
def test_each_goes_through_it(
    who: str, our_broker: Server, topic: str, trio_portal: BlockingPortal
) -> None:
    with (
        trio_portal.wrap_async_context_manager(proxied()) as (proxy, place),
        sync.open_client(our_broker.url) as client,
        client.subscribe(topic) as messages,
    ):
        through = f"socks5h://{place.replace('localhost', '127.0.0.1')}"
        option = "--socksProxy" if who == "mqtt.js" else "--proxy"
        where = ["-h", our_broker.host, "-p", str(our_broker.port), option, through]
        subprocess.run(
            [*command(who), *where, "-t", topic, "-m", who, "-q", "1"],
            check=True, timeout=DEADLINE, env={**os.environ, "NO_PROXY": "*"},
        )  # fmt: skip
        assert messages.get(timeout=DEADLINE).text == who
        assert proxy.asked == [(our_broker.host, our_broker.port)]
