"""The explorer without a terminal: what is seen, and what keys do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tmqtt.explore.clients import ClientRows, Disconnection
from tmqtt.explore.explorer import Explorer
from tmqtt.explore.form import Form, Request
from tmqtt.explore.history import MESSAGES, History
from tmqtt.terminal import keys, looks
from tmqtt.terminal.cells import cut, length
from tmqtt.terminal.sparkline import BARS
from tmqtt.topics.numbers import Path, parse_path, paths_in, written

from trio_mqtt import Message


def message(topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> Message:
    return Message(topic, payload, qos, retain, False, {})


def explorer(*messages: Message, path: Path | None = None) -> Explorer:
    found = Explorer("# at here", 0.0, path, BARS)
    for number, one in enumerate(messages):
        found.add_all([one], float(number))
    found.look(1.0)
    found.frame(1.0, 120, 24)
    return found


def texts(found: Explorer, width: int = 120, height: int = 24) -> list[str]:
    return [looks.plain(cut(line, width)).rstrip() for line in found.frame(2.0, width, height)]


def press(found: Explorer, *typed: str) -> None:
    for key in typed:
        assert found.press(key) is False
        found.frame(2.0, 120, 24)


SENSOR = [
    message("home/sensor", json.dumps({"t": 20 + n, "air": {"h": n}}).encode(), retain=n == 0)
    for n in range(4)
]


def test_the_chosen_topic_is_beside_the_tree_with_what_came_before() -> None:
    found = explorer(*SENSOR)
    press(found, keys.END)
    beside = [line.partition("│")[2].strip() for line in texts(found, 120, 30)]
    assert beside[0] == "home/sensor"
    assert beside[1].startswith("4 messages, ")
    assert beside[1].endswith(" 26 bytes, QoS 0")
    assert beside[3:9] == ["{", '"t": 23,', '"air": {', '"h": 3', "}", "}"]
    assert "t 20 to 23" in beside[10]
    assert "before" in beside
    before = beside[beside.index("before") + 1 :]
    assert before[0].endswith('{"t": 22, "air": {"h": 2}}')
    assert before[2].endswith('{"t": 20, "air": {"h": 0}} retained')
    assert before[3] == ""


def test_what_is_new_in_json_is_lit() -> None:
    found = explorer(message("a", b'{"x": 1, "y": 2}'), message("a", b'{"x": 1, "y": 3}'))
    lit = {text for line in found.frame(2.0, 120, 24) for text, style in line
           if "reverse" in style and not text.startswith((" ", "a"))}  # fmt: skip
    assert lit >= {"3"}
    assert "1" not in lit


def test_numbers_are_drawn_and_n_takes_the_next() -> None:
    found = explorer(*SENSOR)
    press(found, keys.END)
    assert any(".t 20 to 23" in line for line in texts(found))
    press(found, "n")
    assert any(".air.h 0 to 3" in line for line in texts(found))
    press(found, "n")
    assert any(".t 20 to 23" in line for line in texts(found))
    given_one = explorer(*SENSOR, path=parse_path(".air.h"))
    press(given_one, keys.END)
    assert any(".air.h 0 to 3" in line for line in texts(given_one))


def test_a_value_is_shown_as_text_and_by_bytes() -> None:
    found = explorer(message("a", b'{"x": 1}'))
    assert '"x": 1' in "\n".join(texts(found))
    press(found, "v")
    assert any(line.endswith('│ {"x": 1}') for line in texts(found))
    press(found, "v")
    assert any("00000000  7b 22 78 22 3a 20 31 7d" in line for line in texts(found))


def test_in_a_narrow_terminal_enter_shows_the_topic() -> None:
    found = explorer(*SENSOR)
    assert not any("│ home/sensor" in line for line in texts(found, 60))
    press(found, keys.END, keys.ENTER)
    assert texts(found, 60)[0] == "home/sensor"
    press(found, "v")
    assert any(line.startswith('{"t": 23') for line in texts(found, 60))
    press(found, keys.ESCAPE)
    assert texts(found, 60)[0].startswith("# at here")


def test_a_message_is_published_to_the_topic_or_another() -> None:
    found = explorer(message("a/b", b"on", retain=True))
    press(found, keys.END, "p")
    assert [line.split() for line in texts(found)[-5:-1]] == [
        ["topic", "a/b"], ["payload", "on"], ["QoS", "0"], ["retain", "yes"],
    ]  # fmt: skip
    press(found, keys.BACKSPACE, "f", "f", keys.TAB, "1", keys.TAB, "n", keys.TAB, "/", "c")
    assert found.take_requests() == []
    press(found, keys.ENTER)
    assert found.take_requests() == [Request("a/b/c", b"off", 1, retain=False)]
    assert found.take_requests() == []
    press(found, "p", keys.ESCAPE)
    assert found.take_requests() == []
    assert "Enter publishes" not in texts(found)[-1]


def test_below_a_branch_a_topic_begins_with_it() -> None:
    found = explorer(message("a/b/c", b"1"), message("a/b/d", b"1"))
    press(found, keys.HOME, keys.DOWN, "p")
    assert texts(found)[-5].split() == ["topic", "a/b/"]


def test_a_topic_with_wildcards_is_not_published_to() -> None:
    form = Form("a/#", "x", retain=False)
    assert form.press(keys.ENTER) is None
    assert not form.over
    assert "wildcard" in looks.plain(form.lines(80)[-1]).lower() or "#" in looks.plain(
        form.lines(80)[-1]
    )


def test_what_is_retained_is_removed_when_that_is_confirmed() -> None:
    found = explorer(message("a", b"1", retain=True))
    press(found, "D", "n")
    assert found.take_requests() == []
    press(found, "D")
    assert texts(found)[-1] == "Forget the retained message of a? y does it."
    press(found, "y")
    assert found.take_requests() == [Request("a", b"", 0, retain=True)]


def test_text_is_edited_where_the_cursor_is() -> None:
    form = Form("", "", retain=False)
    for key in ("b", keys.HOME, "a", keys.RIGHT, "c", keys.LEFT, keys.BACKSPACE, keys.END, "d"):
        form.press(key)
    assert form.press(keys.ENTER) == Request("acd", b"", 0, retain=False)


def test_history_is_bounded_by_count_and_by_size() -> None:
    history = History(limit=100_000)
    history.add_all([message("a", b"%d" % n) for n in range(MESSAGES + 50)], 1.0)
    assert [one.payload for one in history.of("a")] == [b"%d" % n for n in range(50, MESSAGES + 50)]
    for number in range(40):
        history.add_all([message("big", bytes(10_000))], float(number))
        kept = sum(len(one.payload) for topic in ("a", "big") for one in history.of(topic))
        assert kept <= 100_000
    assert history.of("big")[-1].at == 39.0
    assert history.of("a")[-1].payload == b"%d" % (MESSAGES + 49)
    history.add_all([message("huge", bytes(200_000))], 50.0)
    assert len(history.of("huge")) == 1
    assert history.of("unknown") == ()


@pytest.mark.parametrize(
    ("payload", "paths"),
    [
        (b"21.5", [""]),
        (b'{"a": {"b": [1, "x", 2]}, "c d": 3, "e.f": true}', [".a.b[0]", ".a.b[2]", ".c d"]),
        (b'{"e.f": 1}', ['."e.f"']),
        (b"text", []), (b"[" * 100_000, []), (b"{", []),
    ],
)  # fmt: skip
def test_the_ways_to_numbers_are_found_and_read_back(payload: bytes, paths: list[str]) -> None:
    found = paths_in(payload)
    assert [written(path) for path in found] == paths
    assert [parse_path(written(path)) for path in found if path] == [path for path in found if path]


@given(
    typed=st.lists(
        st.sampled_from(
            [
                *"/?nvpDyecqxjkg ",
                keys.ENTER,
                keys.ESCAPE,
                keys.TAB,
                keys.LEFT,
                keys.RIGHT,
                keys.UP,
                keys.DOWN,
                keys.BACKSPACE,
                keys.CLEAR,
                keys.HOME,
                keys.END,
            ]
        ),
        max_size=30,
    ),
    payload=st.binary(max_size=40) | st.sampled_from([b'{"a": [1, 2, {"b": 3}]}', b"7", b""]),
    width=st.integers(1, 140),
    height=st.integers(1, 30),
)
def test_whatever_is_typed_a_frame_fits(
    typed: list[str], payload: bytes, width: int, height: int
) -> None:
    found = explorer(
        *(message(f"t/{n}/\x1b[2J", payload, retain=n == 1) for n in range(3)), *SENSOR
    )
    for key in typed:
        found.press(key)
        lines = found.frame(3.0, width, height)
        assert len(lines) <= max(height, 7)
        assert not any("\x1b" in text for line in lines for text, _ in line)
        assert all(length(cut(line, width)) <= width for line in lines)


def clients(*names: str, total: int | None = None) -> dict[str, Any]:
    """What an API answers."""
    items = [
        {
            "client_id": name, "mount_point": "", "connected": True, "since": 0.0,
            "username": None, "address": "192.0.2.1:1", "listener": "mqtt://a", "protocol": "5",
            "keep_alive": 60, "expiry_interval": 0, "expires_at": None, "will": None,
            "subscriptions": 1, "queued_messages": 0, "queued_bytes": 0, "in_flight": 0,
            "dropped": 0, "rates": None,
        }
        for name in names
    ]  # fmt: skip
    return {"items": items, "total": len(names) if total is None else total}


def test_clients_are_asked_for_as_they_are_typed_and_stay_chosen() -> None:
    rows = ClientRows()
    found = Explorer("# at here", 0.0, None, BARS, rows)
    press(found, "C")
    assert texts(found)[0] == "Asking the broker …"
    rows.take(clients("a", "b", "c", total=2_000))
    found.look(1.0)
    assert [line.split()[0] for line in texts(found)[:4]] == ["Client", "a", "b", "c"]
    assert texts(found)[-1].startswith("2,000 clients by name · 3 shown, / searches all")
    press(found, keys.DOWN)
    rows.take(clients("0", "a", "b"))  # "b" is another row now
    found.look(1.0)
    press(found, "x")
    assert texts(found)[-1] == "Disconnect b? y does it."
    press(found, "y")
    assert found.take_requests() == [Disconnection("b", "")]
    press(found, "x", "n", "/", "C", "s", ".", "*")
    assert (rows.asked["search"], rows.asked["slow"]) == ("Cs.*", None)
    press(found, keys.ENTER, "s", "o")
    assert (rows.asked["slow"], rows.asked["sort"]) == (True, "queued_messages")
    rows.fail("Nobody answers.")
    assert "Nobody answers." in texts(found)[0]
    press(found, "C")
    assert not found.shows_clients
    assert found.take_requests() == []


def test_without_an_api_it_says_what_names_one() -> None:
    found = explorer(*SENSOR)
    press(found, "C")
    assert "--api" in found.notice
    press(found, keys.DOWN)
    assert found.notice == ""
