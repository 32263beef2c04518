"""Questions and answers as they travel in messages: JSON, or parameters. Sans-IO.

What is published to `$history/TOPIC` asks for the history of a topic, and to `$history` for that of
a `filter`. A question is a JSON object, `{"filter": "a/#", "since": "2h", "last": 10}`, or
parameters, `filter=a/#&since=2h&last=10`: the other names are those of `HistoryQuery`. An answer is
an object with `messages` or `points`, and `next` where there is more; or with `error`, a sentence.
"""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from typing import Any, cast
from urllib.parse import unquote

from trio_mqtt.errors import RemoteProtocolError
from trio_mqtt.history.moments import parse_moment
from trio_mqtt.history.queries import HistoryPage, HistoryQuery, KeptMessage, Point, QueryError
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.quantities import parse_duration

ROOT = "$history"
"""What is published there, or below, asks for a history."""
CONTENT_TYPE = "application/json"
_LONGEST = 4_096  # bytes of a question
_FIRST, _LAST = -62_135_000_000, 253_402_000_000  # seconds since 1970: of years 1 to 9999, nearly
_NAMES = ("filter", "since", "until", "last", "every", "summary", "path", "after", "limit")


def query_from(topic: str, question: bytes, now: float, maximum_bytes: int) -> HistoryQuery:
    """The query that a question asks, which was published to a topic.

    Raises QueryError, whose text says what is wrong.
    """
    values = dict(_values(question))
    unknown = values.keys() - {*_NAMES}
    if unknown:
        raise QueryError(f"There is no {min(unknown)!r}: there are {', '.join(_NAMES)}.")
    topic_filter = values.pop("filter", None)
    asked = topic.removeprefix(f"{ROOT}/")
    if asked != topic:
        if topic_filter is not None:
            raise QueryError(f"There is {ROOT}/TOPIC, or {ROOT} and a filter, not both.")
        topic_filter = asked
    if not isinstance(topic_filter, str):
        raise QueryError(
            f'Ask at {ROOT}/TOPIC, or at {ROOT} with a filter, as {{"filter": "a/#"}}.'
        )
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        if value is None:
            continue
        if name in ("since", "until"):
            arguments[name] = _moment(name, value, now)
        elif name == "every":
            arguments[name] = _duration(value)
        elif name in ("last", "limit"):
            arguments[name] = _count(name, value)
        elif isinstance(value, str):
            arguments[name] = value
        else:
            raise QueryError(f"{name} is a text, not {value!r}.")
    return HistoryQuery(topic_filter=topic_filter, maximum_bytes=maximum_bytes, **arguments)


def _values(question: bytes) -> Mapping[str, object]:
    try:
        if len(question) > _LONGEST:
            raise QueryError(f"A question has {_LONGEST:,} bytes at most.")
        text = question.decode().strip()
        if not text.startswith("{"):
            return dict(map(_pair, text.split("&"))) if text else {}
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, QueryError):
            raise
        raise QueryError(
            'A question is JSON, as {"since": "2h"}, or parameters, as since=2h&last=10.'
        ) from None
    return cast("dict[str, object]", values)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError
    return name, unquote(value, errors="strict")


def _moment(name: str, value: object, now: float) -> float:
    if isinstance(value, str):
        try:
            return parse_moment(value, now, UTC)
        except ValueError as error:
            raise QueryError(f"{name}: {error}") from None
    return _number(name, value)


def _duration(value: object) -> float:
    if isinstance(value, str):
        try:
            return float(value) if value.replace(".", "", 1).isdecimal() else parse_duration(value)
        except ValueError as error:
            raise QueryError(f"every: {error}") from None
    return _number("every", value)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise QueryError(f"{name} is a number or a text, not {value!r}.")
    return float(value)


def _count(name: str, value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise QueryError(f"{name} is a whole number, not {value!r}.")


def question_for(query: HistoryQuery) -> bytes:
    """The question that asks a query of a broker, at `$history`; but for the bytes of a page."""
    values: dict[str, object] = {"filter": query.topic_filter}
    for name in _NAMES[1:]:
        value = getattr(query, name)
        if value not in (None, ""):
            values[name] = value
    return json.dumps(values, ensure_ascii=False).encode()


def encode_page(page: HistoryPage, *, has_points: bool) -> bytes:
    """A page as an answer; `has_points` where points were asked for, if there are any or not."""
    return join_entries(encode_entries(page, has_points=has_points), page, has_points=has_points)


def encode_entries(page: HistoryPage, *, has_points: bool) -> Iterator[bytes]:
    """The messages or points of a page, one after the other, as they stand in an answer."""
    if not has_points:
        for message in page.messages:
            yield _json(message_as_json(message))
        return
    for one in page.points:
        value = one.value if math.isfinite(one.value) else None
        yield _json({"topic": one.topic, "time": one.at, "value": value, "numbers": one.numbers})


def join_entries(entries: Iterable[bytes], page: HistoryPage, *, has_points: bool) -> bytes:
    """The answer that a page is, made of its entries."""
    kind = b"points" if has_points else b"messages"
    after = b',"next":%s' % _json(page.next) if page.next else b""
    return b'{"%s":[%s]%s}' % (kind, b",".join(entries), after)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def encode_error(sentence: str) -> bytes:
    """That there is no answer, and why."""
    return json.dumps({"error": sentence}, ensure_ascii=False).encode()


def message_as_json(message: KeptMessage) -> dict[str, object]:
    """A message as an object: what is no text is in `payload_base64`, in place of `payload`.

    Properties that are bytes, such as correlation data, are left out.
    """
    payload = message.payload
    shown: dict[str, object] = {
        "topic": message.topic,
        "time": message.at,
        "qos": message.qos,
        "retain": message.retain,
    }
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text = ""
    # What JSON has to escape would be several times as long.
    if (text or not payload) and not any(map(_is_control, text)):
        shown["payload"] = text
    else:
        shown["payload_base64"] = b64encode(payload).decode()
    properties = {
        name: value for name, value in message.properties.items() if not isinstance(value, bytes)
    }
    if properties:
        shown["properties"] = properties
    return shown


def _is_control(character: str) -> bool:
    return character < " " and character not in "\n\r\t"


def decode_page(answer: bytes) -> HistoryPage:
    """A page from an answer. Raises QueryError where it says why there is none, and
    RemoteProtocolError where it is no answer.
    """
    try:
        found = json.loads(answer)
        if "error" in found:
            raise QueryError(str(found["error"]))
        return HistoryPage(
            tuple(map(_message, found.get("messages", ()))),
            tuple(map(_point, found.get("points", ()))),
            str(found.get("next", "")),
        )
    except QueryError:
        raise
    except (
        ValueError,  # binascii.Error among them
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise RemoteProtocolError("what came is no answer of a history") from error


def _message(found: Mapping[str, Any]) -> KeptMessage:
    payload = (
        b64decode(found["payload_base64"], validate=True)
        if "payload_base64" in found
        else str(found["payload"]).encode()
    )
    properties: Any = found.get("properties", NO_PROPERTIES)
    if "user_property" in properties:
        properties["user_property"] = [(str(a), str(b)) for a, b in properties["user_property"]]
    return KeptMessage(
        str(found["topic"]),
        payload,
        _time(found["time"]),
        int(found["qos"]),
        bool(found["retain"]),
        cast("Properties", properties),
    )


def _time(found: Any) -> float:  # noqa: ANN401 # whatever JSON has
    """A time that a calendar has."""
    time = float(found)
    if not _FIRST < time < _LAST:
        raise ValueError("no calendar has this time")
    return time


def _point(found: Mapping[str, Any]) -> Point:
    value = found["value"]
    return Point(
        str(found["topic"]),
        _time(found["time"]),
        math.nan if value is None else float(value),
        int(found["numbers"]),
    )
