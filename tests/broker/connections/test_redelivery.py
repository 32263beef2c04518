"""What was not acknowledged is sent again when the client comes back, and only then (§4.4)."""

from __future__ import annotations

import pytest
import trio

from tests.broker.conftest import Join
from tests.broker.raw import V5, V311
from tests.inside import core_of, sessions_of
from trio_mqtt import Broker
from trio_mqtt.broker.sessions.delivery_state import RunInFlight
from trio_mqtt.protocol.ack_runs import encode_ack_run
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import PubAck, PubComp, Publish, PubRec, PubRel
from trio_mqtt.protocol.properties import Properties


@pytest.mark.normative("MQTT-3.3.1-1", "MQTT-4.4.0-1", "MQTT-4.3.2-3", "MQTT-3.1.2-5")
@pytest.mark.normative_v311("MQTT-3.3.1-1", "MQTT-4.4.0-1", "MQTT-3.1.2-4")
@pytest.mark.parametrize("qos", [1, 2])
async def test_what_was_not_acknowledged_is_sent_again_with_dup_and_its_identifier(
    join: Join, broker: Broker, version: ProtocolVersion, qos: int
) -> None:
    client = await join("c", version, clean_start=False, expiry=100)
    await client.subscribe("t", qos=qos)
    for number in range(3):
        await broker.publish("t", str(number), qos=qos)
    first = await client.messages(seconds=40)
    assert [m.payload for m in first] == [b"0", b"1", b"2"]
    assert not any(m.dup for m in first)
    await client.drop()
    client = await join("c", version, clean_start=False, expiry=100)
    again = await client.messages(seconds=40)
    assert [(m.payload, m.packet_id) for m in again] == [(m.payload, m.packet_id) for m in first]
    assert all(m.dup and m.qos == qos for m in again)


@pytest.mark.normative("MQTT-4.3.3-6", "MQTT-4.3.3-5")
@pytest.mark.normative_v311("MQTT-4.4.0-1")
async def test_after_pubrec_only_pubrel_is_sent_again(
    join: Join, broker: Broker, version: ProtocolVersion
) -> None:
    client = await join("c", version, clean_start=False, expiry=100)
    await client.subscribe("t", qos=2)
    await broker.publish("t", "x", qos=2)
    message = await client.expect_message("t", b"x", 2)
    await client.send(PubRec(message.packet_id))
    assert (await client.expect(PubRel)).packet_id == message.packet_id
    await client.drop()
    client = await join("c", version, clean_start=False, expiry=100)
    assert await client.drain() == [PubRel(message.packet_id)]
    await client.send(PubComp(message.packet_id))
    await client.drop()
    client = await join("c", version, clean_start=False, expiry=100)
    await client.expect_nothing()


@pytest.mark.normative("MQTT-4.9.0-2", "MQTT-3.3.4-7")
async def test_a_smaller_receive_maximum_holds_for_what_is_sent_again(
    join: Join, broker: Broker
) -> None:
    client = await join("c", expiry=100)
    await client.subscribe("t", qos=2)
    for number in range(10):
        await broker.publish("t", str(number), qos=1 + number % 2)
    assert len(await client.messages()) == 10
    await client.drop()
    client = await join("c", clean_start=False, expiry=100, properties={"receive_maximum": 3})
    await broker.publish("t", "new", qos=1)
    waiting = await client.messages()
    seen = list(waiting)
    while waiting:
        assert len(waiting) <= 3
        message = waiting.pop(0)
        if message.qos == 1:
            await client.send(PubAck(message.packet_id))
        else:
            await client.send(PubRec(message.packet_id))
            assert await client.drain() == [PubRel(message.packet_id)]
            await client.send(PubComp(message.packet_id))
        more = await client.messages()
        waiting += more
        seen += more
    assert [m.payload for m in seen] == [str(n).encode() for n in range(10)] + [b"new"]
    assert [m.dup for m in seen] == [True] * 10 + [False]


@pytest.mark.normative("MQTT-4.3.3-6")
async def test_an_answer_that_overtakes_sending_again_makes_it_needless(
    join: Join, broker: Broker
) -> None:
    client = await join("c", expiry=100)
    await client.subscribe("t", qos=2)
    for number in range(4):
        await broker.publish("t", str(number), qos=2)
    first = await client.messages()
    await client.drop()
    client = await join("c", clean_start=False, expiry=100, properties={"receive_maximum": 1})
    assert [m.payload for m in await client.messages()] == [b"0"]
    last = first[-1].packet_id
    await client.send(PubRec(last))
    assert await client.drain() == [PubRel(last)]
    await client.send(PubComp(last))
    assert await client.drain() == []  # one is in flight, and one is the limit
    await client.send(PubRec(first[0].packet_id))
    assert await client.drain() == [PubRel(first[0].packet_id)]
    await client.send(PubComp(first[0].packet_id))
    rest = await client.take()
    assert [m.payload for m in rest] == [b"1", b"2"]
    session = core_of(broker).sessions.all()[0]
    assert len(session.sender) == 0
    assert session.sender.quota == 1


@pytest.mark.normative("MQTT-3.1.2-24", "MQTT-3.1.2-25")
async def test_what_the_new_connection_cannot_take_is_not_sent_again(
    join: Join, broker: Broker
) -> None:
    client = await join("c", expiry=100)
    await client.subscribe("t", qos=1)
    await broker.publish("t", b"x" * 500, qos=1)
    await broker.publish("t", b"small", qos=1)
    assert len(await client.messages()) == 2
    await client.drop()
    client = await join("c", clean_start=False, expiry=100, properties={"maximum_packet_size": 400})
    assert [m.payload for m in await client.take()] == [b"small"]
    assert len(core_of(broker).sessions.all()[0].sender) == 0
    assert broker.statistics.messages_dropped == 1


@pytest.mark.normative("MQTT-4.3.3-7", "MQTT-3.3.2-6")
@pytest.mark.parametrize(("away", "left"), [(4, 6), (30, 0)])
async def test_a_message_that_was_sent_does_not_expire_but_its_time_goes_on(
    join: Join, broker: Broker, away: int, left: int
) -> None:
    client = await join("c", expiry=100)
    await client.subscribe("t", qos=1)
    await broker.publish("t", b"x", qos=1, properties={"message_expiry_interval": 10})
    await client.expect_message("t", b"x", 1)
    await client.drop()
    await trio.sleep(away + 0.1)
    client = await join("c", clean_start=False, expiry=100)
    again = await client.expect_message("t", b"x", 1)
    assert again.properties == {"message_expiry_interval": left}


async def test_what_version_3_received_is_sent_again_in_the_words_of_version_5(
    join: Join, broker: Broker
) -> None:
    client = await join("c", V311, clean_start=False)
    await client.subscribe("t", qos=1)
    await broker.publish("t", b"x", qos=1, properties={"content_type": "text"})
    await client.expect_message("t", b"x", 1)
    await client.drop()
    client = await join("c", V5, clean_start=False, expiry=100)
    again = await client.expect(Publish)
    assert (again.dup, again.properties) == (True, {"content_type": "text"})


@pytest.mark.parametrize("published", [V311, V5])
@pytest.mark.parametrize("identifier", [None, 7])
async def test_what_was_sent_as_a_run_is_sent_again_one_by_one(
    join: Join,
    broker: Broker,
    version: ProtocolVersion,
    published: ProtocolVersion,
    identifier: int | None,
) -> None:
    properties: Properties = {}
    if version == V5 and identifier:
        properties = {"subscription_identifier": [identifier]}
    client = await join("c", version, clean_start=False, expiry=100)
    await client.subscribe("#", qos=1, identifier=identifier if properties else None)
    publisher = await join("p", published)
    topics = ["a", "a", "b", "a/b"]
    await publisher.send(
        *[Publish(topic, b"x" * at, 1, packet_id=at + 1) for at, topic in enumerate(topics)]
    )
    sent = await client.messages()
    assert [(one.topic, one.payload, one.properties) for one in sent] == [
        (topic, b"x" * at, properties) for at, topic in enumerate(topics)
    ]
    session = sessions_of(broker)["c"]
    if session.journal is None:  # which knows of each message
        assert {type(item) for _, item in session.sender.in_flight.values()} == {RunInFlight}
    assert session.bytes_in_flight() >= sum(one.payload_size for one in sent)
    await client.send(PubAck(sent[1].packet_id))
    await client.ping()
    await client.drop()
    again = await join("c", version, clean_start=False, expiry=100)
    assert await again.messages() == [
        Publish(one.topic, one.payload, 1, dup=True, packet_id=one.packet_id, properties=properties)
        for one in (sent[0], sent[2], sent[3])
    ]
    await again.send(*[PubAck(one.packet_id) for one in sent])
    await again.ping()
    assert not session.sender


async def test_a_run_goes_on_where_the_receive_maximum_stopped_it(join: Join) -> None:
    client = await join("c", properties={"receive_maximum": 3})
    await client.subscribe("#", qos=1)
    publisher = await join("p")
    payloads = [b"%d" % number for number in range(8)]
    await publisher.send(
        *[Publish("t", one, 1, packet_id=at + 1) for at, one in enumerate(payloads)]
    )
    received: list[bytes] = []
    for expected in (3, 3, 2):
        sent = await client.messages()
        assert len(sent) == expected
        received += [one.payload for one in sent]
        await client.send(*[PubAck(one.packet_id) for one in sent])
    assert received == payloads


async def test_identifiers_of_runs_begin_anew_and_leave_out_those_in_use(
    join: Join, broker: Broker
) -> None:
    client = await join("c")
    await client.subscribe("#", qos=1)
    publisher = await join("p")
    sender = sessions_of(broker)["c"].sender
    taken: list[list[int]] = []
    for _ in range(4):
        await publisher.send(*[Publish("t", b"x", 1, packet_id=at + 1) for at in range(100)])
        taken.append([one.packet_id for one in await client.messages()])
        await client.send(*[PubAck(one) for one in taken[-1] if one != 2])
        await client.ping()
        if len(taken) == 1:
            sender._last = 65_400  # as after so many
    assert taken[:2] == [[*range(1, 101)], [*range(65_401, 65_501)]]
    # From 65,501 on there is no room for a whole run, and from 1 on one is in use.
    assert len(set(taken[2])) == 100
    assert 2 not in taken[2] + taken[3]
    assert list(sender.in_flight) == [2]


async def test_of_a_run_of_qos_2_each_message_goes_on_where_its_handshake_was(
    join: Join, broker: Broker, version: ProtocolVersion
) -> None:
    client = await join("c", version, clean_start=False, expiry=100)
    await client.subscribe("#", qos=2)
    publisher = await join("p")
    payloads = [b"%d" % number for number in range(20)]
    await publisher.send(*[Publish("t", one, 2, packet_id=int(one) + 1) for one in payloads])
    await publisher.send(encode_ack_run(PacketType.PUBREL, range(1, 21)))
    packet_ids = [one.packet_id for one in await client.messages()]
    await client.send(encode_ack_run(PacketType.PUBREC, packet_ids[:12]))
    await client.send(encode_ack_run(PacketType.PUBCOMP, packet_ids[:5]))
    assert await client.drain() == [PubRel(one) for one in packet_ids[:12]]
    await client.drop()
    client = await join("c", version, clean_start=False, expiry=100)
    again = await client.drain()
    released = [one.packet_id for one in again if isinstance(one, PubRel)]
    messages = [one for one in again if isinstance(one, Publish)]
    assert released == packet_ids[5:12]
    assert [one.payload for one in messages] == payloads[12:]
    assert all((one.qos, one.dup) == (2, True) for one in messages)
    assert [one.packet_id for one in messages] == packet_ids[12:]
    await client.send(encode_ack_run(PacketType.PUBCOMP, released))
    await client.send(encode_ack_run(PacketType.PUBREC, packet_ids[12:]))
    await client.send(encode_ack_run(PacketType.PUBCOMP, packet_ids[12:]))
    assert await client.drain() == [PubRel(one) for one in packet_ids[12:]]
    assert len(sessions_of(broker)["c"].sender) == 0


async def test_more_that_is_released_than_the_client_takes_now_keeps_a_run_waiting(
    join: Join, broker: Broker
) -> None:
    client = await join("c", expiry=100)
    await client.subscribe("#", qos=2)
    for number in range(4):
        await broker.publish("t", str(number), qos=2)
    await client.send(*[PubRec(one.packet_id) for one in await client.messages()])
    await client.drop()
    client = await join("c", clean_start=False, expiry=100, properties={"receive_maximum": 2})
    publisher = await join("p")
    await publisher.send(*[Publish("t", b"x", 1, packet_id=at) for at in (1, 2, 3)])
    released = await client.drain()
    assert [type(one) for one in released] == [PubRel] * 4
    await client.send(*[PubComp(one.packet_id) for one in released if isinstance(one, PubRel)])
    assert await client.payloads() == [b"x", b"x"]


async def test_what_comes_alone_waits_until_all_was_sent_again(join: Join, broker: Broker) -> None:
    client = await join("c", expiry=100)
    await client.subscribe("t", qos=1)
    for number in range(3):
        await trio.sleep(1)  # each comes alone: no task has ever begun for the subscription
        await broker.publish("t", str(number), qos=1)
    assert await client.payloads() == [b"0", b"1", b"2"]
    await client.drop()
    client = await join("c", clean_start=False, expiry=100, properties={"receive_maximum": 2})
    await trio.sleep(1)
    first, second = await client.messages()
    assert (first.payload, second.payload) == (b"0", b"1")
    # What an answer gives back is for what is to be sent again.
    await client.send(PubAck(first.packet_id), PubAck(second.packet_id), Publish("t", b"new"))
    assert await client.payloads() == [b"2", b"new"]
