"""Subscribing: who gets which message, what is acknowledged when, and full queues."""

from __future__ import annotations

import anyio
import pytest

from tests.client.fake_broker import FakeBroker, Peer, mute
from tests.client.sessions import assert_nobody_waits, payloads, session_of, topic_filters
from trio_mqtt import LocalProtocolError, Messages, Properties, ReasonCode, RequestRefusedError
from trio_mqtt.protocol.packets import (
    ConnAck,
    PubAck,
    PubComp,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)

pytestmark = pytest.mark.anyio


async def test_a_message_shows_all_that_it_carries(broker: FakeBroker) -> None:
    async with broker.client() as client, client.subscribe("a/#", qos=2) as messages:
        broker.peer.publish(
            "a/b", b"gr\xc3\xbc\xc3\x9fe\xff", qos=1, retain=True, dup=True,
            properties={"content_type": "text"},
        )  # fmt: skip
        message = await anext(messages)
    assert message.topic == "a/b"
    assert message.payload == b"gr\xc3\xbc\xc3\x9fe\xff"
    assert message.text == "grüße\ufffd"
    assert (message.qos, message.retain, message.dup) == (1, True, True)
    assert message.properties == {"content_type": "text"}


async def test_subscribe_sends_its_options_and_leaving_unsubscribes(broker: FakeBroker) -> None:
    async with broker.client() as client:
        async with client.subscribe(
            "a", "b/+", qos=1, no_local=True, retain_as_published=True, retain_handling=2
        ):
            sent = [one for packet in broker.peer.all(Subscribe) for one in packet.subscriptions]
            assert [one.topic_filter for one in sent] == ["a", "b/+"]
            for one in sent:
                assert (one.qos, one.no_local, one.retain_as_published) == (1, True, True)
                assert one.retain_handling == 2
        left = [name for packet in broker.peer.all(Unsubscribe) for name in packet.topic_filters]
        assert sorted(left) == ["a", "b/+"]
        assert session_of(client).outgoing.sender.reserved == set()


async def test_a_subscription_may_be_left_in_the_session(broker: FakeBroker) -> None:
    async with (
        broker.client(client_id="me", clean_start=False) as client,
        client.subscribe("a", unsubscribe=False),
    ):
        pass
    assert broker.peer.all(Unsubscribe) == []


async def test_subscribe_waits_for_suback(broker: FakeBroker) -> None:
    entered = False
    async with broker.client() as client, anyio.create_task_group() as tasks:
        broker.peer.mute = {Subscribe}

        async def subscribe() -> None:
            nonlocal entered
            async with client.subscribe("a"):
                entered = True

        tasks.start_soon(subscribe)
        packet = await broker.peer.expect(Subscribe)
        await anyio.wait_all_tasks_blocked()
        assert not entered
        broker.peer.send(SubAck(packet.packet_id, [ReasonCode.SUCCESS]))
    assert entered


@pytest.mark.parametrize("version", [4, 5])
async def test_a_refused_filter_is_told_and_the_others_are_given_back(
    broker: FakeBroker, version: int
) -> None:
    def refuse_secret(peer: Peer, packet: Subscribe) -> None:
        peer.send(
            SubAck(
                packet.packet_id,
                [
                    ReasonCode.NOT_AUTHORIZED
                    if "secret" in one.topic_filter
                    else ReasonCode.SUCCESS
                    for one in packet.subscriptions
                ],
            )
        )

    broker.answers[Subscribe] = refuse_secret
    async with broker.client(protocol_version=version) as client:
        with pytest.raises(RequestRefusedError, match="'secret/#'") as caught:
            async with client.subscribe("open", "secret/#"):
                pytest.fail("a refused subscription was entered")
        if version == 5:
            assert caught.value.reason_code is ReasonCode.NOT_AUTHORIZED
            assert "not authorized" in str(caught.value)
        assert "'open'" not in str(caught.value)
        left = [name for packet in broker.peer.all(Unsubscribe) for name in packet.topic_filters]
        assert "open" in left
        assert topic_filters(client) == []


@pytest.mark.parametrize("filters", [(), ("",), ("a/#/b",), ("a+",), ("$share/g",), ("ok", "#x")])
async def test_what_is_not_a_filter_is_told(broker: FakeBroker, filters: tuple[str, ...]) -> None:
    async with broker.client() as client:
        with pytest.raises(LocalProtocolError):
            async with client.subscribe(*filters):
                pytest.fail("what is not a filter was subscribed to")
    assert broker.peer.all(Subscribe) == []


async def test_what_the_broker_does_not_have_is_told(broker: FakeBroker) -> None:
    broker.connack = ConnAck(
        properties={"wildcard_subscription_available": 0, "shared_subscription_available": 0}
    )
    async with broker.client() as client:
        for topic_filter, what in (("a/#", "wildcard"), ("$share/g/a", "shared")):
            with pytest.raises(LocalProtocolError, match=what):
                async with client.subscribe(topic_filter):
                    pytest.fail("the broker does not have it")
        async with client.subscribe("a"):
            pass


@pytest.mark.parametrize("number", [0, 2])
async def test_a_suback_that_does_not_fit_ends_the_connection(
    broker: FakeBroker, number: int
) -> None:
    bad = True

    def answer(peer: Peer, packet: Subscribe) -> None:
        nonlocal bad
        if bad:
            bad = False
            peer.send_raw(
                bytes((0x90, 3 + number)) + packet.packet_id.to_bytes(2, "big") + b"\0"
                + bytes(number)
            )  # fmt: skip
        else:
            peer.send(SubAck(packet.packet_id, [ReasonCode.SUCCESS]))

    broker.answers[Subscribe] = answer
    async with broker.client() as client, client.subscribe("a") as messages:
        assert len(broker.peers) == 2
        broker.peer.publish("a", b"1")
        assert await payloads(messages, 1) == [b"1"]


async def test_filters_that_do_not_overlap_need_no_identifiers(broker: FakeBroker) -> None:
    async with (
        broker.client() as client,
        client.subscribe("a/+") as first,
        client.subscribe("b/#") as second,
        client.subscribe("$share/g/c") as third,
    ):
        broker.peer.publish("a/1", b"a")
        broker.peer.publish("b", b"b")
        broker.peer.publish("c", b"c")
        for messages, payload in ((first, b"a"), (second, b"b"), (third, b"c")):
            assert await payloads(messages, 1) == [payload]
            assert len(messages) == 0
        assert all(not packet.properties for packet in broker.peer.all(Subscribe))


async def test_overlapping_subscriptions_get_each_their_copy(broker: FakeBroker) -> None:
    async with (
        broker.client() as client,
        client.subscribe("a/b") as exact,
        client.subscribe("a/#") as all_below,
    ):
        again, new = broker.peer.all(Subscribe)[1:]
        assert again.subscriptions[0].topic_filter == "a/b"
        assert again.subscriptions[0].retain_handling == 2
        one = again.properties["subscription_identifier"]
        two = new.properties["subscription_identifier"]
        # A broker may send a copy for each subscription,
        broker.peer.publish("a/b", b"1", properties={"subscription_identifier": one})
        broker.peer.publish("a/b", b"1", properties={"subscription_identifier": two})
        # or one for all that match.
        broker.peer.publish("a/b", b"2", properties={"subscription_identifier": one + two})
        broker.peer.publish("a/c", b"3", properties={"subscription_identifier": two})
        assert await payloads(exact, 2) == [b"1", b"2"]
        assert await payloads(all_below, 3) == [b"1", b"2", b"3"]
        assert len(exact) == len(all_below) == 0


async def test_overlapping_subscriptions_match_by_topic_in_mqtt_3(broker: FakeBroker) -> None:
    async with (
        broker.client(protocol_version=4) as client,
        client.subscribe("a/b") as exact,
        client.subscribe("a/#") as all_below,
    ):
        broker.peer.publish("a/b", b"1")
        broker.peer.publish("a/c", b"2")
        assert await payloads(exact, 1) == [b"1"]
        assert await payloads(all_below, 2) == [b"1", b"2"]


async def test_retained_messages_of_a_second_subscription_go_to_it_alone(
    broker: FakeBroker,
) -> None:
    async with broker.client() as client, client.subscribe("a") as first:
        async with client.subscribe("a") as second:
            number = broker.peer.all(Subscribe)[-1].properties["subscription_identifier"]
            properties = {"subscription_identifier": number}
            broker.peer.publish("a", b"old", retain=True, properties=properties)  # type: ignore[arg-type]  # a plain dict
            broker.peer.publish("a", b"new", properties=properties)  # type: ignore[arg-type]  # likewise
            assert await payloads(second, 2) == [b"old", b"new"]
            assert await payloads(first, 1) == [b"new"]
        assert broker.peer.all(Unsubscribe) == []
        broker.peer.publish("a", b"newer", properties=properties)  # type: ignore[arg-type]  # likewise
        assert await payloads(first, 1) == [b"newer"]
    assert len(broker.peer.all(Unsubscribe)) == 1


async def test_what_was_on_its_way_before_a_second_subscription_is_not_for_it(
    broker: FakeBroker,
) -> None:
    def with_retained(peer: Peer, packet: Subscribe) -> None:
        # The retained message of the first subscription comes late: with SUBACK of the second.
        if len(peer.all(Subscribe)) > 1:
            peer.publish("a", b"old", retain=True)
        peer.send(SubAck(packet.packet_id, [ReasonCode.SUCCESS]))
        if packet.properties:
            peer.publish("a", b"old", retain=True, properties=packet.properties)

    broker.answers[Subscribe] = with_retained
    async with (
        broker.client() as client,
        client.subscribe("a") as first,
        client.subscribe("a") as second,
    ):
        await anyio.wait_all_tasks_blocked()
        assert (len(first), len(second)) == (1, 1)


async def test_the_greatest_qos_of_a_filters_users_is_asked_for(broker: FakeBroker) -> None:
    async with (
        broker.client() as client,
        client.subscribe("a", qos=2),
        client.subscribe("a", qos=0),
    ):
        assert [packet.subscriptions[0].qos for packet in broker.peer.all(Subscribe)] == [2, 2]


async def test_each_message_is_acknowledged_once_it_is_in_the_queue(broker: FakeBroker) -> None:
    async with broker.client() as client, client.subscribe("a", qos=2) as messages:
        broker.peer.publish("a", b"1", b"2", qos=1)
        broker.peer.publish("a", b"3", qos=2)
        assert (await broker.peer.expect(PubAck)).packet_id == 1
        assert (await broker.peer.expect(PubAck)).packet_id == 2
        assert (await broker.peer.expect(PubRec)).packet_id == 3
        assert (await broker.peer.expect(PubComp)).packet_id == 3
        assert await payloads(messages, 3) == [b"1", b"2", b"3"]


async def test_a_repeated_message_of_qos_2_is_delivered_once(broker: FakeBroker) -> None:
    async with broker.client(protocol_version=4) as client, client.subscribe("a") as messages:
        peer = broker.peer
        peer.mute = {PubRec}
        peer.publish("a", b"1", qos=2, packet_id=7)
        await peer.expect(PubRec)
        peer.publish("a", b"1", qos=2, packet_id=7, dup=True)
        await peer.expect(PubRec)
        peer.send(PubRel(7))
        await peer.expect(PubComp)
        peer.publish("a", b"2", qos=2, packet_id=7)
        assert await payloads(messages, 2) == [b"1", b"2"]


async def test_many_tasks_may_share_a_subscription(broker: FakeBroker) -> None:
    taken: list[bytes] = []
    async with broker.client() as client, client.subscribe("a") as messages:

        async def take() -> None:
            async for message in messages:
                taken.append(message.payload)
                if len(taken) == 30:
                    tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(take)
            await anyio.wait_all_tasks_blocked()
            broker.peer.publish("a", *(b"%d" % number for number in range(30)))
    assert sorted(map(int, taken)) == list(range(30))


async def test_iteration_ends_with_its_subscription_and_with_the_client(
    broker: FakeBroker,
) -> None:
    ended: list[str] = []

    async def iterate(messages: Messages, name: str) -> None:
        async for _ in messages:
            pytest.fail("nothing was published")
        ended.append(name)

    async with anyio.create_task_group() as tasks, broker.client() as client:
        async with client.subscribe("a") as messages:
            tasks.start_soon(iterate, messages, "subscription")
            await anyio.wait_all_tasks_blocked()
        await anyio.wait_all_tasks_blocked()
        assert ended == ["subscription"]
    with pytest.raises(StopAsyncIteration):
        await anext(messages)


# Full queues.


async def test_what_an_earlier_program_left_is_unsubscribed_from(broker: FakeBroker) -> None:
    def answer(peer: Peer, packet: Unsubscribe) -> None:
        codes = {"old": ReasonCode.SUCCESS, "none": ReasonCode.NO_SUBSCRIPTION_EXISTED}
        peer.send(UnsubAck(packet.packet_id, [codes[one] for one in packet.topic_filters]))

    broker.answers[Unsubscribe] = answer
    said: Properties = {"user_property": [("why", "gone")]}
    async with broker.client(filters_per_packet=1) as client:
        found = await client.unsubscribe("old", "none", "old", properties=said)
        assert found == [0, ReasonCode.NO_SUBSCRIPTION_EXISTED, 0]
        asked = broker.peer.all(Unsubscribe)
        assert [packet.topic_filters for packet in asked] == [["old"], ["none"]]
        assert [packet.properties for packet in asked] == [said] * 2
        assert_nobody_waits(client)


async def test_it_is_asked_for_again_where_the_connection_is_lost(broker: FakeBroker) -> None:
    broker.prepare = mute(Unsubscribe)
    async with broker.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.unsubscribe, "old")
        await broker.peer.expect(Unsubscribe)
        broker.prepare = mute()
        broker.peer.end()
    assert [len(peer.all(Unsubscribe)) for peer in broker.peers] == [1, 1]


async def test_who_unsubscribes_is_told_what_is_wrong(broker: FakeBroker) -> None:
    broker.answers[Unsubscribe] = lambda peer, packet: peer.send(
        UnsubAck(packet.packet_id, [ReasonCode.NOT_AUTHORIZED])
    )
    async with broker.client() as client:
        async with client.subscribe("a", unsubscribe=False):
            with pytest.raises(LocalProtocolError, match="leave that block"):
                await client.unsubscribe("a")
        with pytest.raises(RequestRefusedError, match=r"the end of the subscription to 'a' \(not"):
            await client.unsubscribe("a")
        for wrong, kind in (("a/#/b", LocalProtocolError), (["a"], TypeError)):
            with pytest.raises(kind):
                await client.unsubscribe(wrong)  # type: ignore[arg-type]
        with pytest.raises(LocalProtocolError, match="at least one"):
            await client.unsubscribe()
        assert_nobody_waits(client)
