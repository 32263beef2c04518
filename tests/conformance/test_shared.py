"""Shared subscriptions: what was given to one member stays with it."""

from __future__ import annotations

import pytest

from tests.conformance.conftest import Join
from trio_mqtt.protocol.packets import PubAck, PubComp, Publish, PubRec, PubRel
from trio_mqtt.protocol.reason_codes import ReasonCode


@pytest.mark.normative("MQTT-4.8.2-4", "MQTT-4.8.2-3")
@pytest.mark.parametrize("released", [False, True])
async def test_a_handshake_of_qos_2_is_completed_with_the_member_that_it_began_with(
    join: Join, name: str, released: bool
) -> None:
    shared = f"$share/group/{name}"
    member = await join(name + "a", expiry=60)
    await member.subscribe(shared, qos=2)
    await (await join(name + "s")).publish(name, b"x", 2)
    message = await member.expect_message(name, b"x", 2)
    other = await join(name + "b", expiry=60)
    await other.subscribe(shared, qos=2)
    if released:
        await member.send(PubRec(message.packet_id))
        await member.expect(PubRel)
    await member.drop()
    await other.expect_nothing()
    member = await join(name + "a", clean_start=False, expiry=0)
    if not released:
        again = await member.expect_message(name, b"x", 2)
        assert (again.packet_id, again.dup) == (message.packet_id, True)
        await member.send(PubRec(message.packet_id))
    assert await member.expect(PubRel) == PubRel(message.packet_id)
    await member.send(PubComp(message.packet_id))
    await member.ping()
    await other.expect_nothing()


@pytest.mark.normative("MQTT-4.8.2-5")
async def test_a_qos_2_message_in_flight_ends_with_the_session_of_its_member(
    join: Join, name: str
) -> None:
    qos = 2  # a server may give a message of QoS 1 to another member
    shared = f"$share/group/{name}"
    member = await join(name + "a")  # its session ends with its connection
    await member.subscribe(shared, qos=qos)
    await (await join(name + "s")).publish(name, b"x", qos)
    await member.expect_message(name, b"x", qos)
    other = await join(name + "b")
    await other.subscribe(shared, qos=qos)
    await member.drop()
    await other.expect_nothing()


@pytest.mark.normative("MQTT-4.8.2-6", "MQTT-4.4.0-2")
@pytest.mark.parametrize("qos", [1, 2])
async def test_a_message_that_a_member_refuses_goes_to_no_other(
    join: Join, name: str, qos: int
) -> None:
    shared = f"$share/group/{name}"
    members = [await join(name + letter) for letter in "ab"]
    for member in members:
        await member.subscribe(shared, qos=qos)
    await (await join(name + "s")).publish(name, b"x", qos)
    found = [(member, packet) for member in members for packet in await member.drain()]
    [(chosen, message)] = found
    assert isinstance(message, Publish)
    answer = PubAck if qos == 1 else PubRec
    await chosen.send(answer(message.packet_id, ReasonCode.QUOTA_EXCEEDED))
    for member in members:
        await member.expect_nothing()
        await member.ping()
