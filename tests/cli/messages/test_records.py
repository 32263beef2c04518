"""A recorded message is the same message again, and what is no record is told."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tmqtt.messages.message import ShownMessage
from tmqtt.messages.records import Recorder, RecordError, read_record

from trio_mqtt import Message, Properties, topic_name_problem

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
PROPERTIES: st.SearchStrategy[Properties] = st.fixed_dictionaries(
    {},
    optional={
        "payload_format_indicator": st.integers(0, 1),
        "message_expiry_interval": st.integers(0, 0xFFFF_FFFF),
        "content_type": TEXTS,
        "response_topic": TEXTS,
        "correlation_data": st.binary(),
        "user_property": st.lists(st.tuples(TEXTS, TEXTS)),
        "subscription_identifier": st.lists(st.integers(1, 268_435_455), min_size=1),
    },
)  # type: ignore[assignment] # names as in Properties


@settings(deadline=None)
@given(
    topic=TEXTS.filter(lambda topic: topic_name_problem(topic) is None),
    payload=st.binary() | TEXTS.map(str.encode),
    qos=st.integers(0, 2),
    retain=st.booleans(),
    properties=PROPERTIES,
    moment=st.integers(0, 4_000_000_000_000_000_000),
)
def test_a_message_comes_out_as_it_went_in(
    topic: str, payload: bytes, qos: int, retain: bool, properties: Properties, moment: int
) -> None:
    line = Recorder().line(Message(topic, payload, qos, retain, False, properties), moment)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    json.loads(line)
    record = read_record(line)
    assert (record.topic, record.payload, record.qos) == (topic, payload, qos)
    assert (record.retain, record.properties) == (retain, properties)
    assert record.moment == moment // 1000


GOOD = {
    "time": "2026-11-24T17:22:50.123456Z",
    "topic": "a",
    "qos": 0,
    "retain": False,
    "payload": "x",
}


def problem(**changes: object) -> str:
    fields = {**GOOD, **changes}
    line = json.dumps({name: value for name, value in fields.items() if value is not None})
    with pytest.raises(RecordError) as raised:
        read_record(line.encode())
    return str(raised.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"topic": None}, "has no 'topic'"),
        ({"topic": 1}, "has 'topic' that is not a string"),
        ({"topic": "a/#"}, "has the topic 'a/#', which holds a wildcard character"),
        ({"qos": 3}, "has 'qos' 3, which is not from 0 to 2"),
        ({"qos": True}, "has 'qos' that is not a whole number"),
        ({"retain": 1}, "has 'retain' that is not a true or false"),
        ({"time": "yesterday"}, "has a time that does not read"),
        ({"time": "2026-13-24T17:22:50.123456Z"}, "has a time that does not read"),
        ({"payload": None}, "needs one of 'payload' and 'payload_base64'"),
        ({"payload_base64": "eA=="}, "needs one of 'payload' and 'payload_base64'"),
        ({"payload": None, "payload_base64": "x"}, "has 'payload_base64' that is not base64"),
        ({"payload": "\ud800"}, "has 'payload' with half of a surrogate pair"),
        ({"colour": 1}, "has a field that is not known: 'colour'"),
        ({"properties": 1}, "has 'properties' that is not an object"),
        ({"properties": {"x": 1}}, "has a property that is not known: 'x'"),
        ({"properties": {"user_property": [["a"]]}}, "that is not a list of pairs"),
        ({"properties": {"content_type": 1}}, "has 'content_type' that is not a string"),
        ({"properties": {"content_type": "\0"}}, "that MQTT cannot carry"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, object], sentence: str) -> None:
    assert sentence in problem(**changes)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not UTF-8"),
        (b"[]", "is not a JSON object"),
        (b"[" * 100_000, "too deep"),
    ],
)
def test_lines_that_are_no_records(line: bytes, sentence: str) -> None:
    with pytest.raises(RecordError, match=sentence):
        read_record(line)


def test_how_long_a_message_took_may_stand_in_its_line() -> None:
    def took(of: ShownMessage, _moment: int) -> float | None:
        return 12.5 if of.retain else None

    recorder = Recorder(took)
    lines = [recorder.line(Message("a", b"x", 0, one, False, {}), 0) for one in (True, False)]
    assert b'"payload":"x","latency_ms":12.500}\n' in lines[0]
    assert b"latency" not in lines[1]
    assert read_record(lines[0]).payload == b"x"  # it is not replayed
