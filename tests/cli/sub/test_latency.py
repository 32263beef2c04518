"""`sub --latency`: how long ago a message was sent, wherever it has the time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from tmqtt.sub.latency import Latency, column

from tests.cli.programs import Program, Run, publish, running_broker
from trio_mqtt import Message, Properties

# 2025-01-31T12:00:00.250Z, in milliseconds, and 12.5 ms later in nanoseconds.
SENT = 1_738_324_800_250
CAME = SENT * 1_000_000 + 12_500_000


def taken(where: str, payload: bytes, properties: Properties | None = None) -> float | None:
    found = Latency(where).of(Message("a", payload, 0, False, False, properties or {}), CAME)
    return None if found is None else round(found, 3)


@pytest.mark.parametrize(
    ("where", "payload"),
    [
        ("payload", b"Hello mqtt 1738324800250"),
        ("payload", b"1738324800250\n"),
        ("payload", b"x" * 100_000 + b" 1738324800.250"),
        ("payload", b"at 1738324800250000"),
        ("payload", b"at 1738324800250000000"),
        ("payload", b"at 2025-01-31T12:00:00.250Z"),
        ("payload", b"2025-01-31T13:00:00.250+01:00"),
        (".sent", b'{"sent": 1738324800250}'),
        (".sent", b'{"sent": 1738324800.25}'),
        (".sent[1].at", b'{"sent": [0, {"at": "2025-01-31T12:00:00.250Z"}]}'),
    ],
)
def test_times_of_all_kinds(where: str, payload: bytes) -> None:
    assert taken(where, payload) == 12.5


def test_a_user_property_may_have_it() -> None:
    properties: Properties = {"user_property": [("a", "b"), ("sent", str(SENT))]}
    assert taken("property:sent", b"", properties) == 12.5
    assert taken("property:other", b"", properties) is None


def test_a_clock_that_is_ahead_shows() -> None:
    assert taken("payload", b"1738324800270") == -7.5


@pytest.mark.parametrize(
    ("where", "payload"),
    [
        ("payload", b""),
        ("payload", b"21.5"),
        ("payload", b"\xff\xfe"),
        ("payload", b"999999999999999999999"),
        ("payload", b"nan"),
        (".sent", b"{"),
        (".sent", b"[1]"),
        (".sent", b"1738324800250"),
        (".sent", b'{"sent": true}'),
        (".sent", b'{"sent": {"sent": 1}}'),
        (".sent", b'{"sent": "soon"}'),
        ("[0]", b"[]"),
        (".a", b"[" * 50_000),
    ],
)
def test_most_messages_have_none(where: str, payload: bytes) -> None:
    assert taken(where, payload) is None


def test_columns_stand_below_each_other() -> None:
    assert column(12.5) == "    12.5 ms "
    assert column(-7.5) == "    -7.5 ms "
    assert column(1234.5) == " 1,234.5 ms "
    assert column(None) == " " * 12


@pytest.fixture(scope="module")
def broker() -> Iterator[tuple[Program, str]]:
    with running_broker() as found:
        yield found


@pytest.mark.slow
@pytest.mark.parametrize("terminal", [False, True])
def test_it_stands_before_each_message(broker: tuple[Program, str], terminal: bool) -> None:
    topic = f"at/{terminal}"
    words = ("sub", topic, "--latency", "payload", "-v", "-C", "2", "-b", broker[1])
    with Program(*words, terminal=terminal) as sub:
        broker[0].out.expect(f"subscribed to {topic}")
        with Program("pub", topic, "-b", broker[1]) as pub:
            assert pub.ended() == 0
        publish(broker[1], topic, "21")
        assert sub.ended() == 0
        if terminal:
            pattern = r"\n\d\d:\d\d:\d\d +([\d,]+\.\d) ms at/\w+ Hello mqtt \d{13}\n"
            without = r"\n\d\d:\d\d:\d\d {13}at/\w+ 21\n"
        else:
            pattern = r"\A([\d,]+\.\d) at/\w+ Hello mqtt \d{13}\n"
            without = r"\n- at/\w+ 21\n\Z"
        found = re.search(pattern, sub.out.text)
        assert found, sub.out.text
        assert float(found[1].replace(",", "")) < 120_000
        assert re.search(without, sub.out.text), sub.out.text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--latency", "soon"), "'soon' is nowhere in a message: write payload, .FIELD or"),
        (("--latency", ".."), "is not the way to a field"),
        (("--latency", "payload", "--watch"), "--latency and --watch do not go together"),
        (("--latency", "payload", "--record", "-"), "--latency and --record - do not go together"),
    ],
)
def test_wrong_options(in_process: Run, words: tuple[str, ...], sentence: str) -> None:
    ended = in_process("sub", "a", *words)
    assert ended.code == 2
    assert sentence in ended.err


@pytest.mark.slow
def test_json_has_it_and_may_take_several_lines(broker: tuple[Program, str]) -> None:
    words = ("sub", "json", "--json", "--pretty", "--latency", "payload", "-C", "1")
    with Program(*words, "-b", broker[1]) as sub:
        broker[0].out.expect(r"subscribed to json\n")
        with Program("pub", "json", "-b", broker[1]) as pub:
            assert pub.ended() == 0
        assert sub.ended() == 0
    assert sub.out.text.startswith('{\n  "time": "')
    assert abs(json.loads(sub.out.text)["latency_ms"]) < 120_000
