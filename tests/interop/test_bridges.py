"""Bridges of MQTT 3: Mosquitto as one to our broker, and what other brokers make of their level."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal

import trio_mqtt
from trio_mqtt import ProtocolVersion, sync
from trio_mqtt.protocol.packets import Publish

from .brokers import run_mosquitto_as
from .peers import DEADLINE, Server
from .plain_client import connect_plainly

BRIDGE = """\
user root
listener {port} 127.0.0.1
allow_anonymous true
persistence false
log_type error
connection ours
address 127.0.0.1:OURS
topic # both 1
try_private true
bridge_protocol_version VERSION
restart_timeout 1
"""


@contextmanager
def bridged(folder: Path, ours: Server, version: str) -> Iterator[str]:
    """A Mosquitto that is a bridge to our broker; where clients connect to it."""
    text = BRIDGE.replace("OURS", str(ours.port)).replace("VERSION", version)
    with run_mosquitto_as(folder, text) as ports:
        yield f"mqtt://127.0.0.1:{ports[0]}"


@pytest.fixture
def fresh(trio_portal: BlockingPortal) -> Iterator[Server]:
    """A broker of ours that nobody else uses."""
    opening = trio_mqtt.open_broker("mqtt://127.0.0.1:0")
    with trio_portal.wrap_async_context_manager(opening) as broker:
        yield Server("127.0.0.1", int(broker.url.rpartition(":")[2]))


@pytest.mark.parametrize("version", ["mqttv31", "mqttv311"])
def test_mosquitto_bridges_all_topics_both_ways_and_nothing_comes_back(
    tmp_path: Path, fresh: Server, version: str
) -> None:
    with ExitStack() as stack:
        here = stack.enter_context(sync.open_client(fresh.url))
        here.publish("t/first", "0", qos=1, retain=True)
        theirs = stack.enter_context(bridged(tmp_path, fresh, version))
        there = stack.enter_context(sync.open_client(theirs))
        seen_here = stack.enter_context(here.subscribe("t/#", qos=1))
        seen_there = stack.enter_context(there.subscribe("t/#", qos=1))
        for messages in (seen_here, seen_there):  # there, it comes by the bridge
            assert messages.get(timeout=DEADLINE).text == "0"
        for texts in ("12", "34"):
            # What comes round of "1" and "2" would come before "3" and "4".
            here.publish(f"t/{texts[0]}", texts[0], qos=1, retain=True)
            there.publish(f"t/{texts[1]}", texts[1], qos=1, retain=True)
            for messages in (seen_here, seen_there):
                found = [messages.get(timeout=DEADLINE).text for _ in texts]
                assert sorted(found) == list(texts)
        # What is kept at one end is kept at the other.
        for url in (fresh.url, theirs):
            with sync.open_client(url) as late, late.subscribe("t/#") as kept:
                assert {kept.get(timeout=DEADLINE).text for _ in range(5)} == set("01234")


@pytest.mark.parametrize("version", [ProtocolVersion.V31, ProtocolVersion.V311])
@pytest.mark.parametrize("name", ["our_broker", "mosquitto", "aedes"])
def test_a_bridge_is_the_same_to_each_broker(
    request: pytest.FixtureRequest, topic: str, name: str, version: ProtocolVersion
) -> None:
    server: Server = request.getfixturevalue(name)
    own, others = f"{topic}/own", f"{topic}/others"
    with (
        connect_plainly(server, f"bridge-{topic[-6:]}", version=version, is_bridge=True) as bridge,
        connect_plainly(server, f"other-{topic[-6:]}", version=version) as other,
    ):
        assert bridge.subscribe(f"{topic}/#") == [True]
        bridge.send(Publish(own, b"x", retain=True))
        other.send(Publish(others, b"x", retain=True))
        assert other.messages() == []  # it has been read
        assert [(m.topic, m.retain) for m in bridge.messages()] == [(others, True)]
