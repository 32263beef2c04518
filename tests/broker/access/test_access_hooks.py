"""A program's hooks decide what clients may do, and change what goes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from tests.broker.access.hooked import served
from tests.broker.raw import V5, V311
from tests.inside import core_of
from trio_mqtt.access import (
    AccessHooks,
    AccessRefused,
    ClientInfo,
    Publication,
    SubscriptionRequest,
)
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    Will,
)
from trio_mqtt.protocol.reason_codes import ReasonCode


class Editor(AccessHooks):
    """Does to what is published as its topic says."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def authorize_publish(
        self, client: ClientInfo, message: Publication
    ) -> Publication | AccessRefused:
        self.asked.append(message.topic)
        match message.topic.partition("/")[0]:
            case "refuse":
                return AccessRefused(ReasonCode.QUOTA_EXCEEDED, "enough")
            case "strange":
                return AccessRefused(ReasonCode.SESSION_TAKEN_OVER)
            case "fail":
                raise RuntimeError("no database")
            case "late":
                await trio.sleep_forever()
            case "wrong":
                return replace(message, topic="with/+")
            case "change":
                return replace(
                    message, topic=f"changed/{client.client_id}", payload=b"other", qos=0
                )
            case "raise":
                return replace(message, qos=2)
            case "keep":
                return replace(message, retain=True)
        return message


REFUSED = [
    ("refuse", ReasonCode.QUOTA_EXCEEDED),
    ("strange", ReasonCode.NOT_AUTHORIZED),
    ("fail", ReasonCode.UNSPECIFIED_ERROR),
    ("late", ReasonCode.UNSPECIFIED_ERROR),
    ("wrong", ReasonCode.UNSPECIFIED_ERROR),
]


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize(("topic", "code"), REFUSED)
async def test_a_message_that_is_refused_reaches_nobody(
    version: ProtocolVersion, topic: str, code: ReasonCode, qos: int
) -> None:
    async with served(Editor()) as broker:
        watcher = await broker.join("w")
        await watcher.subscribe("#")
        client = await broker.join("c", version)
        answer = await client.publish(topic, b"1", qos, retain=True)
        assert answer == (code if version == V5 and qos else ReasonCode.SUCCESS)
        await client.publish("allowed", b"2", qos)
        await watcher.expect_message("allowed", b"2")
        assert len(core_of(broker.broker).retained) == 0
        assert broker.broker.statistics.messages_dropped == 1
        await client.ping()


async def test_a_client_hears_in_words_why_it_is_refused() -> None:
    async with served(Editor()) as broker:
        client = await broker.join("c")
        await client.send(Publish("refuse", b"", 2, packet_id=7))
        answer = await client.expect(PubRec)
        assert answer.properties["reason_string"] == "enough"


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_hook_changes_topic_payload_and_qos(version: ProtocolVersion, qos: int) -> None:
    async with served(Editor()) as broker:
        watcher = await broker.join("w")
        await watcher.subscribe("#", qos=2)
        client = await broker.join("c", version)
        # The client is answered for what it sent.
        assert await client.publish("change", b"1", qos) == ReasonCode.SUCCESS
        await watcher.expect_message("changed/c", b"other", 0)
        assert await client.publish("raise", b"2", qos) == ReasonCode.SUCCESS
        await watcher.expect_message("raise", b"2", 2)
        await client.publish("keep", b"3", qos)
        await client.ping()
        assert len(core_of(broker.broker).retained) == 1


async def test_messages_keep_their_order_and_a_repetition_is_not_asked_about_again() -> None:
    hooks = Editor()
    async with served(hooks) as broker:
        watcher = await broker.join("w")
        await watcher.subscribe("#")
        client = await broker.join("c")
        again = Publish("allowed/2", b"2", 2, packet_id=1)
        await client.send(
            *(Publish(f"allowed/{n}", b"", 0) for n in range(2)),
            again,
            Publish("change/3"),
            Publish("allowed/4", b"", 1, packet_id=2),
        )
        found = [message.topic for message in await watcher.messages()]
        assert found == ["allowed/0", "allowed/1", "allowed/2", "changed/c", "allowed/4"]
        assert [type(packet) for packet in await client.drain()] == [PubRec, PubAck]
        await client.send(Publish("allowed/2", b"2", 2, dup=True, packet_id=1))
        await client.expect(PubRec)
        assert hooks.asked.count("allowed/2") == 1
        await watcher.expect_nothing()


async def test_a_will_is_asked_about_like_a_message() -> None:
    async with served(Editor()) as broker:
        refused = broker.opened()
        await refused.send(Connect("c", will=Will("refuse", b"")))
        assert (await refused.expect(ConnAck)).reason_code == ReasonCode.QUOTA_EXCEEDED
        watcher = await broker.join("w")
        await watcher.subscribe("#")
        client = await broker.join("c", will=Will("change", b""))
        await client.drop()
        await watcher.expect_message("changed/c", b"other")


class Librarian(AccessHooks):
    """Decides about subscriptions and deliveries."""

    async def authorize_subscribe(
        self, client: ClientInfo, request: SubscriptionRequest
    ) -> SubscriptionRequest | AccessRefused:
        await trio.lowlevel.checkpoint()
        match request.topic_filter:
            case "no":
                return AccessRefused(reason="private")
            case "fail":
                raise RuntimeError("no database")
            case "own":
                return SubscriptionRequest(f"of/{client.client_id}", 0)
        return request

    async def authorize_delivery(
        self, client: ClientInfo, message: Publication
    ) -> Publication | AccessRefused:
        match message.topic:
            case "secret":
                return AccessRefused()
            case "fail":
                raise RuntimeError("no database")
            case "for":
                return replace(message, payload=client.client_id.encode(), qos=0)
            case "slow":
                await trio.sleep(1)
        return message


async def test_a_hook_refuses_and_changes_subscriptions(version: ProtocolVersion) -> None:
    async with served(Librarian()) as broker:
        client = await broker.join("c", version)
        await client.send(Subscribe(1, [Subscription(f, 1) for f in ("no", "a", "own", "fail")]))
        answer = await client.expect(SubAck)
        no, unknown = ReasonCode.NOT_AUTHORIZED, ReasonCode.UNSPECIFIED_ERROR
        if version == V311:
            no = unknown
        assert answer.reason_codes == [no, 1, 0, unknown]
        if version == V5:
            assert "private" in answer.properties["reason_string"]
        publisher = await broker.join("p")
        for topic in ("no", "own", "of/c", "a"):
            await publisher.publish(topic, b"", 1)
        assert [m.topic for m in await client.take()] == ["of/c", "a"]
        await client.unsubscribe("own")
        await publisher.publish("of/c", b"", 1)
        await client.expect_nothing()


async def test_a_hook_refuses_and_changes_what_is_delivered(version: ProtocolVersion) -> None:
    async with served(Librarian()) as broker:
        publisher = await broker.join("p")
        await publisher.publish("secret", b"kept", 1, retain=True)
        clients = [await broker.join(name, version) for name in ("a", "b")]
        for client in clients:
            await client.subscribe("#", qos=1)
        for qos in (0, 1):
            for topic in ("secret", "for", "fail", "open"):
                await publisher.publish(topic, b"x", qos)
        for name, client in zip((b"a", b"b"), clients, strict=True):
            assert [(m.topic, m.payload, m.qos) for m in await client.take()] == [
                ("for", name, 0),
                ("open", b"x", 0),
                ("for", name, 0),
                ("open", b"x", 1),
            ]
        assert broker.broker.statistics.deliveries_refused == 10


async def test_who_is_slowly_decided_about_gets_all_in_order_and_holds_up_nobody() -> None:
    async with served(Librarian()) as broker:
        slow, quick, publisher = [await broker.join(name) for name in ("slow", "quick", "p")]
        await slow.subscribe("slow", qos=1)
        await quick.subscribe("open", qos=1)
        for number in range(5):
            await publisher.publish("slow", b"%d" % number, 1)
        began = trio.current_time()
        await publisher.publish("open", b"", 1)
        await quick.expect_message("open", b"", 1)
        assert trio.current_time() - began < 0.5
        assert [m.payload for m in await slow.take(10)] == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_client_that_is_lost_while_it_is_decided_about_loses_nothing() -> None:
    async with served(Librarian()) as broker:
        client = await broker.join("c", expiry=100)
        await client.subscribe("slow", qos=1)
        publisher = await broker.join("p")
        await publisher.publish("slow", b"1", 1)
        await client.drop()
        again = await broker.join("c", clean_start=False, expiry=100)
        assert [m.payload for m in await again.take(10)] == [b"1"]


def test_a_refusal_must_refuse() -> None:
    with pytest.raises(ValueError, match="refuses nothing"):
        AccessRefused(ReasonCode.SUCCESS)


async def test_a_hook_is_asked_about_a_message_whose_identifier_was_freed_in_the_same_write() -> (
    None
):
    async with served(Censor()) as broker:
        watcher, client = await broker.join("w"), await broker.join("c")
        await watcher.subscribe("#")
        await client.send(Publish("yes", b"1", 2, packet_id=5))
        assert (await client.expect(PubRec)).reason_code == ReasonCode.SUCCESS
        await client.send(PubRel(5), Publish("no", b"2", 2, packet_id=5))
        await client.expect(PubComp)
        assert (await client.expect(PubRec)).reason_code == ReasonCode.NOT_AUTHORIZED
        assert await watcher.payloads() == [b"1"]


async def test_filters_that_a_hook_makes_one_subscription_of_are_bounded() -> None:
    async with served(Funnel(), maximum_subscriptions=3) as broker:
        client = await broker.join("c")
        full = ReasonCode.QUOTA_EXCEEDED
        assert await client.subscribe("a", "b", "c", "d", "a") == [0, 0, 0, full, 0]
        assert await client.unsubscribe("b") == [ReasonCode.SUCCESS]


class Censor(AccessHooks):
    async def authorize_publish(
        self, client: ClientInfo, message: Publication
    ) -> Publication | AccessRefused:
        return AccessRefused() if message.topic == "no" else message


class Funnel(AccessHooks):
    async def authorize_subscribe(
        self, client: ClientInfo, request: SubscriptionRequest
    ) -> SubscriptionRequest | AccessRefused:
        return SubscriptionRequest("funnel")
