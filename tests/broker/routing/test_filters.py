"""Topic filters, taken apart."""

from __future__ import annotations

import pytest

from trio_mqtt.broker.routing.filters import TopicFilter


@pytest.mark.parametrize(
    ("text", "share", "plain", "places"),
    [
        ("a/b", "", "a/b", []),
        ("a/+/b/#", "", "a/+/b/#", ["L+", "L+L", "L+L#"]),
        ("#", "", "#", ["#"]),
        ("$share/workers/a/+", "workers", "a/+", ["L+"]),
        ("$share/workers/$share/a", "workers", "$share/a", []),
    ],
)
def test_a_filter_says_who_shares_what_and_where_its_wildcards_are(
    text: str, share: str, plain: str, places: list[str]
) -> None:
    taken_apart = TopicFilter(text)
    assert taken_apart.text == text
    assert (taken_apart.share, taken_apart.plain) == (share, plain)
    assert list(taken_apart.places) == places
