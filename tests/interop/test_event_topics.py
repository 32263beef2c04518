"""What aedes tells below `$SYS`, and what ours tells where `event_topics` asks for it: the same."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from anyio.from_thread import BlockingPortal

import trio_mqtt
from trio_mqtt import ProtocolVersion, sync

from .brokers import run_aedes
from .peers import DEADLINE, Server

NAME = "site"


@contextmanager
def ours(portal: BlockingPortal) -> Iterator[Server]:
    """Our broker, which tells what aedes tells."""
    options = trio_mqtt.BrokerOptions(event_topics=NAME, heartbeat_interval=0.5)
    opening = trio_mqtt.open_broker("mqtt://127.0.0.1:0", options=options)
    with portal.wrap_async_context_manager(opening) as broker:
        yield Server("127.0.0.1", int(broker.url.rpartition(":")[2]))


def told(server: Server) -> list[tuple[str, object]]:
    """What is told of a client that comes, subscribes and goes; and one heartbeat."""
    version = ProtocolVersion.V311
    found: list[tuple[str, object]] = []
    beats: list[tuple[str, object]] = []
    with (
        sync.open_client(server.url, client_id="watcher", protocol_version=version) as watcher,
        watcher.subscribe(f"$SYS/{NAME}/#", qos=1) as messages,
    ):

        def until(topic: str) -> None:
            give_up = time.monotonic() + DEADLINE
            while topic not in {name for name, _ in (*found, *beats)}:
                assert time.monotonic() < give_up, f"{topic} is not told: {found}"
                message = messages.get(timeout=DEADLINE)
                name, text = message.topic.removeprefix(f"$SYS/{NAME}/"), message.text
                if name == "heartbeat":
                    beats.append((name, text))
                elif "watcher" not in text:
                    found.append((name, json.loads(text) if text.startswith("{") else text))

        with sync.open_client(server.url, client_id="guest", protocol_version=version) as guest:
            until("new/clients")
            with guest.subscribe("a/+", "b", qos=1):
                until("new/subscribes")
            until("new/unsubscribes")
        until("disconnect/clients")
        until("heartbeat")
    return [*found, beats[0]]


@pytest.mark.interop
def test_both_tell_the_same_of_clients_and_subscriptions(trio_portal: BlockingPortal) -> None:
    with run_aedes(id=NAME, heartbeatInterval=500) as server:
        theirs = told(server)
    with ours(trio_portal) as server:
        assert told(server) == theirs
    assert [name for name, _ in theirs] == [
        "new/clients", "new/subscribes", "new/unsubscribes", "disconnect/clients", "heartbeat",
    ]  # fmt: skip
