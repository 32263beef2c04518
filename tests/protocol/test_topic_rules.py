"""Topic names, topic filters and what matches what (MQTT 5.0 §4.7, §4.8.2)."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trio_mqtt.protocol.topics import (
    has_wildcard,
    parse_shared,
    topic_filter_problem,
    topic_matches_filter,
    topic_name_problem,
)

VALID_FILTERS = [
    "a", "/", "//", "a/", "/a", "+", "#", "/#", "+/+", "/+", "+/", "a/+/b", "a/#", "+/#", "+/a/#",
    "a b", "$SYS/#", "$SYS/+", "é/+", "\ufeff", "$shared/+", "$SHARE/g", "$share/g/t",
    "$share/g/#", "$share/g/+/a", "$share/g//t", "$share/g//", "$share/$x/$SYS/#", "x" * 65_535,
]  # fmt: skip


@pytest.mark.normative("MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.8.2-1")
@pytest.mark.parametrize("topic_filter", VALID_FILTERS, ids=lambda f: f[:20])
def test_a_valid_filter_has_no_problem(topic_filter: str) -> None:
    assert topic_filter_problem(topic_filter) is None


@pytest.mark.normative("MQTT-4.7.3-1", "MQTT-4.7.3-2", "MQTT-4.7.3-3")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("a\0", "null character"),
        ("\ud800", "UTF-8 cannot carry"),
        ("x" * 65_536, "longer than 65,535"),
        ("é" * 32_768, "longer than 65,535"),
    ],
    ids=["empty", "null", "surrogate", "long", "long in bytes"],
)
def test_names_and_filters_are_strings_that_mqtt_can_carry(text: str, problem: str) -> None:
    assert problem in (topic_name_problem(text) or "")
    assert problem in (topic_filter_problem(text) or "")


@pytest.mark.parametrize("topic", ["a", "/", "$SYS/x", " ", "a//b", "\ufeff", "x" * 65_535])
def test_a_valid_name_has_no_problem(topic: str) -> None:
    assert topic_name_problem(topic) is None


@pytest.mark.normative("MQTT-4.7.0-1")
@pytest.mark.parametrize("topic", ["+", "#", "a/+", "a/#/b", "a+b"])
def test_a_name_has_no_wildcard(topic: str) -> None:
    assert "wildcard" in (topic_name_problem(topic) or "")


@pytest.mark.normative("MQTT-4.8.2-1", "MQTT-4.8.2-2")
@pytest.mark.parametrize(
    ("topic_filter", "shared"),
    [
        ("$share/g/t", ("g", "t")),
        ("$share/g/a/b/#", ("g", "a/b/#")),
        ("$share/g//t", ("g", "/t")),
        ("$share/g/$share/h/t", ("g", "$share/h/t")),
        ("share/g/t", None),
        ("$SHARE/g/t", None),
        ("$shared/g/t", None),
        ("a/$share/g/t", None),
    ],
)
def test_a_shared_subscription_is_taken_apart(
    topic_filter: str, shared: tuple[str, str] | None
) -> None:
    assert parse_shared(topic_filter) == shared


def test_a_wildcard_is_seen() -> None:
    assert [has_wildcard(f) for f in ("a", "+", "#", "a/+/b", "$share/g/#", "$share/g/a")] == [
        False, True, True, True, True, False,
    ]  # fmt: skip


# The examples of §4.7.1 to §4.7.3, and their neighbours.
TABLE = """
sport/tennis/player1/#   sport/tennis/player1                     yes
sport/tennis/player1/#   sport/tennis/player1/ranking             yes
sport/tennis/player1/#   sport/tennis/player1/score/wimbledon     yes
sport/tennis/player1/#   sport/tennis/player10                    no
sport/tennis/player1/#   sport/tennis                             no
sport/#                  sport                                    yes
sport/#                  sport/                                   yes
sport/#                  sports                                   no
#                        a                                        yes
#                        /                                        yes
#                        a/b/c                                    yes
#                        /a                                       yes
sport/tennis/+           sport/tennis/player1                     yes
sport/tennis/+           sport/tennis/player1/ranking             no
sport/tennis/+           sport/tennis                             no
sport/tennis/+           sport/tennis/                            yes
sport/+                  sport                                    no
sport/+                  sport/                                   yes
+                        a                                        yes
+                        a/                                       no
+                        /a                                       no
+/+                      /finance                                 yes
/+                       /finance                                 yes
+                        /finance                                 no
+/+                      /                                        yes
+/+/+                    a//b                                     yes
+/tennis/#               sport/tennis                             yes
+/tennis/#               sport/tennis/x                           yes
+/#                      a                                        yes
+/#                      a/b                                      yes
/#                       /                                        yes
/#                       a                                        no
/#                       /a/b                                     yes
a/+/c                    a/b/c                                    yes
a/+/c                    a//c                                     yes
a/+/c                    a/b/b/c                                  no
a/+/c                    a/b                                      no
a/+/#                    a                                        no
a/+/#                    a/b                                      yes
a                        a                                        yes
a                        A                                        no
a                        a/                                       no
/a                       a                                        no
a/                       a                                        no
a/b                      a                                        no
a                        a/b                                      no
#                        $SYS                                     no
#                        $SYS/monitor/Clients                     no
+                        $SYS                                     no
+/#                      $SYS/x                                   no
+/monitor/Clients        $SYS/monitor/Clients                     no
$SYS/#                   $SYS/monitor/Clients                     yes
$SYS/#                   $SYS                                     yes
$SYS/monitor/+           $SYS/monitor/Clients                     yes
$SYS/+/Clients           $SYS/monitor/Clients                     yes
$SYS                     $SYS                                     yes
$SYS/#                   SYS/a                                    no
#                        a/$SYS                                   yes
a/#                      a/$b                                     yes
a/+                      a/$b                                     yes
$/#                      $/a                                      yes
"""
ROWS = [tuple(line.split()) for line in TABLE.strip().split("\n")]


@pytest.mark.normative("MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.7.2-1", "MQTT-4.7.3-4")
@pytest.mark.normative_v311("MQTT-4.7.2-1", "MQTT-4.7.3-4")
@pytest.mark.parametrize(("topic_filter", "topic", "answer"), ROWS)
def test_filters_match_as_the_standard_says(topic_filter: str, topic: str, answer: str) -> None:
    assert topic_filter_problem(topic_filter) is None
    assert topic_name_problem(topic) is None
    assert topic_matches_filter(topic, topic_filter) is (answer == "yes")


def reference(topic_filter: list[str], topic: list[str]) -> bool:
    """The rules as one reads them, level by level; "#" also stands for its parent."""
    if topic_filter == ["#"]:
        return True
    if not topic_filter or not topic:
        return not topic_filter and not topic
    head, *rest = topic_filter
    if head not in ("+", topic[0]):
        return False
    return reference(rest, topic[1:])


LEVEL = st.sampled_from(["", "a", "b", "ab", "$SYS", "$", "é"])
TOPICS = st.lists(LEVEL, min_size=1, max_size=5).filter(lambda levels: levels != [""])


@pytest.mark.slow
@settings(max_examples=600)
@given(
    st.lists(st.one_of(LEVEL, st.just("+")), max_size=5),
    st.booleans(),
    TOPICS,
)
@example(["+"], False, ["$SYS"])
@example([], True, ["$SYS", "a"])
def test_matching_agrees_with_a_naive_reading(
    levels: list[str], multi: bool, topic: list[str]
) -> None:
    wanted = [*levels, "#"] if multi else levels
    topic_filter = "/".join(wanted)
    if not topic_filter:
        assert topic_filter_problem(topic_filter) is not None
        return
    assert topic_filter_problem(topic_filter) is None
    expected = reference(wanted, topic)
    if topic[0].startswith("$") and wanted[0] in ("+", "#"):
        expected = False
    assert topic_matches_filter("/".join(topic), topic_filter) is expected


def naive_filter_is_valid(text: str) -> bool:
    levels = text.split("/")
    if levels[0] == "$share":
        if len(levels) < 3 or not levels[1] or {"+", "#"} & set(levels[1]):
            return False
        levels = levels[2:]
        if levels == [""]:
            return False
    return bool(text) and all(
        (level in ("+", "#") and (level == "+" or index == len(levels) - 1))
        or not {"+", "#"} & set(level)
        for index, level in enumerate(levels)
    )


@pytest.mark.slow
@settings(max_examples=600)
@given(st.lists(st.sampled_from(["a", "+", "#", "/", "$share", "/", ""]), max_size=8).map("".join))
def test_filter_validity_agrees_with_a_naive_reading(text: str) -> None:
    assert (topic_filter_problem(text) is None) is naive_filter_is_valid(text)


@given(st.text(max_size=20))
def test_any_text_is_either_a_name_or_not(text: str) -> None:
    problem = topic_name_problem(text)
    bad = not text or {"+", "#", "\0"} & set(text) or any("\ud800" <= c <= "\udfff" for c in text)
    assert (problem is not None) is bool(bad)


@pytest.mark.parametrize(
    ("topic_filter", "answer"),
    [("/" * 65_535, False), ("+/" * 32_767 + "#", True), ("+" + "/+" * 32_767, False)],
    ids=["separators", "multi-level", "single-level"],
)
def test_very_many_levels_need_no_recursion(topic_filter: str, answer: bool) -> None:
    """CVE-2019-11779, CVE-2021-33176."""
    assert topic_filter_problem(topic_filter) is None
    assert topic_matches_filter("a" + "/" * 65_533 + "a", topic_filter) is answer
    assert topic_matches_filter("/" * 65_535, "#")
