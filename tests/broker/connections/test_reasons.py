"""Why the broker refuses, in words: for who wants them and can take them (MQTT 5.0 §3.1.2.11.7)."""

from __future__ import annotations

import pytest

from tests.broker.conftest import Join
from tests.broker.raw import Open, Raw
from trio_mqtt.broker.limits import Limits
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Disconnect,
    PubAck,
    Publish,
    PubRec,
    SubAck,
    Subscribe,
    Subscription,
)
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

Refusal = PubAck | PubRec | SubAck | Disconnect
DEEP = "a/b/c/d/e"
REQUESTS: list[tuple[Publish | Subscribe | bytes, type[Refusal], str]] = [
    (Publish("$x", b"", 1, packet_id=1), PubAck, "$"),
    (Publish("$x", b"", 2, packet_id=1), PubRec, "$"),
    (Publish(DEEP, b"", 1, packet_id=1), PubAck, "4 levels"),
    (Publish(DEEP, b"", 2, packet_id=1), PubRec, "4 levels"),
    (Subscribe(1, [Subscription("t"), Subscription(DEEP)]), SubAck, "4 levels"),
    (Subscribe(1, [Subscription(f) for f in "abc"]), SubAck, "2 subscriptions"),
    (b"\xf0\x00", Disconnect, "AUTH"),
]


@pytest.fixture
def limits() -> Limits:
    return Limits(maximum_topic_levels=4, maximum_subscriptions=2)


async def refused(
    client: Raw, request: Publish | Subscribe | bytes, kind: type[Refusal]
) -> Properties:
    await client.send(request)
    answer = await client.expect(kind)
    codes = answer.reason_codes if isinstance(answer, SubAck) else [answer.reason_code]
    assert codes[-1].is_failure
    return answer.properties


@pytest.mark.parametrize(("request_", "kind", "word"), REQUESTS)
async def test_every_refusal_says_why(
    join: Join,
    request_: Publish | Subscribe | bytes,
    kind: type[Refusal],
    word: str,
) -> None:
    properties = await refused(await join(), request_, kind)
    assert properties.keys() == {"reason_string"}
    assert word in properties["reason_string"]


@pytest.mark.normative("MQTT-3.1.2-29")
@pytest.mark.parametrize(("request_", "kind", "word"), REQUESTS)
async def test_who_wants_no_words_gets_the_code(
    join: Join,
    request_: Publish | Subscribe | bytes,
    kind: type[Refusal],
    word: str,
) -> None:
    client = await join(properties={"request_problem_information": 0})
    assert word
    assert await refused(client, request_, kind) == {}


@pytest.mark.normative(
    "MQTT-3.1.2-24", "MQTT-3.4.2-2", "MQTT-3.5.2-2", "MQTT-3.9.2-2", "MQTT-3.14.2-3"
)
@pytest.mark.parametrize(("request_", "kind", "word"), REQUESTS)
async def test_words_that_do_not_fit_are_left_out(
    join: Join,
    request_: Publish | Subscribe | bytes,
    kind: type[Refusal],
    word: str,
) -> None:
    client = await join(properties={"maximum_packet_size": 25})
    assert word
    assert await refused(client, request_, kind) == {}


async def test_messages_that_are_not_refused_are_acknowledged_next_to_those_that_are(
    join: Join,
) -> None:
    client = await join()
    await client.subscribe("t")
    await client.send(
        Publish("t", b"", 1, packet_id=1),
        Publish("$x", b"", 2, packet_id=2),
        Publish("nobody", b"", 1, packet_id=3),
        Publish("t", b"", 2, packet_id=4),
    )
    answers = [p for p in await client.drain() if isinstance(p, (PubAck, PubRec))]
    assert [(a.packet_id, int(a.reason_code), bool(a.properties)) for a in answers] == [
        (1, 0, False),
        (2, 0x87, True),
        (3, 0x10, False),
        (4, 0, False),
    ]


@pytest.mark.parametrize("wanted", [0, 1])
async def test_a_refused_connect_says_why_to_who_wants_it(opened: Open, wanted: int) -> None:
    client = opened()
    long = "x" * 2_000
    await client.send(Connect(long, properties={"request_problem_information": wanted}))
    answer = await client.expect(ConnAck)
    assert answer.reason_code == ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
    assert ("reason_string" in answer.properties) is bool(wanted)
    await client.expect_closed()


@pytest.mark.normative("MQTT-3.2.2-19")
async def test_a_refused_connect_is_told_even_where_words_do_not_fit(opened: Open) -> None:
    client = opened()
    await client.send(Connect("x" * 2_000, properties={"maximum_packet_size": 20}))
    answer = await client.expect(ConnAck)
    assert answer.reason_code == ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
    assert answer.properties == {}
    await client.expect_closed()


async def test_each_message_of_a_long_run_is_answered_for_itself(join: Join) -> None:
    client = await join("c")
    await client.subscribe("heard")
    count = 100  # long enough not to be taken apart for what comes before it
    await client.send(
        Publish("nobody", b"", 1, packet_id=1, properties={"content_type": "text"}),
        *[Publish("nobody", b"", 1, packet_id=2 + number) for number in range(count)],
        Publish("heard", b"", 1, packet_id=2 + count),
    )
    answers = [one for one in await client.drain() if isinstance(one, PubAck)]
    assert answers == [
        *[PubAck(1 + at, ReasonCode.NO_MATCHING_SUBSCRIBERS) for at in range(count + 1)],
        PubAck(2 + count),
    ]
