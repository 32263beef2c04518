"""paho-mqtt against our broker."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from .behaviours import Behaviours
from .paho_properties import connect_properties, publish_properties
from .peers import DEADLINE, Connecting, Message, OpenPeer, Peer, Server, get


class PahoPeer:
    """A paho client with its own network thread."""

    def __init__(self, connecting: Connecting) -> None:
        self.session_present: bool | None = None
        self.messages: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
        self._connected: queue.Queue[tuple[bool, ReasonCode]] = queue.Queue()
        self._granted: queue.Queue[list[int]] = queue.Queue()
        self._unsubscribed: queue.Queue[bool] = queue.Queue()
        v5 = connecting.version == "5"
        self.client = client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            connecting.client_id,
            clean_session=None if v5 else connecting.clean,
            protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.on_connect = lambda _client, _data, flags, code, _properties: self._connected.put(
            (flags.session_present, code)
        )
        client.on_subscribe = lambda _client, _data, _mid, codes, _properties: self._granted.put(
            [code.value for code in codes]
        )
        client.on_unsubscribe = lambda *_arguments: self._unsubscribed.put(True)
        client.on_message = lambda _client, _data, message: self.messages.put(message)
        will = connecting.will
        if will is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        server = connecting.server
        if v5:
            properties = connect_properties(connecting.clean)
            client.connect(
                server.host, server.port, clean_start=connecting.clean, properties=properties
            )
        else:
            client.connect(server.host, server.port)

    def __enter__(self) -> PahoPeer:
        self.client.loop_start()
        self.session_present, code = get(self._connected, "CONNACK")
        assert not code.is_failure
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def subscribe(
        self, topic_filter: str, qos: int, *, options: SubscribeOptions | None = None
    ) -> None:
        self.client.subscribe(topic_filter, 0 if options else qos, options)
        assert get(self._granted, "SUBACK") == [qos]

    def unsubscribe(self, topic_filter: str) -> None:
        self.client.unsubscribe(topic_filter)
        get(self._unsubscribed, "UNSUBACK")

    def publish(
        self,
        topic: str,
        *payloads: bytes,
        qos: int,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> None:
        sent = [self.client.publish(topic, data, qos, retain, properties) for data in payloads]
        for info in sent:
            info.wait_for_publish(DEADLINE)
            assert info.is_published()

    def receive(self) -> Message:
        message = get(self.messages, "a message for paho")
        return Message(message.topic, bytes(message.payload), message.qos, message.retain)


@contextmanager
def open_paho(connecting: Connecting) -> Iterator[Peer]:
    with PahoPeer(connecting) as peer:
        yield peer


@pytest.fixture
def open_peer() -> OpenPeer:
    return open_paho


class TestPaho(Behaviours):
    """paho-mqtt, MQTT 3.1.1 and 5."""


@pytest.fixture
def peers(our_broker: Server) -> Iterator[tuple[PahoPeer, PahoPeer]]:
    """Two connected clients of MQTT 5."""
    with (
        PahoPeer(Connecting(our_broker, "5", "")) as one,
        PahoPeer(Connecting(our_broker, "5", "")) as other,
    ):
        yield one, other


def test_unsubscribing_ends_the_messages(peers: tuple[PahoPeer, PahoPeer], topic: str) -> None:
    subscriber, publisher = peers
    subscriber.subscribe(f"{topic}/+", 1)
    subscriber.subscribe(f"{topic}/last", 1)
    subscriber.unsubscribe(f"{topic}/+")
    publisher.publish(f"{topic}/first", b"", qos=1)
    publisher.publish(f"{topic}/last", b"", qos=1)

    assert subscriber.receive() == Message(f"{topic}/last", b"", 1)


def test_properties_arrive_as_they_were_sent(peers: tuple[PahoPeer, PahoPeer], topic: str) -> None:
    subscriber, publisher = peers
    subscriber.subscribe(topic, 1)
    sent = {
        "ContentType": "text/plain",
        "PayloadFormatIndicator": 1,
        "ResponseTopic": "answers/räume",
        "CorrelationData": b"\x00\xff",
        "MessageExpiryInterval": 60,
        "UserProperty": [("key", "first"), ("key", "second")],
    }
    publisher.publish(topic, b"payload", qos=1, properties=publish_properties(**sent))

    properties = get(subscriber.messages, "the message").properties
    assert {name: getattr(properties, name) for name in sent} == sent


def test_no_local_keeps_own_messages_away(peers: tuple[PahoPeer, PahoPeer], topic: str) -> None:
    client, other = peers
    client.subscribe(topic, 1, options=SubscribeOptions(qos=1, noLocal=True))
    client.publish(topic, b"own", qos=1)
    other.publish(topic, b"other's", qos=1)

    assert client.receive() == Message(topic, b"other's", 1)


def test_a_shared_subscription_gives_each_message_to_one(
    peers: tuple[PahoPeer, PahoPeer], topic: str
) -> None:
    for peer in peers:
        peer.subscribe(f"$share/workers/{topic}", 1)
        peer.subscribe(f"{topic}/last", 1)
    payloads = [str(number).encode() for number in range(10)]
    peers[0].publish(topic, *payloads, qos=1)
    peers[0].publish(f"{topic}/last", b"last", qos=1)

    shares = []
    for peer in peers:
        received = []
        while (message := peer.receive()).payload != b"last":
            received.append(message.payload)
        assert received
        shares += received
    assert sorted(shares) == payloads
