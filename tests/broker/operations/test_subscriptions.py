"""Subscriptions as whoever runs the broker sees them, gives them and takes them; messages for one
client alone."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.broker.conftest import Join
from trio_mqtt import Broker, LocalProtocolError, NotFoundError
from trio_mqtt.administration import (
    ClientMessage,
    GiveSubscription,
    NewMessage,
    SubscriptionQuery,
    TakeSubscription,
)
from trio_mqtt.protocol.packets import Disconnect, Publish, Subscription


async def _found(broker: Broker, **asked: object) -> list[tuple[str, str]]:
    query = SubscriptionQuery(**asked)  # type: ignore[arg-type]
    page = await broker.administration.subscriptions(query)
    return [(one.client_id, one.topic_filter) for one in page.items]


async def test_subscriptions_are_found_by_all_that_is_given(broker: Broker, join: Join) -> None:
    one, two = await join("one"), await join("two")
    await one.subscribe(Subscription("a/#", 1, no_local=True), identifier=7)
    await one.subscribe("b")
    await two.subscribe("$share/g/a/+", "a/#", qos=2)
    assert len(await _found(broker)) == 4
    assert await _found(broker, client_id="one") == [("one", "a/#"), ("one", "b")]
    assert await _found(broker, topic="a/1", shared=False) == [("one", "a/#"), ("two", "a/#")]
    assert await _found(broker, shared=True) == [("two", "$share/g/a/+")]
    assert await _found(broker, topic_filter="b") == [("one", "b")]
    assert await _found(broker, search="SHARE") == [("two", "$share/g/a/+")]
    assert await _found(broker, offset=3) == [("two", "a/#")]
    first = (await broker.administration.subscriptions()).items[0]
    assert (first.qos, first.no_local, first.identifier, first.resting) == (1, True, 7, False)


async def test_a_client_is_given_a_subscription(broker: Broker, join: Join) -> None:
    client = await join("c")
    await broker.publish("a/1", b"kept", retain=True)
    await broker.administration.give_subscription(
        GiveSubscription(client_id="c", topic_filter="a/#", qos=1)
    )
    assert (await client.expect(Publish)).payload == b"kept"
    await broker.publish("a/2", b"new", qos=1)
    message = await client.expect(Publish)
    assert (message.payload, message.qos) == (b"new", 1)
    await broker.administration.take_subscription(
        TakeSubscription(client_id="c", topic_filter="a/#")
    )
    await broker.publish("a/2", b"new", qos=1)
    await client.expect_nothing()
    with pytest.raises(NotFoundError):
        await broker.administration.take_subscription(
            TakeSubscription(client_id="c", topic_filter="a/#")
        )


async def test_a_client_that_is_away_finds_what_it_was_given(broker: Broker, join: Join) -> None:
    client = await join("c", expiry=90)
    await client.send(Disconnect())
    await trio.testing.wait_all_tasks_blocked()
    await broker.administration.give_subscription(
        GiveSubscription(client_id="c", topic_filter="a", qos=1)
    )
    await broker.publish("a", b"waits", qos=1)
    again = await join("c", clean_start=False, expiry=90)
    assert (await again.expect(Publish)).payload == b"waits"


async def test_there_is_room_for_so_many_subscriptions(broker: Broker, join: Join) -> None:
    await join("c")
    with pytest.raises(LocalProtocolError, match="levels"):
        await broker.administration.give_subscription(
            GiveSubscription(client_id="c", topic_filter="/" * 1_000)
        )


async def test_a_message_reaches_one_client_alone(broker: Broker, join: Join) -> None:
    one, two = await join("one"), await join("two")
    for client in (one, two):
        await client.subscribe("a/#", qos=1)
    administration = broker.administration
    sent = ClientMessage(
        client_id="one",
        topic="elsewhere",
        payload=b"you",
        qos=1,
        user_properties=(("k", "v"),),
        content_type="text/plain",
    )
    await administration.send_to_client(sent)
    message = await one.expect(Publish)
    assert (message.topic, message.payload, message.qos) == ("elsewhere", b"you", 1)
    assert message.properties["user_property"] == [("k", "v")]
    await two.expect_nothing()


async def test_a_message_waits_for_a_client_that_is_away(broker: Broker, join: Join) -> None:
    client = await join("c", expiry=90)
    await client.subscribe("a", qos=0)
    await client.send(Disconnect())
    await trio.testing.wait_all_tasks_blocked()
    message = ClientMessage(client_id="c", topic="t", payload=b"waits", qos=2)
    await broker.administration.send_to_client(message)
    again = await join("c", clean_start=False, expiry=90)
    got = await again.expect(Publish)
    assert (got.payload, got.qos) == (b"waits", 2)


async def test_without_subscriptions_a_message_goes_at_qos_0(broker: Broker, join: Join) -> None:
    client = await join("c")
    administration = broker.administration
    await administration.send_to_client(ClientMessage(client_id="c", topic="t", payload=b"now"))
    assert (await client.expect(Publish)).payload == b"now"
    with pytest.raises(LocalProtocolError, match="no subscription"):
        await administration.send_to_client(ClientMessage(client_id="c", topic="t", qos=1))


async def test_a_message_is_published(broker: Broker, join: Join) -> None:
    client = await join("c")
    await client.subscribe("t")
    await broker.administration.publish(
        NewMessage(topic="t", payload=b"all", retain=True, expiry_interval=60)
    )
    message = await client.expect(Publish)
    assert message.payload == b"all"
    assert message.properties["message_expiry_interval"] == 60
    with pytest.raises(LocalProtocolError):
        NewMessage(topic="a/+")
    with pytest.raises(LocalProtocolError):
        NewMessage(topic="a", qos=3)
