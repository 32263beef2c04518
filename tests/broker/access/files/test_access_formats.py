"""Access files: what is read from them, which lines are refused, and what is probably a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.broker.access.files.written import EXAMPLE, TOML, may, rules
from trio_mqtt import ConfigurationError
from trio_mqtt.broker.access.files.access_file import AccessFile
from trio_mqtt.broker.access.files.access_formats import read_mosquitto, read_toml


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
        ("topic rw a/b", "has 'rw' where read, write, readwrite or deny stands; a topic with"),
        ("topic a b", "has 'a' where read, write, readwrite or deny stands; a topic with"),
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
        (f"a = {'9' * 5_000}", "The access file access is not TOML: ", "digits"),
    ],
)
def test_what_is_wrong_in_toml_is_named(text: str, start: str, sentence: str) -> None:
    error = error_of(text, toml=True)
    assert error.startswith(start)
    assert sentence in error


def test_all_wrong_lines_are_told_at_once() -> None:
    error = error_of("topic rw a\nuser ann\nread a\ntopic read b\ntopic read a/#/b\n")
    assert [line.partition(" of the access file")[0] for line in error.split("\n")] == [
        "Line 1",
        "Line 3",
        "Line 5",
    ]
    text = "[user.a]\nreads = []\nread = ['a/#/b', 'c', '#d']\n[user.b]\nwrite = 1\n[users]\n"
    assert [
        line.partition(" of the access file")[0] for line in error_of(text, toml=True).split("\n")
    ] == [
        "Line 2",
        "Line 3",
        "Line 3",
        "Line 5",
        "Line 6",
    ]


def test_of_what_is_no_access_file_some_lines_are_told() -> None:
    *lines, last = error_of("\n".join(map(str, range(1_000)))).split("\n")
    assert len(lines) == 20
    assert last == "980 more of it are wrong."


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
