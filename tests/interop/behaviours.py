"""What must hold between any client and any broker: the table that every pairing goes through."""

from __future__ import annotations

import secrets

import pytest

from .cable import Cable
from .peers import Connect, Message

MEBIBYTE = bytes(range(256)) * 4096


class Behaviours:
    """Test classes inherit these; a client's own file says what `connect` connects."""

    @pytest.mark.parametrize("published", [0, 1, 2])
    @pytest.mark.parametrize("granted", [0, 1, 2])
    def test_messages_arrive_once_in_order_at_the_lower_qos(
        self, connect: Connect, topic: str, published: int, granted: int
    ) -> None:
        payloads = [f"message {number}".encode() for number in range(10)]
        with connect() as subscriber, connect() as publisher:
            subscriber.subscribe(topic, granted)
            publisher.publish(topic, *payloads, qos=published)

            qos = min(published, granted)
            assert [subscriber.receive() for _ in payloads] == [
                Message(topic, payload, qos) for payload in payloads
            ]

    @pytest.mark.parametrize("qos", [0, 1, 2])
    def test_a_mebibyte_arrives_unharmed(self, connect: Connect, topic: str, qos: int) -> None:
        with connect() as subscriber, connect() as publisher:
            subscriber.subscribe(topic, qos)
            publisher.publish(topic, MEBIBYTE, qos=qos)

            received = subscriber.receive()
            assert (received.topic, received.qos) == (topic, qos)
            assert received.payload == MEBIBYTE

    def test_topics_of_all_scripts_match(self, connect: Connect, topic: str) -> None:
        unicode_topic = f"{topic}/räume/温度/🌡️/शहर"
        with connect() as subscriber, connect() as publisher:
            subscriber.subscribe(f"{topic}/räume/+/🌡️/#", 1)
            publisher.publish(f"{topic}/räume/温度/☃/शहर", b"no match", qos=1)
            publisher.publish(unicode_topic, "größer als 20 °C".encode(), qos=1)

            assert subscriber.receive() == Message(unicode_topic, "größer als 20 °C".encode(), 1)

    @pytest.mark.parametrize("qos", [1, 2])
    def test_a_retained_message_waits_for_subscribers(
        self, connect: Connect, topic: str, qos: int
    ) -> None:
        with connect() as publisher:
            publisher.publish(topic, b"older", b"kept", qos=qos, retain=True)
            with connect() as subscriber:
                subscriber.subscribe(topic, qos)

                assert subscriber.receive() == Message(topic, b"kept", qos, retain=True)

                publisher.publish(topic, b"live", qos=qos, retain=True)
                assert subscriber.receive() == Message(topic, b"live", qos, retain=False)

    def test_an_empty_retained_message_removes_what_was_kept(
        self, connect: Connect, topic: str
    ) -> None:
        with connect() as publisher, connect() as subscriber:
            publisher.publish(topic, b"kept", qos=1, retain=True)
            publisher.publish(topic, b"", qos=1, retain=True)
            subscriber.subscribe(topic, 1)
            publisher.publish(topic, b"live", qos=1)

            assert subscriber.receive() == Message(topic, b"live", 1)

    @pytest.mark.parametrize("qos", [0, 1, 2])
    def test_the_will_is_published_when_the_connection_breaks(
        self, connect: Connect, cable: Cable, topic: str, qos: int
    ) -> None:
        with connect() as heir:
            heir.subscribe(topic, qos)
            with connect(at=cable.server, will=Message(topic, b"gone", qos)) as doomed:
                doomed.subscribe(f"{topic}/own", 0)
                cable.cut()

                assert heir.receive() == Message(topic, b"gone", qos)

    def test_a_will_can_be_retained(self, connect: Connect, cable: Cable, topic: str) -> None:
        with connect() as heir:
            heir.subscribe(topic, 1)
            with connect(at=cable.server, will=Message(topic, b"gone", 1, retain=True)) as doomed:
                doomed.subscribe(f"{topic}/own", 0)
                cable.cut()
                heir.receive()

            with connect() as late:
                late.subscribe(topic, 1)
                assert late.receive() == Message(topic, b"gone", 1, retain=True)

    def test_a_goodbye_cancels_the_will(self, connect: Connect, topic: str) -> None:
        with connect() as heir, connect() as publisher:
            heir.subscribe(topic, 1)
            with connect(will=Message(topic, b"gone", 1)) as polite:
                polite.subscribe(f"{topic}/own", 0)
            publisher.publish(topic, b"live", qos=1)

            assert heir.receive() == Message(topic, b"live", 1)

    @pytest.mark.parametrize("qos", [1, 2])
    def test_a_session_keeps_messages_while_its_client_is_away(
        self, connect: Connect, topic: str, qos: int
    ) -> None:
        client_id = f"away-{secrets.token_hex(4)}"
        payloads = [f"message {number}".encode() for number in range(10)]
        with connect(client_id, clean=False) as client:
            assert not client.session_present
            client.subscribe(topic, 2)
        with connect() as publisher:
            publisher.publish(topic, *payloads, qos=qos)

        with connect(client_id, clean=False) as client:
            assert client.session_present is not False
            client.subscribe(topic, 2)
            assert [client.receive() for _ in payloads] == [
                Message(topic, payload, qos) for payload in payloads
            ]

    @pytest.mark.parametrize("qos", [1, 2])
    def test_a_session_outlives_a_broken_connection(
        self,
        connect: Connect,
        cable: Cable,
        topic: str,
        qos: int,
    ) -> None:
        client_id = f"broken-{secrets.token_hex(4)}"
        with connect(client_id, at=cable.server, clean=False) as client:
            client.subscribe(topic, 2)
            cable.cut()
        with connect() as publisher:
            publisher.publish(topic, b"first", b"second", qos=qos)

            with connect(client_id, clean=False) as client:
                client.subscribe(topic, 2)
                assert client.receive() == Message(topic, b"first", qos)
                assert client.receive() == Message(topic, b"second", qos)
                publisher.publish(topic, b"third", qos=qos)
                assert client.receive() == Message(topic, b"third", qos)

    def test_a_clean_start_forgets_the_session(self, connect: Connect, topic: str) -> None:
        client_id = f"clean-{secrets.token_hex(4)}"
        with connect(client_id, clean=False) as client:
            client.subscribe(topic, 1)
        with connect() as publisher:
            publisher.publish(topic, b"forgotten", qos=1)

            with connect(client_id, clean=True) as client:
                assert not client.session_present
                client.subscribe(topic, 1)
                publisher.publish(topic, b"live", qos=1)

                assert client.receive() == Message(topic, b"live", 1)
