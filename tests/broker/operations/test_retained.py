"""Retained messages as whoever runs the broker sees them, and removes them."""

from __future__ import annotations

import time

import pytest
import trio

from tests.broker.conftest import Join
from trio_mqtt import Broker, LocalProtocolError, NotFoundError, Properties
from trio_mqtt.administration import (
    DeleteRetained,
    RetainedName,
    RetainedQuery,
)
from trio_mqtt.events import RetainedChanged


async def _topics(broker: Broker, **asked: object) -> list[str]:
    page = await broker.administration.retained(RetainedQuery(**asked))  # type: ignore[arg-type]
    return [one.topic for one in page.items]


async def test_a_retained_message_is_seen_with_its_author_and_time(
    broker: Broker, join: Join
) -> None:
    client = await join("lamp")
    properties: Properties = {"message_expiry_interval": 50, "content_type": "text/plain"}
    await client.publish("a/b", b"on", 1, retain=True, properties=properties)
    await trio.sleep(10)
    (listed,) = (await broker.administration.retained()).items
    shown = await broker.administration.retained_message(RetainedName(topic="a/b"))
    assert (listed.payload, shown.payload) == (None, b"on")
    assert (shown.author, shown.qos, shown.size) == ("lamp", 1, 2)
    assert shown.content_type == "text/plain"
    assert shown.stored_at == pytest.approx(time.time() - 10, abs=5)
    assert shown.expires_at == pytest.approx(shown.stored_at + 50)
    with pytest.raises(NotFoundError):
        await broker.administration.retained_message(RetainedName(topic="a"))


async def test_retained_messages_are_found_by_all_that_is_given(broker: Broker, join: Join) -> None:
    client = await join("lamp")
    await broker.publish("old/1", b"xx", retain=True)
    await trio.sleep(100)
    await client.publish("new/1", b"x", 1, retain=True)
    await client.publish("new/2", b"xxx", 1, retain=True)
    assert sorted(await _topics(broker)) == ["new/1", "new/2", "old/1"]
    assert await _topics(broker, topic_filter="new/+", sort="topic") == ["new/1", "new/2"]
    assert await _topics(broker, sort="size", descending=True, limit=1) == ["new/2"]
    assert await _topics(broker, sort="stored_at", limit=1) == ["old/1"]
    assert await _topics(broker, search="/1", author="lamp") == ["new/1"]
    assert await _topics(broker, older_than=50) == ["old/1"]
    page = await broker.administration.retained(RetainedQuery(offset=2))
    assert (len(page.items), page.total) == (1, 3)


async def test_what_its_author_has_not_said_again_is_found(broker: Broker, join: Join) -> None:
    await broker.publish("program", b"x", retain=True)
    stays = await join("stays")
    await stays.publish("stays/1", b"x", 1, retain=True)
    bridge = await join("bridge")
    for topic in ("bridge/lamp", "bridge/lost"):
        await bridge.publish(topic, b"x", 1, retain=True)
    await trio.sleep(1)
    assert await _topics(broker, orphaned="gone") == []
    await bridge.drop()
    await trio.sleep(1)
    assert sorted(await _topics(broker, orphaned="gone")) == ["bridge/lamp", "bridge/lost"]
    bridge = await join("bridge")
    await bridge.publish("bridge/lamp", b"x", 1, retain=True)
    assert await _topics(broker, orphaned="gone") == []
    assert await _topics(broker, orphaned="silent") == ["bridge/lost"]
    found = (await broker.administration.retained(RetainedQuery(sort="topic"))).items
    assert [one.orphaned for one in found] == ["", "silent", "", ""]
    removed = await broker.administration.delete_retained(
        DeleteRetained(topic_filter="#", orphaned="silent")
    )
    assert removed.count == 1


async def test_retained_messages_are_removed_by_filter(broker: Broker) -> None:
    for topic in ("a/1", "a/2", "b/1"):
        await broker.publish(topic, b"x", retain=True)
    with broker.events(RetainedChanged) as events:
        removed = await broker.administration.delete_retained(DeleteRetained(topic_filter="a/#"))
        told = [await anext(aiter(events)) for _ in range(2)]
    assert removed.count == 2
    assert {one.topic for one in told if isinstance(one, RetainedChanged)} == {"a/1", "a/2"}
    assert await _topics(broker) == ["b/1"]


async def test_nothing_is_removed_by_default() -> None:
    with pytest.raises(TypeError):
        DeleteRetained()  # type: ignore[call-arg]
    with pytest.raises(LocalProtocolError):
        DeleteRetained(topic_filter="a/#/b")
    with pytest.raises(LocalProtocolError):
        RetainedName(topic="a/#")
