"""Access rules against a naive model of them, and what a decision costs."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.broker.access.files.naive_rules import NaiveRule, allowed, as_file, topics_of, topics_on
from tests.broker.access.files.written import may, rules
from trio_mqtt.broker.access.files.access_rules import ACTIONS

LEVELS = "a b c1 $S"
names = st.sampled_from(["a", "b", "c1", "+", "a/b", "$S", ""])
filter_levels = st.lists(st.sampled_from(["a", "b", "+", "c1", "%c", "%u", "b%c"]), max_size=2)
filters = st.tuples(
    st.sampled_from(["", "", "$S/"]), filter_levels, st.sampled_from(["", "#"])
).map(lambda parts: parts[0] + "/".join([*parts[1], *parts[2]]))
naive_rules = st.builds(
    NaiveRule,
    st.sampled_from([None, "a", "b", "*", "*"]),
    st.sampled_from(["read", "write", "readwrite", "deny", "deny"]),
    filters.filter(lambda text: bool(text) and not text.endswith("/")),
)


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(st.lists(naive_rules, max_size=8), names, st.none() | names)
def test_each_decision_is_that_of_the_naive_model(
    made: list[NaiveRule], client_id: str, username: str | None
) -> None:
    file = rules(as_file(made))
    for topic in (*topics_of(LEVELS, 3), "a/b/a/b", "b/ba", "bc1/a", "ba/b"):
        for action in ("publish", "receive"):
            decision = file.decide(
                action,
                client_id=client_id,
                username=username,
                topic=topic,
            )
            expected = allowed(made, action, client_id, username, topic)
            assert decision.allowed is expected, (topic, action, decision)


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(
    st.lists(naive_rules.filter(lambda rule: rule.access != "write"), max_size=6),
    names,
    st.none() | names,
    filters.filter(lambda text: bool(text) and not text.endswith("/") and "%" not in text),
)
def test_a_filter_is_allowed_exactly_where_one_of_its_topics_is(
    made: list[NaiveRule], client_id: str, username: str | None, wanted: str
) -> None:
    decision = rules(as_file(made)).decide(
        "subscribe", client_id=client_id, username=username, topic=wanted
    )
    levels = {level for rule in made for level in rule.topic_filter.split("/")}
    levels |= {client_id, f"b{client_id}", "$S", "other"}  # other: what no rule names
    levels |= set() if username is None else {username}
    possible = topics_on(wanted, sorted(levels - {"+", "#"}), 4)
    expected = any(allowed(made, "receive", client_id, username, topic) for topic in possible)
    assert decision.allowed is expected, decision


def test_a_decision_among_a_thousand_rules_looks_at_few_of_them() -> None:
    lines = [f"user u{number}\ntopic read home/{number}/+/#\n" for number in range(500)]
    lines += [f"pattern readwrite site/{number}/%c/#\n" for number in range(500)]
    file = rules("".join(lines))
    best = 1.0
    for _ in range(20):
        start = time.perf_counter()
        for number in range(50):
            assert may(file, "publish", f"site/{number}/c1/x", "u7")
        best = min(best, (time.perf_counter() - start) / 50)
    assert best < 100e-6  # seconds; some 5 on a machine that is not busy, 500 if each were tried


def test_a_filter_of_very_many_levels_is_decided_soon() -> None:
    file = rules("pattern read +/#\npattern deny a/#\npattern deny +/+/+/b\n")
    start = time.perf_counter()
    for wanted in ("/" * 65_534, "+/" * 32_767 + "+", "a/" + "+/" * 32_000 + "#", "+/" * 9 + "#"):
        for action in ACTIONS:
            if action == "subscribe" or "+" not in wanted:
                assert may(file, action, wanted) is (wanted[0] != "a" and action != "publish")
    assert time.perf_counter() - start < 5
