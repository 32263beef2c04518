"""A message is shown for what it is: JSON and what changed in it, text, numbers, bytes; folded."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tmqtt.messages.json_view import LIT, one_line, parse
from tmqtt.messages.message_view import MessageView
from tmqtt.messages.payload_view import show
from tmqtt.terminal import looks
from tmqtt.terminal.cells import length

from trio_mqtt import Message, Properties

AT = ("12:00:00 ", "")


def lines(
    *payloads: bytes, width: int = 80, height: int = 24, properties: Properties | None = None
) -> list[str]:
    """The lines of the last of some messages on one topic."""
    view = MessageView()
    for payload in payloads:
        message = Message("a", payload, 1, True, False, properties or {})
        found = view.lines(message, AT, width, height)
    return [looks.plain(line) for line in found]


def test_marks_and_properties_stand_behind_the_payload() -> None:
    properties: Properties = {
        "content_type": "text/plain",
        "message_expiry_interval": 3_600,
        "response_topic": "r",
        "correlation_data": b"\x01\x02",
        "user_property": [("k", "\x1b[2J")],
        "subscription_identifier": [1, 2],
        "payload_format_indicator": 1,
    }
    assert lines(b"21.5", width=200, properties=properties) == [
        (
            "12:00:00 a 21.5 (QoS 1, retained, text/plain, UTF-8, expires in 3,600 s,"
            " response to r, correlation 0102, subscription 1+2, k=\\x1b[2J)"
        )
    ]


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"", "(empty)"),
        (b"on", "on"),
        (b'{"t": 21.50}', '{"t": 21.50}'),
        (b'{"a":[1,true,null,"x"],"a":{}}', '{"a": [1, true, null, "x"], "a": {}}'),
        (b"{not json", "{not json"),
        (b'["\xe2\x80\xae\\u001b"]', '["\\u202e\\u001b"]'),
        (b"\xff\x00\x10", "ff 00 10  |...|"),
        (b"[red]x[/]\x1b[2J", "[red]x[/]\\x1b[2J"),
    ],
)
def test_short_payloads_take_one_line(payload: bytes, shown: str) -> None:
    assert lines(payload) == [f"12:00:00 a {shown} (QoS 1, retained)"]


def test_long_json_gets_a_line_for_each_field_and_is_folded() -> None:
    payload = b'{"name": "%s", "list": [%s]}' % (
        b"x" * 30,
        b", ".join(b"%d" % n for n in range(99)),
    )
    shown = lines(payload, height=20)
    assert shown[0] == "12:00:00 a (QoS 1, retained)"
    assert shown[1:5] == [
        "  │ {", f'  │   "name": "{"x" * 30}",', '  │   "list": [', "  │     0,",
    ]  # fmt: skip
    assert len(shown) == 1 + 10 + 1
    assert re.fullmatch(r"  │ … \d+ more bytes", shown[-1])


def test_bytes_are_a_hex_dump() -> None:
    shown = lines(bytes(range(256)) * 16, height=8)
    first = "  │ 00000000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f |................|"
    assert shown[1] == first
    assert shown[-1] == f"  │ … {4096 - 4 * 16:,} more bytes"
    wider = lines(bytes(range(256)) * 16, width=81, height=8)
    assert wider[1] == first.replace("0f |", "0f  |")


def test_text_of_several_lines_cannot_look_like_a_message() -> None:
    shown = lines(b"one\n12:00:00 b two\n")
    assert shown == ["12:00:00 a (QoS 1, retained)", "  │ one", "  │ 12:00:00 b two"]


def test_what_changed_since_the_last_message_is_lit() -> None:
    def lit(before: str, now: str) -> list[str]:
        return [text for text, style in one_line(parse(now), parse(before)) if LIT in style]

    assert lit('{"a": 1, "b": 2}', '{"a": 1, "b": 3}') == ["3"]
    assert lit('{"a": [1, {"x": 1}]}', '{"a": [1, {"x": 2}, 5]}') == ["2", "5"]
    assert lit('{"a": 1}', '{"a": "1", "b": null}') == ['"1"', '"b"', "null"]
    assert lit("[]", "{}") == []
    assert [style for _, style in one_line(parse("[1]")) if LIT in style] == []


def test_the_view_remembers_the_last_of_a_topic() -> None:
    view = MessageView()
    styles = []
    for payload in (b'{"t":1}', b'{"t":2}', b"off", b'{"t":3}'):
        (line,) = view.lines(Message("a", payload, 0, False, False, {}), AT, 80, 24)
        styles.append(any(LIT in style for _, style in line))
    assert styles == [False, True, False, False]


@settings(deadline=None)
@given(st.binary(max_size=3_000), st.integers(1, 100), st.integers(1, 40))
@example(bytes(9), 48, 1)
def test_nothing_is_wider_higher_or_unprintable(payload: bytes, width: int, height: int) -> None:
    message = Message("a", payload, 0, False, False, {})
    found = MessageView().lines(message, AT, width, height)
    assert len(found) <= max(height // 2, 4) + 2
    for line in found:
        assert looks.plain(line).isprintable()
        assert length(line) <= max(width, 46)  # a hex dump of one byte needs so much


@settings(deadline=None)
@given(st.integers(0, 20_000))
def test_bytes_shown_and_left_out_add_up(size: int) -> None:
    shown = show(b"x" * size, None, width=76, height=12)
    seen = sum(len(text) for line in shown.tall for text, _ in line)
    assert not size or seen + shown.left_out == size
