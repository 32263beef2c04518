"""Rules, hooks, mount points and events: at each node of a cluster as at a broker alone."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace

import trio

import trio_mqtt
from tests.cluster.nodes import LOCAL, nodes
from tests.cluster.waiting import until
from trio_mqtt import Cluster, Listen, Message, Messages, Security, open_client
from trio_mqtt.access import AccessHooks, AccessRefused, ClientInfo, Publication
from trio_mqtt.events import MessageDelivered, MessagePublished


async def take(messages: Messages, count: int) -> list[Message]:
    with trio.fail_after(60):
        return [await anext(messages) for _ in range(count)]


class Rules:
    """Nobody may publish below `no`, nor receive what is below `secret`."""

    def may_publish(self, client: ClientInfo, topic: str) -> bool:
        return not topic.startswith("no/")

    def may_subscribe(self, client: ClientInfo, topic_filter: str) -> bool:
        return True

    def may_receive(self, client: ClientInfo, topic: str) -> bool:
        return not topic.startswith("secret/")


async def test_rules_hold_where_a_client_is(cluster: Cluster) -> None:
    security = Security(access=Rules(), allow_anonymous=True)
    async with (
        nodes(cluster, 2, security=security) as (one, two),
        open_client(one.url) as publisher,
        open_client(two.url) as subscriber,
        subscriber.subscribe("#", qos=1) as messages,
    ):
        for topic in ("no/1", "secret/1", "yes/1"):
            await publisher.publish(topic, "x")
        assert [message.topic for message in await take(messages, 1)] == ["yes/1"]
        assert two.statistics.deliveries_refused == 1
        assert one.statistics.messages_dropped == 1


class Hooks(AccessHooks):
    """Says which node has let a message in, and which out."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def authorize_publish(
        self, client: ClientInfo, message: Publication
    ) -> Publication | AccessRefused:
        return replace(message, payload=message.payload + self._name.encode() + b" in ")

    async def authorize_delivery(
        self, client: ClientInfo, message: Publication
    ) -> Publication | AccessRefused:
        return replace(message, payload=message.payload + self._name.encode() + b" out")


async def test_hooks_are_asked_once_each_where_a_client_is(cluster: Cluster) -> None:
    async with AsyncExitStack() as stack:
        urls = []
        for name in ("n1", "n2"):
            broker = await stack.enter_async_context(
                trio_mqtt.open_broker(
                    LOCAL,
                    cluster=replace(cluster, node=name),
                    security=Security(hooks=Hooks(name), allow_anonymous=True),
                )
            )
            urls.append(broker.url)
        publisher = await stack.enter_async_context(open_client(urls[0]))
        subscriber = await stack.enter_async_context(open_client(urls[1]))
        messages = await stack.enter_async_context(subscriber.subscribe("t", qos=2))
        for qos in (0, 1, 2):
            await publisher.publish("t", "", qos=qos)
        got = sorted(await take(messages, 3), key=lambda message: message.qos)
        assert [(one.qos, one.text) for one in got] == [(n, "n1 in n2 out") for n in range(3)]


async def test_mount_points_are_the_same_at_all_nodes(cluster: Cluster) -> None:
    listeners = [Listen(LOCAL), Listen(LOCAL, mount_point="site/")]
    async with (
        trio_mqtt.open_broker(*listeners, cluster=replace(cluster, node="n1")) as one,
        trio_mqtt.open_broker(*listeners, cluster=replace(cluster, node="n2")) as two,
        open_client(one.urls[1], client_id="same") as inside,
        open_client(two.urls[1], client_id="other") as also_inside,
        open_client(two.urls[0], client_id="same") as outside,  # another client than the first
        also_inside.subscribe("a/+") as below,
        outside.subscribe("#") as everything,
    ):
        await inside.publish("a/1", "x", qos=1, properties={"response_topic": "b"})
        (message,) = await take(below, 1)
        assert (message.topic, message.properties["response_topic"]) == ("a/1", "b")
        (message,) = await take(everything, 1)
        assert (message.topic, message.properties["response_topic"]) == ("site/a/1", "site/b")
        await outside.publish("site/a/2", "y", qos=1)
        assert (await take(below, 1))[0].topic == "a/2"


async def test_events_tell_what_each_node_does(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 2) as (one, two),
        open_client(one.url, client_id="publisher") as publisher,
        open_client(two.url, client_id="subscriber") as subscriber,
        subscriber.subscribe("t", qos=1) as messages,
    ):
        with one.sample() as at_one, two.sample() as at_two:
            await publisher.publish("t", "x", qos=1)
            await take(messages, 1)
            published = [e for e in at_one.take() if isinstance(e, MessagePublished)]
            there = at_two.take()
        assert [(event.client_id, event.topic) for event in published] == [("publisher", "t")]
        assert not [e for e in there if isinstance(e, MessagePublished)]
        delivered = [e for e in there if isinstance(e, MessageDelivered)]
        assert [(event.client_id, event.topic) for event in delivered] == [("subscriber", "t")]
        assert (one.statistics.messages_received, two.statistics.messages_received) == (1, 0)
        await until(lambda: two.statistics.messages_sent == 1)
