"""A listener's mount point: its clients see what is below it, by names without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel

import trio_mqtt
from tests.broker.raw import V5, V311, Raw
from tests.transport.dialing import dial
from trio_mqtt import (
    Broker,
    Client,
    Limits,
    Listen,
    MemoryStorage,
    Message,
    Messages,
    RefusedError,
    Security,
    Will,
)
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Packet,
    PubAck,
    Publish,
    Subscribe,
    Subscription,
    Unsubscribe,
)
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

in_real_time = pytest.mark.trio  # sockets are used

LOCAL = "mqtt://127.0.0.1:0"


@asynccontextmanager
async def mounted(**settings: Any) -> AsyncIterator[Broker]:
    """A broker with a listener without a mount point, two at `a/`, and one at `b/`."""
    listeners = [Listen(LOCAL, mount_point=one) for one in ("", "a/", "a/", "b/")]
    with trio.fail_after(60):
        async with trio_mqtt.open_broker(*listeners, **settings) as broker:
            yield broker


async def taken(messages: Messages, count: int) -> list[Message]:
    return [await anext(messages) for _ in range(count)]


async def until_end(client: Client, messages: Messages, end: str = "end") -> list[str]:
    """The topics that come before a message which the client publishes now."""
    await client.publish(end, qos=1)
    topics = []
    async for message in messages:
        if message.topic == end:
            break
        topics.append(message.topic)
    return topics


# -- messages ---------------------------------------------------------------------------------


@in_real_time
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_what_is_published_below_it_is_whole_elsewhere(version: int, qos: int) -> None:
    async with (
        mounted() as broker,
        trio_mqtt.open_client(broker.urls[0], protocol_version=version) as outside,
        trio_mqtt.open_client(broker.urls[1], protocol_version=version) as inside,
        trio_mqtt.open_client(broker.urls[3], protocol_version=version) as elsewhere,
        outside.subscribe("#", qos=2) as whole,
        inside.subscribe("#", qos=2) as ours,
        elsewhere.subscribe("#", qos=2) as theirs,
    ):
        for client in (inside, elsewhere, outside):
            for number in range(3):
                await client.publish("a/t", f"{number}", qos=qos)
        got = [(message.topic, message.payload) for message in await taken(whole, 9)]
        assert {topic for topic, _ in got} == {"a/a/t", "b/a/t", "a/t"}
        assert [payload for topic, payload in got if topic == "a/a/t"] == [b"0", b"1", b"2"]
        topics = [message.topic for message in await taken(ours, 6)]
        assert sorted(topics) == ["a/t"] * 3 + ["t"] * 3
        assert [message.topic for message in await taken(theirs, 3)] == ["a/t"] * 3
        assert await until_end(elsewhere, theirs) == []


@in_real_time
@pytest.mark.parametrize("identifier", [None, 7])
@pytest.mark.parametrize("maximum", [None, 60])
@pytest.mark.parametrize("sender", [V311, V5])
@pytest.mark.parametrize("receiver", [V311, V5])
async def test_whatever_the_two_speak_the_topic_is_the_clients(
    sender: ProtocolVersion, receiver: ProtocolVersion, maximum: int | None, identifier: int | None
) -> None:
    is_v5 = receiver == V5
    async with mounted() as broker, await dial(broker.urls[1]) as to, await dial(broker.url) as by:
        client, publisher = Raw(to, receiver), Raw(by, sender)
        properties: Properties = {}
        if maximum and is_v5:
            properties["maximum_packet_size"] = maximum
        await client.connect("to", properties=properties)
        await publisher.connect("by")
        await client.subscribe("t/#", qos=1, identifier=identifier if is_v5 else None)
        # One read: a run that travels as one, then others.
        packets = [Publish("a/t/1", b"%d" % number) for number in range(3)]
        packets += [Publish("a/t/1", bytes(100)), Publish("a/t/2", b"x", 1, packet_id=1)]
        await publisher.send(b"".join(encode(packet, sender) for packet in packets))
        got: list[Publish] = []
        while not got or got[-1].qos == 0:
            got.append(await client.expect(Publish))
        topics = [message.topic for message in got]
        assert topics == ["t/1"] * (3 if maximum and is_v5 else 4) + ["t/2"]
        wanted = [identifier] if identifier and is_v5 else None
        assert {repr(one.properties.get("subscription_identifier")) for one in got} == {
            repr(wanted)
        }


@in_real_time
async def test_neither_the_level_above_nor_reserved_ones_are_seen() -> None:
    async with (
        mounted() as broker,
        trio_mqtt.open_client(broker.urls[0]) as outside,
        trio_mqtt.open_client(broker.urls[1]) as inside,
        inside.subscribe("#", qos=1) as messages,
        inside.subscribe("$SYS/#") as system,
    ):
        for topic in ("a", "a/", "a/$x", "b/t", "a/t"):
            await outside.publish(topic, qos=1)
        assert await until_end(inside, messages) == ["t"]
        with pytest.raises(RefusedError, match=r"begin with \$"):
            await inside.publish("$x/y", qos=1)
        with trio.move_on_after(0.05):
            await anext(system)
            raise AssertionError("there is no $SYS below a mount point")


@in_real_time
async def test_retained_messages_are_found_by_both_names() -> None:
    async with mounted() as broker:
        async with trio_mqtt.open_client(broker.urls[1]) as client:
            await client.publish("kept/x", b"1", qos=1, retain=True)
        for index, topic in ((0, "a/kept/x"), (2, "kept/x")):
            async with (
                trio_mqtt.open_client(broker.urls[index]) as client,
                client.subscribe("#", qos=1) as messages,
            ):
                message = await anext(messages)
                assert (message.topic, message.retain) == (topic, True)
        async with (
            trio_mqtt.open_client(broker.urls[3]) as client,
            client.subscribe("#", qos=1) as messages,
        ):
            assert await until_end(client, messages) == []


@in_real_time
async def test_a_response_topic_is_renamed_with_the_message() -> None:
    async with (
        mounted() as broker,
        trio_mqtt.open_client(broker.urls[0]) as outside,
        trio_mqtt.open_client(broker.urls[1]) as asking,
        trio_mqtt.open_client(broker.urls[2]) as answering,
        outside.subscribe("a/ask", qos=1) as seen,
        answering.subscribe("ask", qos=1) as asked,
        asking.subscribe("answers/#", qos=1) as answers,
    ):
        await asking.publish("ask", qos=1, properties={"response_topic": "answers/1"})
        question = await anext(asked)
        assert question.response_topic == "answers/1"
        assert (await anext(seen)).response_topic == "a/answers/1"
        await answering.publish(question.response_topic, b"yes", qos=1)
        assert (await anext(answers)).payload == b"yes"
        await outside.publish("a/ask", qos=1, properties={"response_topic": "outside/1"})
        assert (await anext(asked)).response_topic == "outside/1"


@in_real_time
async def test_a_will_is_below_it() -> None:
    async with (
        mounted() as broker,
        trio_mqtt.open_client(broker.urls[0]) as outside,
        outside.subscribe("#", qos=1) as messages,
    ):
        client = Raw(await dial(broker.urls[1]))
        will = Will("gone", b"away", 1, properties={"response_topic": "back"})
        await client.connect(will=will)
        await client.stream.aclose()
        message = await anext(messages)
        assert (message.topic, message.response_topic) == ("a/gone", "a/back")


@in_real_time
async def test_a_client_is_named_by_its_mount_point_too() -> None:
    async with mounted() as broker, await dial(broker.urls[1]) as stream:
        client = Raw(stream)
        await client.connect("c")
        assert not broker.redirect("c", "elsewhere")
        assert not broker.redirect("c", "elsewhere", mount_point="b/")
        assert broker.redirect("c", "elsewhere", mount_point="a/")
        await client.expect_disconnect(ReasonCode.USE_ANOTHER_SERVER)


@in_real_time
async def test_shared_subscriptions_are_shared_below_it() -> None:
    async with (
        mounted() as broker,
        trio_mqtt.open_client(broker.urls[0]) as outside,
        trio_mqtt.open_client(broker.urls[1]) as first,
        trio_mqtt.open_client(broker.urls[2]) as second,
        trio_mqtt.open_client(broker.urls[3]) as other,
        first.subscribe("$share/us/t", qos=1) as at_first,
        second.subscribe("$share/us/t", qos=1) as at_second,
        other.subscribe("$share/us/t", qos=1) as at_other,
    ):
        for _ in range(4):
            await outside.publish("a/t", qos=1)
        for messages in (at_first, at_second):
            assert [message.topic for message in await taken(messages, 2)] == ["t", "t"]
        await other.publish("t", b"own", qos=1)
        assert (await anext(at_other)).payload == b"own"


@in_real_time
async def test_who_unsubscribes_gets_nothing_more() -> None:
    async with (
        mounted() as broker,
        trio_mqtt.open_client(broker.urls[1]) as client,
        client.subscribe("end", qos=1) as messages,
    ):
        for topic_filter in ("#", "t/+", "$share/x/t"):
            async with client.subscribe(topic_filter, qos=1):
                assert broker.statistics.subscriptions == 2
            while broker.statistics.subscriptions != 1:
                await trio.lowlevel.checkpoint()
        assert await until_end(client, messages) == []


@in_real_time
@pytest.mark.parametrize("qos", [0, 1])
async def test_what_is_too_long_with_it_ends_the_connection(qos: int) -> None:
    async with mounted() as broker:
        longest = "x" * 65_535
        asking: list[tuple[Packet, ReasonCode]] = [
            (Publish(longest, qos=qos, packet_id=qos), ReasonCode.TOPIC_NAME_INVALID),
            (Subscribe(1, [Subscription(longest)]), ReasonCode.TOPIC_FILTER_INVALID),
            (Unsubscribe(1, [longest]), ReasonCode.TOPIC_FILTER_INVALID),
        ]
        for packet, code in asking:
            async with await dial(broker.urls[1]) as stream:
                client = Raw(stream)
                await client.connect()
                await client.send(packet)
                end = await client.expect_disconnect(code)
                assert end is not None
                assert end.properties["reason_string"] == "a topic may have 65,533 bytes here"
        async with await dial(broker.urls[1]) as stream:
            client = Raw(stream)
            await client.send(Connect("c", will=Will(longest)))
            assert (await client.expect(ConnAck)).reason_code == ReasonCode.TOPIC_NAME_INVALID


# -- rules ------------------------------------------------------------------------------------


@in_real_time
async def test_rules_are_about_whole_topics(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite a/#\n")
    async with mounted(security=Security(access=rules, allow_anonymous=True)) as broker:
        async with (
            trio_mqtt.open_client(broker.urls[1]) as client,
            client.subscribe("#", qos=1) as messages,
        ):
            await client.publish("t", qos=1)
            assert (await anext(messages)).topic == "t"
        async with trio_mqtt.open_client(broker.urls[3]) as client:
            with pytest.raises(RefusedError):
                await client.publish("a/t", qos=1)


@in_real_time
async def test_what_a_client_has_retained_counts_for_it_alone() -> None:
    async with mounted(limits=Limits(maximum_retained_per_client=1)) as broker:
        for url in (broker.urls[0], broker.urls[1], broker.urls[3]):
            async with trio_mqtt.open_client(url, client_id="same") as client:
                await client.publish("t", b"kept", qos=1, retain=True)
                with pytest.raises(RefusedError):
                    await client.publish("t2", b"too many", qos=1, retain=True)


# -- sessions ---------------------------------------------------------------------------------


@in_real_time
async def test_a_client_has_another_session_at_another_mount_point() -> None:
    async with (
        mounted() as broker,
        trio_mqtt.open_client(broker.urls[0], client_id="same") as outside,
        trio_mqtt.open_client(broker.urls[1], client_id="same") as first,
        trio_mqtt.open_client(broker.urls[3], client_id="same") as other,
    ):
        for client in (outside, first, other):
            await client.publish("t", qos=1)
        assert broker.statistics.clients_connected == 3


@in_real_time
@pytest.mark.parametrize("version", [V311, V5])
@pytest.mark.parametrize("again", [True, False], ids=["another broker", "the same broker"])
async def test_what_waits_and_is_in_flight_stays_below_it(
    version: ProtocolVersion, again: bool
) -> None:
    storage = MemoryStorage()

    async def join(broker: Broker, index: int) -> Raw:
        client = Raw(await dial(broker.urls[index]), version)
        await client.connect(clean_start=False, expiry=1_000)
        return client

    async def resumed(broker: Broker) -> None:
        client = await join(broker, 2)
        assert client.connack is not None
        assert client.connack.session_present
        for number in range(2):
            message = await client.expect(Publish)
            assert (message.topic, message.payload, message.dup) == ("t", b"%d" % number, True)
            await client.send(PubAck(message.packet_id))
        message = await client.expect(Publish)
        assert (message.topic, message.payload, message.dup) == ("t", b"2", False)
        await client.stream.aclose()

    async with mounted(storage=storage, limits=Limits(maximum_in_flight=2)) as broker:
        client = await join(broker, 1)
        await client.subscribe("#", qos=1)
        async with trio_mqtt.open_client(broker.urls[0]) as outside:
            for number in range(3):
                await outside.publish("a/t", f"{number}", qos=1)
        for number in range(2):
            await client.expect_message("t", b"%d" % number, 1)
        await client.stream.aclose()
        if not again:
            await resumed(broker)
    if again:
        async with mounted(storage=storage) as broker:
            assert tuple(broker.restored)[:2] == (1, 3)
            await resumed(broker)
