"""Foreign clients at the nodes of a cluster: each kind at a node of its own, as at one broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest
from anyio.from_thread import BlockingPortal

import trio_mqtt
from tests.cluster.redis import redis_server

from .node import NodeClients
from .peers import Connecting, Message, Peer, Server, Version
from .test_mosquitto_clients import open_mosquitto
from .test_paho import open_paho

KINDS = ("paho", "mosquitto", "MQTT.js")


@pytest.fixture(scope="module")
def nodes(trio_portal: BlockingPortal) -> Iterator[list[Server]]:
    """Three nodes of one cluster."""
    with redis_server() as redis, ExitStack() as stack:
        servers = []
        for number in range(3):
            cluster = trio_mqtt.Cluster(url=redis.url, node=f"node-{number}")
            opening = trio_mqtt.open_broker("mqtt://127.0.0.1:0", cluster=cluster)
            broker = stack.enter_context(trio_portal.wrap_async_context_manager(opening))
            host, port = broker.url.removeprefix("mqtt://").split(":")
            servers.append(Server(host, int(port)))
        yield servers


class Foreigners:
    """Opens foreign clients at nodes."""

    def __init__(self, nodes: list[Server], version: Version, topic: str, js: NodeClients) -> None:
        self.topic = topic
        self._nodes = nodes
        self._version = version
        self._openers = {"paho": open_paho, "mosquitto": open_mosquitto, "MQTT.js": js.open_peer}

    def at(self, kind: str, node: int, *, clean: bool = True) -> AbstractContextManager[Peer]:
        """A client of a kind at a node, whose identifier is the same at all nodes."""
        client_id = f"{kind}-{self.topic.rpartition('/')[2]}"
        return self._openers[kind](Connecting(self._nodes[node], self._version, client_id, clean))


@pytest.fixture
def foreigners(
    nodes: list[Server], version: Version, topic: str, node_clients: NodeClients
) -> Foreigners:
    return Foreigners(nodes, version, topic, node_clients)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_each_publishes_comes_to_all(foreigners: Foreigners, qos: int) -> None:
    topic = foreigners.topic
    with ExitStack() as stack:
        peers = [stack.enter_context(foreigners.at(kind, node)) for node, kind in enumerate(KINDS)]
        for peer in peers:
            peer.subscribe(f"{topic}/#", 2)
        for number, publisher in enumerate(peers):
            publisher.publish(f"{topic}/{number}", b"one", b"two", qos=qos)
            for peer in peers:
                for payload in (b"one", b"two"):
                    assert peer.receive() == Message(f"{topic}/{number}", payload, qos)


@pytest.mark.parametrize("kind", ["paho", "MQTT.js"])
def test_a_session_goes_on_at_another_node(foreigners: Foreigners, kind: str) -> None:
    topic = foreigners.topic
    with foreigners.at(kind, 0, clean=False) as peer:
        peer.subscribe(topic, 2)
    with foreigners.at("mosquitto", 2) as publisher:
        publisher.publish(topic, b"one", b"two", qos=1)
        publisher.publish(topic, b"three", qos=2)
    with foreigners.at(kind, 1, clean=False) as peer:
        assert peer.session_present
        payloads = [peer.receive().payload for _ in range(3)]
    assert payloads == [b"one", b"two", b"three"]


def test_what_is_retained_is_so_at_all_nodes(foreigners: Foreigners) -> None:
    topic = foreigners.topic
    with foreigners.at("paho", 0) as publisher:
        publisher.publish(topic, b"kept", qos=1, retain=True)
    for node, kind in enumerate(KINDS):
        with foreigners.at(kind, node) as peer:
            peer.subscribe(topic, 1)
            assert peer.receive() == Message(topic, b"kept", 1, retain=True)
