"""Access rules: each decision, what decides it, and that no name is a way around."""

from __future__ import annotations

import pytest

from tests.broker.access.files.written import EXAMPLE, TOML, may, rules
from trio_mqtt.broker.access.files.access_rules import Action, WrittenRules
from trio_mqtt.broker.access.files.rule_tree import Decision


@pytest.fixture(params=["mosquitto", "toml"])
def example(request: pytest.FixtureRequest) -> WrittenRules:
    """The same rules, in each of the formats."""
    return rules(TOML, toml=True) if request.param == "toml" else rules(EXAMPLE)


@pytest.mark.parametrize(
    ("username", "action", "topic", "expected"),
    [
        (None, "receive", "news", True),
        (None, "receive", "news/today/1", True),
        (None, "publish", "news/today", False),
        (None, "receive", "newspaper", False),
        (None, "receive", "$SYS/broker/uptime", True),
        (None, "receive", "$SYS/broker/version", False),
        (None, "receive", "home/lamp", False),
        (None, "publish", "sensors/c1/temperature", True),
        (None, "publish", "sensors/c1", True),
        (None, "publish", "sensors/c2", False),
        (None, "receive", "sensors/c1", False),
        (None, "receive", "mail/None", False),
        ("alice", "receive", "news", False),
        ("alice", "receive", "home/lamp", True),
        ("alice", "publish", "home/lamp", True),
        ("alice", "publish", "home/safe/door", False),
        ("alice", "receive", "home/safe/door", False),
        ("alice", "receive", "home/safe", True),
        ("alice", "receive", "home/safe/door/lock", True),
        ("alice", "publish", "a topic with spaces", True),
        ("alice", "receive", "a topic with spaces", False),
        ("alice", "receive", "mail/alice", True),
        ("alice", "receive", "mail/bob smith", False),
        ("alice", "receive", "mail/alice/secret", False),
        ("bob smith", "receive", "home/kitchen/temperature", True),
        ("bob smith", "receive", "home/temperature", False),
        ("bob smith", "publish", "sensors/c1/x", True),
        ("bob smith", "receive", "mail/bob smith", True),
        ("nobody", "receive", "news", False),
        ("nobody", "publish", "sensors/c1/x", True),
    ],
)
def test_what_the_example_allows(
    example: WrittenRules, username: str | None, action: Action, topic: str, expected: bool
) -> None:
    assert may(example, action, topic, username) is expected
    if action == "receive":
        assert may(example, "subscribe", topic, username) is expected
        assert may(example, "subscribe", f"$share/group/{topic}", username) is expected


@pytest.mark.parametrize(
    ("username", "topic_filter", "expected"),
    [
        (None, "#", True),  # granted as in Mosquitto: what is delivered is looked at each time
        (None, "+", True),  # `news`
        (None, "+/+/+", True),
        (None, "news/#", True),
        (None, "home/#", False),
        (None, "sensors/#", False),
        (None, "$SYS/#", True),
        (None, "$SYS/+/uptime", True),
        (None, "$SYS/+", False),
        (None, "$share/g/#", True),
        (None, "$share/g/home/#", False),
        ("alice", "home/+", True),
        ("alice", "home/safe/+", False),
        ("alice", "home/safe/#", True),
        ("alice", "+/safe/+", False),
        ("alice", "$SYS/#", False),
        ("alice", "mail/+", True),
        ("alice", "mail/alice/+", False),
        ("bob smith", "#", True),
        ("bob smith", "home/+", False),
        ("bob smith", "+/kitchen/+", True),
        ("nobody", "#", True),  # mail/nobody
        ("nobody", "home/#", False),
    ],
)
def test_subscribing_is_allowed_where_anything_could_ever_be_received(
    example: WrittenRules, username: str | None, topic_filter: str, expected: bool
) -> None:
    assert may(example, "subscribe", topic_filter, username) is expected


def test_what_decides_is_told_with_its_line() -> None:
    file = rules(EXAMPLE)
    decide = file.decide
    assert decide("publish", client_id="c", username="alice", topic="home/safe/x") == Decision(
        False, 7, "line 7: topic deny home/safe/+"
    )
    assert decide("receive", client_id="c", username="alice", topic="home/x") == Decision(
        True, 6, "line 6: topic home/#"
    )
    assert decide("publish", client_id="c", username="bob smith", topic="sensors/c") == Decision(
        True, 12, "line 12: pattern write sensors/%c/#"
    )
    assert decide("subscribe", client_id="c", username="alice", topic="home/safe/+").line == 7
    assert decide("subscribe", client_id="c", username=None, topic="#").allowed
    assert decide("publish", client_id="c", username="alice", topic="x") == Decision(
        False, None, "no rule allows it"
    )


def test_what_decides_is_told_with_its_line_in_toml_too() -> None:
    file = rules(TOML, toml=True)
    cases = {
        "home/safe/x": (7, '[user.alice] deny "home/safe/+"'),
        "home/x": (5, '[user.alice] readwrite "home/#"'),
        "a topic with spaces": (9, '[user.alice] write "a topic with spaces"'),
        "sensors/c/x": (15, '[everyone] write "sensors/%c/#"'),
    }
    for topic, (line, text) in cases.items():
        decision = file.decide("publish", client_id="c", username="alice", topic=topic)
        assert (decision.line, decision.text) == (line, f"line {line}: {text}")
    bob = file.decide("receive", client_id="c", username="bob smith", topic="home/a/temperature")
    assert bob.text == 'line 12: [user."bob smith"] read "home/+/temperature"'


@pytest.mark.parametrize(
    "text",
    [
        'user.alice.read = ["a\\u002fb"]',
        'user = {alice = {read = ["a/b"]}}',
        '[user.alice]\nread = ["""a/b"""]',
    ],
)
def test_no_line_is_told_rather_than_a_wrong_one(text: str) -> None:
    decision = rules(text, toml=True).decide(
        "receive", client_id="c", username="alice", topic="a/b"
    )
    assert decision == Decision(True, None, '[user.alice] read "a/b"')


@pytest.mark.parametrize("name", ["+", "#", "a+b", "#x", "+/+"])
def test_a_name_that_is_a_wildcard_gets_nothing_from_patterns(name: str) -> None:
    file = rules("user a+b\ntopic own\npattern readwrite s/%c\npattern readwrite u/%u\n")
    for topic in ("s/c2", f"s/{name}", "u/bob", f"u/{name}", "s/+", "u/+"):
        assert not may(file, "publish", topic, "alice", client_id=name)
        assert not may(file, "publish", topic, name)
    for topic_filter in ("s/+", "#", "s/#"):
        assert not may(file, "subscribe", topic_filter, "alice", client_id=name)
    assert may(file, "publish", "own", name) is (name == "a+b")
    assert may(file, "subscribe", "own/#", name) is (name == "a+b")
    decision = file.decide("publish", client_id=name, username=None, topic="s/x")
    assert "holds + or #" in decision.text


def test_a_wildcard_in_a_name_matters_only_where_names_are_put_in() -> None:
    text = '[user."ann+mqtt@example.org"]\nread = ["a"]\n[everyone]\nread = ["b"]\n'
    file = rules(text, toml=True)
    assert may(file, "receive", "a", "ann+mqtt@example.org")
    assert may(file, "receive", "b", "ann+mqtt@example.org")


def test_a_name_with_a_slash_is_granted_nothing_by_it_and_denied_what_it_says() -> None:
    file = rules(
        "pattern readwrite s/%c/#\npattern read all/#\npattern deny all/%c/x\npattern read n-%u\n"
    )
    assert not may(file, "publish", "s/a/b", client_id="a/b")
    assert not may(file, "receive", "s/a/b/c", client_id="a/b")
    assert not may(file, "receive", "all/a/b/x", client_id="a/b")
    assert may(file, "receive", "all/a/b", client_id="a/b")
    assert may(file, "receive", "all/a/b/x", client_id="a")
    assert not may(file, "subscribe", "all/a/b/x", client_id="a/b")
    assert may(file, "subscribe", "all/a/#", client_id="a/b")
    assert not may(file, "receive", "n-a/b", "a/b")


def test_a_name_does_not_lead_into_the_topics_of_the_system() -> None:
    file = rules("pattern readwrite %c/#\npattern read %u/x\n")
    assert may(file, "receive", "dev/x", client_id="dev")
    assert not may(file, "receive", "$SYS/x", client_id="$SYS")
    assert not may(file, "receive", "$SYS/x", "$SYS")
    for topic_filter in ("$SYS/#", "#", "+/#"):
        assert not may(file, "subscribe", topic_filter, client_id="$SYS")


def test_names_are_put_in_once_and_within_a_level_too() -> None:
    file = rules("pattern read dev-%c/%u-%c/x\n")
    assert may(file, "receive", "dev-1/ann-1/x", "ann", client_id="1")
    assert not may(file, "receive", "dev-1/ann-2/x", "ann", client_id="1")
    assert may(file, "receive", "dev-%u/ann-%u/x", "ann", client_id="%u")
    assert not may(file, "receive", "dev-ann/ann-ann/x", "ann", client_id="%u")


def test_a_user_may_have_several_places_and_patterns_may_stand_anywhere() -> None:
    file = rules("user a\ntopic read x\nuser b\npattern read p\ntopic read y\nuser a\ntopic z\n")
    assert may(file, "receive", "x", "a")
    assert may(file, "receive", "z", "a")
    assert not may(file, "receive", "y", "a")
    assert may(file, "receive", "y", "b")
    assert may(file, "receive", "p", None)


def test_own_rules_come_before_those_for_everybody() -> None:
    file = rules("user a\ntopic read x\ntopic deny y\npattern deny x\npattern read y\n")
    assert may(file, "receive", "x", "a")
    assert not may(file, "receive", "x", "b")
    assert not may(file, "receive", "y", "a")
    assert may(file, "receive", "y", "b")


def test_rules_of_a_token_are_those_of_its_client() -> None:
    own = WrittenRules.of(read=["a/#", "$SYS/x"], write=["b/%c", "c/%u"], deny=["a/secret"])
    assert may(own, "receive", "a/b", "ann")
    assert not may(own, "receive", "a/secret", "ann")
    assert not may(own, "publish", "a/b", "ann")
    assert may(own, "publish", "b/c1", "ann")
    assert may(own, "publish", "c/ann", "ann")
    assert not may(own, "publish", "c/bob", "ann")
    assert may(own, "receive", "$SYS/x", "ann")
    decision = own.decide("receive", client_id="c", username="ann", topic="a/secret")
    assert decision == Decision(False, None, "deny a/secret")
