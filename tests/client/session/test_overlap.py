"""Whether two topic filters can match the same topic, and what is asked for where they do."""

from __future__ import annotations

from itertools import product

import pytest

from trio_mqtt.client.messages import Messages
from trio_mqtt.client.session.subscriptions import Options, Subscriptions, overlap
from trio_mqtt.protocol.topics import topic_filter_problem, topic_matches_filter

LEVELS = ["a", "b", "+", "#", ""]
FILTERS = [
    name
    for length in (1, 2, 3)
    for name in map("/".join, product(LEVELS, repeat=length))
    if topic_filter_problem(name) is None
]
TOPICS = [
    name for length in (1, 2, 3, 4) for name in map("/".join, product("ab", repeat=length))
] + ["/".join(levels) for length in (1, 2, 3) for levels in product(["a", "", "b"], repeat=length)]


@pytest.mark.parametrize("first", FILTERS)
def test_filters_overlap_where_a_topic_matches_both(first: str) -> None:
    mine = {topic for topic in TOPICS if topic and topic_matches_filter(topic, first)}
    for second in FILTERS:
        common = any(topic_matches_filter(topic, second) for topic in mine)
        if {first, second} == {"+", "/#"}:
            common = True  # in the empty topic, which is none: a harmless exception
        assert overlap(first, second) == common, second


def test_whoever_asks_again_has_its_own_properties_sent() -> None:
    first, second = (Messages(("a",), 1, lambda: None) for _ in range(2))
    by_first = Options(properties={"user_property": [("by", "first")]})
    by_second = Options(properties={"user_property": [("by", "second")]})
    subscriptions = Subscriptions()
    subscriptions.add(first, "a", by_first, identifiers=True)
    subscriptions.add(second, "a", by_second, identifiers=True)
    (request,) = subscriptions.add(first, "a", by_first, identifiers=True)
    assert request.properties["user_property"] == [("by", "first")]
