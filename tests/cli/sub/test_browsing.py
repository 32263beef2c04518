"""Keys typed at many rows: scrolling, a filter, one row in full, branches."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tmqtt.sub.table_frames import Table
from tmqtt.terminal import keys, looks
from tmqtt.terminal.browsing import Browser
from tmqtt.terminal.cells import cut, length
from tmqtt.topics.topics import Topics
from tmqtt.topics.tree_frames import TreeFrames

from trio_mqtt import Message


def known_topics(*names: str) -> Topics:
    known = Topics(0.0)
    known.add_all([Message(name, b"1", 0, False, False, {}) for name in names])
    known.look(1.0)
    return known


def texts(browser: Browser[Any], width: int = 80, height: int = 10) -> list[str]:
    return [looks.plain(line).rstrip() for line in browser.frame(2.0, width, height)]


def chosen(browser: Browser[Any], width: int = 80, height: int = 10) -> str:
    """The row that is shown in reverse."""
    (row,) = [
        looks.plain(line)
        for line in browser.frame(2.0, width, height)
        if any("reverse" in style for _, style in line)
    ]
    return row.split()[0]


def test_rows_scroll_by_line_by_screen_and_to_the_ends() -> None:
    browser: Browser[Any] = Browser(
        Table(known_topics(*(f"t/{n:02}" for n in range(50))), "topic", "#")
    )
    assert chosen(browser) == "t/00"
    assert texts(browser)[-1].startswith("1 to 7 of 50 · ↑↓ scroll · / filter · ")
    for key, row in (
        (keys.DOWN, "t/01"), ("j", "t/02"), (keys.UP, "t/01"), (keys.PAGE_DOWN, "t/08"),
        (" ", "t/15"), (keys.END, "t/49"), (keys.DOWN, "t/49"), (keys.PAGE_UP, "t/42"),
        (keys.HOME, "t/00"), (keys.UP, "t/00"), ("G", "t/49"),
    ):  # fmt: skip
        assert browser.press(key) is False
        assert chosen(browser) == row
    assert texts(browser)[-1].startswith("44 to 50 of 50")
    assert [line.split()[0] for line in texts(browser)[2:-1]] == [f"t/{n}" for n in range(43, 50)]
    assert browser.press("q") is True


def test_a_filter_is_typed_kept_and_cleared() -> None:
    browser: Browser[Any] = Browser(Table(known_topics("home/Lamp", "home/q", "x"), "topic", "#"))
    for key in ("/", "l", "a", "x", keys.BACKSPACE):
        assert browser.press(key) is False
    assert [line.split()[0] for line in texts(browser)[2:-1] if line] == ["home/Lamp"]
    assert texts(browser)[-1] == "/la_ 1 found · Enter keeps it · Esc clears it"
    browser.press(keys.ENTER)
    assert texts(browser)[-1].startswith("/la · 1 to 1 of 1 · ")
    left = [looks.plain(line) for line in browser.last_frame(2.0, 80, 10)]
    assert left[-1] == "only with 'la' in the topic"
    browser.press(keys.ESCAPE)
    assert len([line for line in texts(browser)[2:-1] if line]) == 3
    browser.press("/")
    assert browser.press("q") is False  # a letter like any other
    assert [line.split()[0] for line in texts(browser)[2:-1] if line] == ["home/q"]
    for key in (".", "*"):
        browser.press(key)
    assert not any(texts(browser)[2:-1])  # a text, no pattern
    browser.press(keys.ESCAPE)
    browser.press(keys.DOWN)
    assert chosen(browser) == "home/q"


def test_the_order_changes_and_the_row_chosen_by_name_stays() -> None:
    known = known_topics("b", "c", "d", "d", "d")
    browser: Browser[Any] = Browser(Table(known, "topic", "#"))
    texts(browser)
    browser.press(keys.DOWN)
    assert chosen(browser) == "c"
    known.add_all([Message("a", b"1", 0, False, False, {})])
    known.look(2.0)
    browser.refresh()
    assert chosen(browser) == "c"
    assert [line.split()[0] for line in texts(browser)[2:-1] if line] == ["a", "b", "c", "d"]
    browser.press("s")
    assert "s sort: rate" in texts(browser)[-1]
    assert texts(browser)[2].startswith("d ")


def test_one_message_in_full_and_the_keys_themselves() -> None:
    known = Topics(0.0)
    known.add_all([Message("a", b'{"deep": {"er": "%s"}}' % (b"x" * 60), 0, False, False, {})])
    known.look(1.0)
    browser: Browser[Any] = Browser(Table(known, "topic", "#"))
    texts(browser)
    browser.press(keys.ENTER)
    shown = texts(browser, height=14)
    assert shown[:2] == ["a", "1 message, 1.0/s, the last 1s ago, 80 bytes"]
    assert '    "er": "' + "x" * 60 + '"' in shown
    assert shown[-1] == "Esc goes back · q ends"
    browser.press(keys.ESCAPE)
    browser.press("?")
    assert " /          show only what has this text; Enter keeps it, Esc clears it" in texts(
        browser, height=24
    )
    browser.press("x")
    assert chosen(browser) == "a"


def test_branches_open_and_close_and_stay_as_they_are() -> None:
    known = known_topics(*(f"home/r{n}/t" for n in range(12)), "x/y")
    frames = TreeFrames(known, "#")
    frames.look()
    browser: Browser[Any] = Browser(frames)

    def rows() -> list[str]:
        return [re.split(r"  [0-9]", line)[0] for line in texts(browser, height=17)[1:-1] if line]

    assert rows() == ["home", *(f"├─ r{n}" for n in (0, 1, 10, 11, *range(2, 9))), "└─ r9",
                      "x", "└─ y"]  # fmt: skip
    browser.press(keys.LEFT)
    assert rows() == ["home", "x", "└─ y"]
    browser.press(keys.ENTER)
    browser.press(keys.RIGHT)
    assert chosen(browser) == "├─"
    browser.press(keys.RIGHT)
    assert rows()[:3] == ["home", "├─ r0", "│  └─ t"]
    known.add_all([Message("a", b"1", 0, False, False, {})])
    known.look(2.0)
    frames.look()
    browser.refresh()
    assert rows()[:4] == ["a", "home", "├─ r0", "│  └─ t"]  # nothing else opens or closes
    browser.press("e")
    assert rows().count("│  └─ t") >= 6
    browser.press("c")
    assert rows() == ["a", "home", "x"]
    assert chosen(browser) == "home"
    for key in ("/", "r", "1", "1"):
        browser.press(key)
    assert rows() == ["home", "└─ r11", "   └─ t"]
    browser.press(keys.ENTER)
    browser.press(keys.END)
    browser.press(keys.ENTER)
    assert texts(browser)[0] == "home/r11/t"


@given(
    st.integers(1, 120),
    st.integers(1, 30),
    st.integers(0, 60),
    st.lists(
        st.sampled_from(
            [keys.UP, keys.DOWN, keys.PAGE_DOWN, keys.PAGE_UP, keys.HOME, keys.END, keys.ENTER,
             keys.LEFT, keys.RIGHT, keys.ESCAPE, "/", "1", "s", "e", "c", "?"]
        )
    ),
)  # fmt: skip
def test_whatever_is_typed_a_frame_fits(
    width: int, height: int, count: int, typed: list[str]
) -> None:
    known = known_topics(*(f"room {n}/漢字/{'x' * n}" for n in range(count)))
    tree = TreeFrames(known, "# at mqtt://b:1883")
    tree.look()
    table = Table(known, "topic", "# at mqtt://b:1883")
    for browser in (Browser[Any](table), Browser[Any](tree)):
        for key in ("", *typed):
            browser.press(key)
            lines = browser.frame(1.0, width, height)
            assert len(lines) <= height
            assert all(length(cut(line, width)) <= width for line in lines)
            assert len(browser.last_frame(1.0, width, height)) <= height


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_hints_are_shortened_and_never_cut(width: int) -> None:
    names = [f"home/kitchen/oven/{n:05}" for n in range(20_000)]
    browser: Browser[Any] = Browser(
        Table(known_topics(*names), "topic", "home/# at mqtt://broker.example")
    )
    lines = texts(browser, width=width)
    assert all(len(line) <= width for line in (lines[0], lines[-1]))
    assert re.search(r"20,000", lines[-1])
    assert width < 40 or "? keys" in lines[-1]
    values = [line.rpartition("  ")[2] for line in texts(browser, width)[2:-1]]
    assert set(values) == {"1"}
