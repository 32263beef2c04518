"""Answers of a history, as they are read from a message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trio_mqtt import RemoteProtocolError
from trio_mqtt.history import HistoryPage, KeptMessage, Point, decode_page
from trio_mqtt.history.answers import encode_page

MESSAGE: dict[str, Any] = {"topic": "a", "time": 1.0, "qos": 0, "retain": False, "payload": "x"}
POINT: dict[str, Any] = {"topic": "a", "time": 1.0, "value": 1.0, "numbers": 1}


@pytest.mark.parametrize(
    "page",
    [
        HistoryPage(),
        HistoryPage(
            (
                KeptMessage("a", b"text", 1.5),
                KeptMessage("a", b"\xff\x00", -1.0, 2, True, {"user_property": [("a", "b")]}),
            ),
            next="1.2.3.0",
        ),
        HistoryPage(points=(Point("a", 10.0, 1.5, 3),), next="10.0.0.0"),
    ],
)
def test_an_answer_says_what_the_page_has(page: HistoryPage) -> None:
    assert decode_page(encode_page(page, has_points=bool(page.points))) == page


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "[]",
        "1",
        "[" * 100_000,
        {"messages": 1},
        {"messages": [{}]},
        {"messages": [MESSAGE | {"time": 1e300}]},
        {"messages": [MESSAGE | {"time": 10**400}]},
        {"messages": [MESSAGE | {"time": -1e11}]},
        {"messages": [MESSAGE | {"time": float("nan")}]},
        {"messages": [MESSAGE | {"qos": float("inf")}]},
        {"messages": [MESSAGE | {"payload_base64": "?"}]},
        {"messages": [MESSAGE | {"properties": {"user_property": [1]}}]},
        {"points": [POINT | {"time": 1e12}]},
        {"points": [POINT | {"value": 10**400}]},
    ],
)
def test_what_is_no_answer_is_said_to_be_none(answer: object) -> None:
    data = answer if isinstance(answer, str) else json.dumps(answer)
    with pytest.raises(RemoteProtocolError, match="no answer of a history"):
        decode_page(data.encode())
