"""`pub --simulate FILE`: topics that a TOML or JSON file describes, each with its own interval."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from functools import partial
from typing import Any

from tmqtt.pub.plan import SimulatedTopic, topic_problem
from tmqtt.pub.templates import Template
from tmqtt.terminal.figures import parse_duration, parse_rate
from trio_mqtt.configuration.places import lines_of
from trio_mqtt.configuration.toml import parse

_LARGEST = 10_000_000  # bytes of a file
_MOST = 10_000  # topics
_KEYS = ("topic", "payload", "every", "rate", "qos", "retain", "count", "content-type")
_START = re.compile(r'\s*\{\s*"topics"\s*:\s*\[')
_NEXT = re.compile(r"[\s,]*")

# The line of a key of a topic, or with None that of the topic itself, or None where that is not
# known.
_LineOf = Callable[[int, str | None], int | None]


class SimulationError(ValueError):
    """What is wrong with a file, as a sentence with the file, the line and the key."""


def read_simulation(
    path: str, *, every: float | None, qos: int, retain: bool, fastest: int
) -> tuple[SimulatedTopic, ...]:
    """The topics of a file. What a topic does not say, the arguments do.

    A file whose name ends in `.json` is JSON, any other TOML. Raises SimulationError.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise SimulationError(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > _LARGEST:
        raise SimulationError(f"{path} is larger than {_LARGEST:,} bytes.")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise SimulationError(f"{path} is not UTF-8.") from None
    read = _json if path.endswith(".json") else _toml
    tree, line_of = read(path, text)
    topics = tree.get("topics") if isinstance(tree, dict) else None
    if not isinstance(topics, list) or not topics:
        raise SimulationError(
            f"{path} has no topics: write [[topics]] with topic, payload and every."
        )
    if len(tree) > 1:
        other = next(key for key in tree if key != "topics")
        raise SimulationError(f"{path}: there is no {other!r}, but topics alone.")
    if len(topics) > _MOST:
        raise SimulationError(f"{path} has more than {_MOST:,} topics.")
    found = []
    for place, given in enumerate(topics):
        try:
            found.append(_topic(given, every=every, qos=qos, retain=retain, fastest=fastest))
        except _KeyError as error:
            line = line_of(place, error.key)
            where = f"{path}, line {line}" if line else path
            key = f": {error.key}" if error.key else ""
            raise SimulationError(f"{where}{key}: {error}") from None
    return tuple(found)


class _KeyError(ValueError):
    """What is wrong with a topic, and at which of its keys."""

    def __init__(self, key: str | None, sentence: str) -> None:
        super().__init__(sentence)
        self.key = key


def _topic(
    given: object, *, every: float | None, qos: int, retain: bool, fastest: int
) -> SimulatedTopic:
    if not isinstance(given, dict):
        raise _KeyError(None, "this is no table with topic, payload and every.")
    for key in given:
        if key not in _KEYS:
            raise _KeyError(key, f"there is no such key: there are {', '.join(_KEYS)}.")
    if "topic" not in given:
        raise _KeyError(None, 'there is no topic: write topic = "home/lamp".')
    topic = _value(given, "topic", str, "text")
    if "every" in given and "rate" in given:
        raise _KeyError("rate", "there is every already: give one of them.")
    if "every" in given:
        every = _read(given, "every", parse_duration)
    if "rate" in given:
        every = 1 / _read(given, "rate", partial(parse_rate, maximum=fastest))
    payload = _value(given, "payload", str, "text") if "payload" in given else None
    content_type = _value(given, "content-type", str, "text") if "content-type" in given else None
    for key, text in (("topic", topic), ("payload", payload), ("content-type", content_type)):
        if text is not None:
            _check_is_utf_8(key, text)
    for key, text in (("topic", topic), ("payload", payload or "")):
        try:
            template = Template(text)
        except ValueError as error:
            raise _KeyError(key, str(error)) from None
        if key == "topic" and template.is_constant:
            problem = topic_problem(template.text(1))
            if problem is not None:
                raise _KeyError(key, problem)
    count = _value(given, "count", int, "a number") if "count" in given else None
    if count is not None and count < 1:
        raise _KeyError("count", f"{count} is not a number of messages: write 1 or more.")
    quality = _qos(given) if "qos" in given else qos
    if every is None:
        raise _KeyError(None, 'it does not say how often: write every = "1s" or rate = "10/s".')
    return SimulatedTopic(
        topic=topic,
        payload=payload,
        every=every,
        qos=quality,
        retain=_value(given, "retain", bool, "true or false") if "retain" in given else retain,
        count=count,
        content_type=content_type,
    )


def _value(given: dict[str, Any], key: str, kind: type, name: str) -> Any:  # noqa: ANN401 # of it
    value = given[key]
    if type(value) is not kind:
        raise _KeyError(key, f"{value!r} is not {name}.")
    return value


def _check_is_utf_8(key: str, text: str) -> None:
    """JSON can write half of a surrogate pair, which nobody can send."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _KeyError(key, "it holds a character that UTF-8 cannot carry.") from None


def _read(given: dict[str, Any], key: str, parse_value: Callable[[str], float]) -> float:
    try:
        return parse_value(_value(given, key, str, 'text, such as "1s" or "10/s"'))
    except _KeyError:
        raise
    except ValueError as error:
        raise _KeyError(key, str(error)) from None


def _qos(given: dict[str, Any]) -> int:
    value: int = _value(given, "qos", int, "a number")
    if value not in (0, 1, 2):
        raise _KeyError("qos", f"there is no quality of service {value}: write 0, 1 or 2.")
    return value


def _toml(path: str, text: str) -> tuple[Any, _LineOf]:
    try:
        tree = parse(text)
    except tomllib.TOMLDecodeError as error:
        raise SimulationError(f"{path} is not TOML: {error}.") from None

    def line_of(place: int, key: str | None) -> int | None:
        lines = lines_of(text)
        above = ("topics", place)
        return lines.get(above if key is None else (*above, key)) or lines.get(above)

    return tree, line_of


def _json(path: str, text: str) -> tuple[Any, _LineOf]:
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as error:
        raise SimulationError(f"{path}, line {error.lineno}, is not JSON: {error.msg}.") from None
    except (ValueError, RecursionError):
        raise SimulationError(f"{path} is not JSON that can be read.") from None

    def line_of(place: int, key: str | None) -> int | None:
        """By reading on from topic to topic: Python's own parser tells no lines."""
        found = _START.match(text)
        if found is None:
            return None
        at = _at(found.end())
        decoder = json.JSONDecoder()
        for _ in range(place):
            at = _at(decoder.raw_decode(text, at)[1])
        end = decoder.raw_decode(text, at)[1]
        inside = re.search(rf"{re.escape(json.dumps(key))}\s*:", text[at:end]) if key else None
        return text.count("\n", 0, at + (inside.start() if inside else 0)) + 1

    def _at(after: int) -> int:
        found = _NEXT.match(text, after)
        return found.end() if found else after

    return tree, line_of
