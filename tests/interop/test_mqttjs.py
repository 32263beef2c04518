"""MQTT.js and its `mqtt` command against our broker."""

from __future__ import annotations

import queue
import secrets
import subprocess
from dataclasses import dataclass

import pytest

import trio_mqtt
from trio_mqtt import sync

from .behaviours import Behaviours
from .node import PACKAGES, NodeClients, node_command
from .peers import DEADLINE, Connecting, LineProcess, Message, OpenPeer, Server, Version, get

PROTOCOL_VERSIONS = {"3.1.1": "4", "5": "5"}


@pytest.fixture
def open_peer(node_clients: NodeClients) -> OpenPeer:
    return node_clients.open_peer


class TestMqttJs(Behaviours):
    """MQTT.js, MQTT 3.1.1 and 5."""


def command(action: str, server: Server, version: Version, topic: str, *more: str) -> list[str]:
    """The command line of `mqtt pub` or `mqtt sub`."""
    node = node_command("clients.mjs")[0]
    where = ["-h", server.host, "-p", str(server.port), "-t", topic]
    protocol = f"--protocolVersion={PROTOCOL_VERSIONS[version]}"
    program = str(PACKAGES / "mqtt" / "build" / "bin" / "mqtt.js")
    return [node, program, action, *where, protocol, *more]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_pub_publishes(
    node_clients: NodeClients, our_broker: Server, version: Version, topic: str, qos: int
) -> None:
    with node_clients.open(Connecting(our_broker, version, f"sub-{topic}")) as subscriber:
        subscriber.subscribe(topic, 2)
        pub = command("pub", our_broker, version, topic, "-q", str(qos), "-m", "größer als 20 °C")
        subprocess.run(pub, check=True, timeout=DEADLINE)

        assert subscriber.receive() == Message(topic, "größer als 20 °C".encode(), qos)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_sub_prints_what_comes(
    node_clients: NodeClients, our_broker: Server, version: Version, topic: str, qos: int
) -> None:
    lines: queue.Queue[str] = queue.Queue()
    with node_clients.open(Connecting(our_broker, version, f"pub-{topic}")) as publisher:
        publisher.publish(f"{topic}/kept", b"retained", qos=1, retain=True)
        sub = command("sub", our_broker, version, f"{topic}/#", "-q", str(qos), "-v")
        process = LineProcess(sub, lines.put)
        try:
            # It says nothing when it has subscribed; the retained message does.
            assert get(lines, "the retained message") == f"{topic}/kept retained"
            publisher.publish(f"{topic}/räume", "20 °C".encode(), qos=qos)

            assert get(lines, "the message") == f"{topic}/räume 20 °C"
        finally:
            process.end()


def test_properties_arrive_as_they_were_sent(
    node_clients: NodeClients, our_broker: Server, topic: str
) -> None:
    sent = {
        "contentType": "text/plain",
        "responseTopic": "answers/räume",
        "messageExpiryInterval": 60,
        "payloadFormatIndicator": True,
        "userProperties": {"key": ["first", "second"]},
    }
    with node_clients.open(Connecting(our_broker, "5", f"properties-{topic}")) as client:
        client.subscribe(topic, 1, properties={"subscriptionIdentifier": 300})
        client.publish_with({"qos": 1, "properties": sent}, topic, b"payload")

        message, properties = client.receive_with_properties()
        assert message == Message(topic, b"payload", 1)
        assert properties == {**sent, "subscriptionIdentifier": 300}


def test_topic_aliases_stand_for_topics(
    node_clients: NodeClients, our_broker: Server, topic: str
) -> None:
    with node_clients.open(Connecting(our_broker, "5", f"aliases-{topic}")) as client:
        client.subscribe(f"{topic}/#", 1)
        options: dict[str, object] = {"qos": 1, "properties": {"topicAlias": 7}}
        client.publish_with(options, f"{topic}/räume", b"first")
        client.publish_with(options, "", b"second")

        assert client.receive() == Message(f"{topic}/räume", b"first", 1)
        assert client.receive() == Message(f"{topic}/räume", b"second", 1)


@pytest.mark.parametrize("form", ["tcp://{}?clientId={}", "mqtt://{}/?clientId={}"])
def test_a_url_means_to_us_what_it_means_to_mqttjs(
    node_clients: NodeClients, our_broker: Server, topic: str, form: str
) -> None:
    """The session that it leaves is ours, by the identifier that the URL names."""
    name = secrets.token_hex(8)
    url = form.format(f"{our_broker.host}:{our_broker.port}", name)
    there = Connecting(_Anywhere(our_broker.host, our_broker.port, url), "5", "", clean=False)
    with node_clients.open(there) as client:
        client.subscribe(topic, 1)
    with sync.open_client(url, clean_start=False, session_expiry_interval=0) as ours:
        with ours.events() as events:
            event = events.get(DEADLINE)
        assert isinstance(event, trio_mqtt.events.Connected)
        assert (event.client_id, event.session_present) == (name, True)


@dataclass(frozen=True, slots=True)
class _Anywhere(Server):
    """A broker by a URL that is written in another way."""

    written: str

    @property
    def url(self) -> str:
        return self.written
