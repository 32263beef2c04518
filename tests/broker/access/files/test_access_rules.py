"""Access rules: each decision, what decides it, and that no name or filter is a way around."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.broker.access.files.naive_rules import NaiveRule, allowed, as_file, topics_of, topics_on
from trio_mqtt import ConfigurationError
from trio_mqtt.broker.access.files.access_file import AccessFile
from trio_mqtt.broker.access.files.access_formats import read_mosquitto, read_toml
from trio_mqtt.broker.access.files.access_rules import ACTIONS, Action, WrittenRules
from trio_mqtt.broker.access.files.rule_tree import Decision

EXAMPLE = """\
# For clients without a user name.
topic read news/#
topic read $SYS/broker/uptime

user alice
topic home/#
topic deny home/safe/+
topic write a topic with spaces
user bob smith
topic read home/+/temperature

pattern write sensors/%c/#
pattern read mail/%u
pattern deny mail/%u/secret
"""
TOML = """\
[anonymous]
read = ["news/#", "$SYS/broker/uptime"]

[user.alice]
readwrite = ["home/#"]
deny = [
    "home/safe/+",   # never "home/safe"
]
write = ['a topic with spaces']

[user."bob smith"]
read = ["home/+/temperature"]

[everyone]
write = ["sensors/%c/#"]
read = ["mail/%u"]
deny = ["mail/%u/secret"]
"""


def rules(text: str, *, toml: bool = False) -> WrittenRules:
    found = (read_toml if toml else read_mosquitto)(text, "access")
    return WrittenRules(users=found.users, anonymous=found.anonymous, everyone=found.everyone)


def may(
    file: WrittenRules,
    action: Action,
    topic: str,
    username: str | None = None,
    client_id: str = "c1",
) -> bool:
    return file.decide(action, client_id=client_id, username=username, topic=topic).allowed


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


# --- files that are refused


def error_of(text: str, *, toml: bool = False) -> str:
    with pytest.raises(ConfigurationError) as caught:
        rules(text, toml=toml)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("topic", "says 'topic' but not which: write a topic after it, or remove the line."),
        ("pattern  ", "says 'pattern' but not which"),
        ("user", "says 'user' but not which: write a name after it"),
        ("topic rw a/b", "has 'rw' where read, write, readwrite or deny stands."),
        ("topic a b", "has 'a' where read, write, readwrite or deny stands."),
        ("topic read a/#/b", "'a/#/b' has '#' elsewhere than alone in its last level."),
        ("topic read a+", "has '+' next to other characters in one level"),
        ("topic read a/b # mine", "A comment has a line of its own."),
        (" # mine", "has a space before its comment"),
        ("topic\tread\ta", "has no space after its first word: write a space after 'topic'."),
        ("users alice", "begins with 'users': a line reads `user NAME`, `topic read|write"),
        ("read a", "begins with 'read': a line reads"),
        ("[user.alice]", "is TOML: give the file a name that ends in .toml."),
        ("topic read a\0b", "holds the null character"),
    ],
)
def test_a_wrong_line_is_named_with_its_number_and_a_remedy(line: str, sentence: str) -> None:
    error = error_of(f"# mine\ntopic read a\n{line}\n")
    assert error.startswith("Line 3 of the access file access")
    assert sentence in error


@pytest.mark.parametrize(
    ("text", "start", "sentence"),
    [
        ("[user.a]\nread = [", "The access file access is not TOML: ", "at end of document"),
        ("\n[users.a]\n", "Line 2 of the access file access: 'users' is unknown", "[everyone]"),
        ("[user.a]\nreads = []", "Line 2 of the access file access: 'user.a.reads' is", "deny."),
        ("[user.a]\nread = 'x'", "Line 2 of the access file access: 'user.a.read'", '["home/#"'),
        ("[everyone]\nread = ['x', 1]", "Line 2 of the access file access: 'everyone.r", "list"),
        ("[user]\nread = ['x']", "Line 2 of the access file access: 'user.read'", "[user.NAME]"),
        ("user = 1", "Line 1 of the access file access: 'user' is no section", "[user.NAME]"),
        ("anonymous = 1", "Line 1 of the access file access: 'anonymous'", "sections are"),
        (
            "[user.'a b']\nread = [\n'fine/#',\n'a/#/b',\n]",
            "Line 4 of the access file access: 'user.\"a b\".read' has the topic filter 'a/#/b'",
            "has '#' elsewhere than alone in its last level: filters read",
        ),
        ("[a]\n[a]", "The access file access is not TOML: ", "(at line 2, column 3)"),
    ],
)
def test_what_is_wrong_in_toml_is_named(text: str, start: str, sentence: str) -> None:
    error = error_of(text, toml=True)
    assert error.startswith(start)
    assert sentence in error


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "user alice\n"])
def test_a_file_without_a_rule_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "access"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"has no rule, .*`pattern readwrite #`"):
        AccessFile.load(path)
    (tmp_path / "access.toml").write_text(text if text != "user alice\n" else "[user.alice]\n")
    with pytest.raises(ConfigurationError, match="has no rule"):
        AccessFile.load(tmp_path / "access.toml")


def test_files_are_loaded_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "access").write_bytes(b"\xef\xbb\xbf" + EXAMPLE.replace("\n", "\r\n").encode())
    (tmp_path / "access.toml").write_text(TOML)
    for name in ("access", "access.toml"):
        file = AccessFile.load(tmp_path / name)
        assert file.warnings == ()
        assert may(file, "publish", "home/x", "alice")
    with pytest.raises(ConfigurationError, match="There is no access file"):
        AccessFile.load(tmp_path / "missing")
    (tmp_path / "access").write_bytes(b"topic read a\ntopic read \xff\n")
    with pytest.raises(ConfigurationError, match=r"Line 2 of the access file .* is not UTF-8"):
        AccessFile.load(tmp_path / "access")


def test_what_is_probably_a_mistake_is_told() -> None:
    text = "topic read\ntopic read a/%c\ntopic read $share/g/a\npattern read b/%u\n"
    warnings = read_mosquitto(text, "access").warnings
    for number, (warning, what) in enumerate(
        zip(
            warnings,
            (
                "is a rule for the topic 'read': was more meant?",
                "has %c or %u in a `topic`, where they stand for themselves: write `pattern`.",
                "is about a shared subscription, and has no effect: write the filter only",
            ),
            strict=True,
        ),
        1,
    ):
        assert warning.startswith(f"Line {number} of the access file access {what}")
    toml = read_toml("[anonymous]\nread = ['$share/g/a', 'a/%c']", "access").warnings
    assert len(toml) == 1
    assert toml[0].startswith("Line 2 of the access file access is about a shared subscription")


# --- against the naive model

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


# --- what it costs


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
