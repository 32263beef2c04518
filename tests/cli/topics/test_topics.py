"""What --watch and --tree know of the topics, and how it fills a screen."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tmqtt.sub.table_frames import Table
from tmqtt.terminal import looks
from tmqtt.terminal.cells import cut, length
from tmqtt.topics import topics
from tmqtt.topics.lines import age
from tmqtt.topics.numbers import number_in, parse_path
from tmqtt.topics.topics import Topics
from tmqtt.topics.tree import Tree
from tmqtt.topics.tree_frames import TreeFrames

from trio_mqtt import Message


def messages(*names: str, payload: bytes = b"1") -> list[Message]:
    return [Message(name, payload, 0, False, False, {}) for name in names]


def frame(frames: Table | TreeFrames, width: int = 80, height: int = 24) -> list[str]:
    return [looks.plain(line).rstrip() for line in frames.frame(10.0, width, height)]


def test_a_row_shows_rate_age_numbers_and_the_last_value() -> None:
    known = Topics(0.0)
    for second in range(1, 11):
        known.add_all(messages(*["a/b"] * 20, payload=b"%d" % second))
        known.look(float(second))
    assert frame(Table(known, "topic", "a/#"))[1:] == [
        "TOPIC   RATE   AGE  TREND         LAST",
        "a/b       20   now  ▁▂▃▃▄▅▆▆▇█    10",
    ]
    assert frame(Table(known, "topic", "a/#"))[0] == "a/# · 1 topic · 20/s · 200 messages"


def test_rows_are_sorted_and_what_does_not_fit_is_counted() -> None:
    known = Topics(0.0)
    known.add_all(messages("b", "a", "c", "c", "c"))
    known.look(1.0)
    known.add_all(messages("a"))
    known.look(1.5)
    known.look(3.0)
    table = Table(known, "topic", "#")
    assert [line.split()[0] for line in frame(table)[2:]] == ["a", "b", "c"]
    assert [line.split()[0] for line in frame(Table(known, "rate", "#"))[2:]] == ["c", "a", "b"]
    assert [line.split()[0] for line in frame(Table(known, "age", "#"))[2:]] == ["a", "b", "c"]
    small = frame(table, height=4)
    assert small[2].startswith("a ")
    assert small[3] == "… 2 more topics not shown"


def test_topics_beyond_the_bound_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "MAX_TOPICS", 2)
    known = Topics(0.0)
    known.add_all(messages("a", "b", "c", "c"))
    known.look(1.0)
    table = frame(Table(known, "topic", "#"))
    assert table[0] == "# · 2 topics · 4.0/s · 4 messages"
    assert table[-1] == "2 messages of further topics only counted"


@settings(deadline=None)
@given(st.integers(10, 200), st.integers(3, 60), st.integers(0, 100))
def test_a_frame_fits_the_screen(width: int, height: int, count: int) -> None:
    known = Topics(0.0)
    known.add_all(messages(*(f"room {n}/漢字 {'x' * n}" for n in range(count)), payload=b"\xff\n"))
    known.look(1.0)
    tree = TreeFrames(known, "#")
    tree.look()
    for frames in (Table(known, "rate", "#"), tree):
        lines = frames.frame(1.0, width, height)
        assert len(lines) <= height
        for line in lines:
            assert looks.plain(line).isprintable()
            assert length(cut(line, width)) <= width


def test_a_tree_shows_levels_and_counts() -> None:
    known = Topics(0.0)
    frames = TreeFrames(known, "#")
    known.add_all(messages("home/kitchen/t", "home/kitchen/t", "home/hall", "/x", payload=b"5"))
    known.look(1.0)
    frames.look()
    known.add_all(messages("home/hall", "home", payload=b"6"))
    known.look(2.0)
    frames.look()
    assert frame(frames)[1:] == [
        '""  1 in 1 topic',
        "└─ x  1  5",
        "home  5 in 3 topics  6",
        "├─ hall  2  6",
        "└─ kitchen  2 in 1 topic",
        "   └─ t  2  5",
    ]


def test_a_tree_that_does_not_fit_says_what_is_closed() -> None:
    known = Topics(0.0)
    frames = TreeFrames(known, "#")
    known.add_all(messages(*(f"a/{n:03}/x" for n in range(100)), "b/c"))
    known.look(1.0)
    frames.look()
    shown = frame(frames, height=10)
    assert shown[1:] == [
        "a  100 in 100 topics",
        "├─ 000  1 in 1 topic  ▸",
        "├─ 001  1 in 1 topic  ▸",
        "├─ 002  1 in 1 topic  ▸",
        "├─ 003  1 in 1 topic  ▸",
        "└─ … 96 more",
        "b  1 in 1 topic",
        "└─ c  1  1",
        "▸ holds more: 100 of 101 branches not open",
    ]


@settings(deadline=None)
@given(st.lists(st.text(alphabet="ab/", min_size=1, max_size=6), max_size=40), st.integers(1, 30))
def test_a_tree_never_takes_more_lines_and_counts_every_message(
    names: list[str], room: int
) -> None:
    known = Topics(0.0)
    known.add_all(messages(*names))
    known.look(1.0)
    tree = Tree()
    tree.update(known.changed)
    assert len(tree.branches(room)) <= room
    assert tree.root.count == len(names)
    assert tree.root.topics == len(set(names))


@pytest.mark.parametrize(
    ("path", "payload", "number"),
    [
        ("", b"21.5", 21.5),
        ("", b" 7\n", 7.0),
        ("", b"nan", None),
        ("", b"on", None),
        (".t", b'{"t": 21.5}', 21.5),
        ("t", b'{"t": true}', 1.0),
        (".rooms[1].t", b'{"rooms": [{}, {"t": -3}]}', -3.0),
        ('."a b".c', b'{"a b": {"c": 1}}', 1.0),
        (".t", b'{"t": "21.5"}', None),
        (".t", b'{"x": 1}', None),
        (".t[0]", b'{"t": {"0": 1}}', None),
        (".t", b"[1]", None),
        (".t", b"\xff", None),
        (".t", b'{"t": %s}' % (b"9" * 400), None),
    ],
)
def test_numbers_in_payloads(path: str, payload: bytes, number: float | None) -> None:
    assert number_in(payload, parse_path(path) if path else ()) == number


@pytest.mark.parametrize("path", [".a..b", ".a[", "[x]", '."a', ".a]"])
def test_what_is_not_the_way_to_a_field_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is not the way to a field"):
        parse_path(path)


def test_ages_are_short() -> None:
    shown = [
        age(seconds) for seconds in (0.2, 1, 59, 60, 3_599, 3_600, 47 * 3_600, 48 * 3_600, 1e7)
    ]
    assert shown == ["now", "1s", "59s", "1m", "59m", "1h", "47h", "2d", "115d"]
