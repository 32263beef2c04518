"""The topics of retained messages as a tree, level by level."""

from __future__ import annotations

import pytest

from trio_mqtt import Broker, LocalProtocolError
from trio_mqtt.administration import TopicQuery


async def _levels(broker: Broker, prefix: str = "", search: str = "") -> list[tuple[object, ...]]:
    page = await broker.administration.topics(TopicQuery(prefix=prefix, search=search))
    assert page.total == len(page.items)
    return [(one.level, one.topic, one.below, one.retained) for one in page.items]


@pytest.fixture
async def tree(broker: Broker) -> Broker:
    for topic in ("home", "home/b/x", "home/b/y", "home/a", "home//", "away/a", "/", "$own/x"):
        await broker.publish(topic, b"1", retain=True)
    return broker


async def test_levels_are_listed_by_name_with_how_much_is_below(tree: Broker) -> None:
    assert await _levels(tree) == [
        ("", "", 1, False), ("away", "away", 1, False), ("home", "home", 4, True),
    ]  # fmt: skip
    assert await _levels(tree, "home/") == [
        ("", "home/", 1, False), ("a", "home/a", 0, True), ("b", "home/b", 2, False),
    ]  # fmt: skip
    assert await _levels(tree, "home/b/") == [
        ("x", "home/b/x", 0, True), ("y", "home/b/y", 0, True),
    ]  # fmt: skip
    assert await _levels(tree, "home/b/x/") == []
    assert await _levels(tree, "/") == [("", "/", 0, True)]
    assert await _levels(tree, "$own/") == [("x", "$own/x", 0, True)]


async def test_only_topics_with_a_text_are_counted(tree: Broker) -> None:
    assert await _levels(tree, search="B/") == [("home", "home", 2, False)]
    assert await _levels(tree, "home/", "y") == [("b", "home/b", 1, False)]


async def test_levels_come_by_pages_and_a_prefix_is_no_filter(tree: Broker) -> None:
    page = await tree.administration.topics(TopicQuery(prefix="home/", offset=1, limit=1))
    assert [one.level for one in page.items] == ["a"]
    assert page.total == 3
    for prefix in ("home/+/", "home", "#"):
        with pytest.raises(LocalProtocolError):
            TopicQuery(prefix=prefix)
