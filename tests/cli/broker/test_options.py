"""What a broker offers, and what one listener offers otherwise, as its clients find it."""

from __future__ import annotations

import json
import select
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.broker.seen import sees
from tests.cli.broker.wire import V311, Wire, broker_of, broker_with
from tests.cli.programs import DEADLINE
from trio_mqtt.protocol.packets import (
    Disconnect,
    Packet,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    Subscription,
)
from trio_mqtt.protocol.reason_codes import ReasonCode

pytestmark = pytest.mark.slow

LISTENER = "[[listeners]]\nurl = 'mqtt://127.0.0.1:0'\n"

# -- what is offered ------------------------------------------------------------------------------

BARE = """\
maximum_qos = 1
retain_available = false
wildcard_subscription_available = false
subscription_identifier_available = false
shared_subscription_available = false
check_payload_format = true
response_topic_prefix = "answers/"
"""
EVERYWHERE = f"{LISTENER}[options]\n{BARE}"
AT_ONE = f"{LISTENER}{LISTENER}[listeners.options]\n{BARE}"


class Offered(NamedTuple):
    """One option of those above: by what packet it is asked for, and what the answers are."""

    option: str
    asked: Packet
    refused: Packet
    granted: Packet | None  # where it is offered; None: it is enough that the client may stay


OFFERED = [
    Offered(
        "maximum_qos",
        Publish("t", b"x", 2, packet_id=1),
        Disconnect(ReasonCode.QOS_NOT_SUPPORTED),
        None,
    ),
    Offered(
        "retain_available",
        Publish("t", b"x", retain=True),
        Disconnect(ReasonCode.RETAIN_NOT_SUPPORTED),
        None,
    ),
    Offered(
        "wildcard_subscription_available",
        Subscribe(1, [Subscription("none/#", 1)]),
        Disconnect(ReasonCode.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED),
        SubAck(1, [ReasonCode.GRANTED_QOS_1]),
    ),
    Offered(
        "subscription_identifier_available",
        Subscribe(1, [Subscription("none", 1)], {"subscription_identifier": [7]}),
        Disconnect(ReasonCode.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED),
        SubAck(1, [ReasonCode.GRANTED_QOS_1]),
    ),
    Offered(
        "shared_subscription_available",
        Subscribe(1, [Subscription("$share/group/none", 1)]),
        Disconnect(ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED),
        SubAck(1, [ReasonCode.GRANTED_QOS_1]),
    ),
    Offered(
        "check_payload_format",
        Publish("none", b"\xff", 1, packet_id=1, properties={"payload_format_indicator": 1}),
        PubAck(1, ReasonCode.PAYLOAD_FORMAT_INVALID),
        PubAck(1, ReasonCode.NO_MATCHING_SUBSCRIBERS),
    ),
]


class Places(NamedTuple):
    """Where the options above hold, and where they do not."""

    bare: str
    full: str | None


@pytest.fixture(scope="module", params=[EVERYWHERE, AT_ONE], ids=["broker", "listener"])
def places(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Places]:
    with broker_of(request.param, tmp_path_factory.mktemp("offered")) as (_, urls):
        yield Places(urls[-1], urls[0] if len(urls) == 2 else None)


def like(packet: Packet | None) -> tuple[object, ...]:
    """What of an answer is the standard's, and no sentence."""
    code = getattr(packet, "reason_code", None) or getattr(packet, "reason_codes", None)
    return type(packet), code


@sees(*(f"{table}.{one.option}" for table in ("options", "listeners.options") for one in OFFERED))
@pytest.mark.parametrize("offered", OFFERED, ids=[one.option for one in OFFERED])
def test_what_is_not_offered_is_told_and_refused(offered: Offered, places: Places) -> None:
    with Wire(places.bare) as client:
        if offered.option != "check_payload_format":  # it alone has no property in CONNACK
            assert client.connack.properties.get(offered.option) == (
                1 if offered.option == "maximum_qos" else 0
            )
        client.send(offered.asked)
        assert like(client.receive()) == like(offered.refused)
    if places.full is None:
        return
    with Wire(places.full) as client:
        assert offered.option not in client.connack.properties
        client.send(offered.asked)
        answers = client.until_pong()
        assert not any(isinstance(answer, Disconnect) for answer in answers)
        if offered.granted is not None:
            assert like(answers[0]) == like(offered.granted)


@sees("options.maximum_qos", "listeners.options.maximum_qos")
def test_subscriptions_are_granted_at_no_higher_qos(places: Places) -> None:
    with Wire(places.bare, version=V311) as client:
        assert client.subscribe("t", 2) == 1
    if places.full is not None:
        with Wire(places.full, version=V311) as client:
            assert client.subscribe("t", 2) == 2


@sees("options.response_topic_prefix", "listeners.options.response_topic_prefix")
def test_who_asks_learns_where_to_await_responses(places: Places) -> None:
    with Wire(places.bare, "asking", properties={"request_response_information": 1}) as client:
        assert client.connack.properties["response_information"] == "answers/asking"
    if places.full is not None:
        with Wire(places.full, properties={"request_response_information": 1}) as client:
            assert "response_information" not in client.connack.properties


# -- how the broker behaves -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def behaving() -> Iterator[str]:
    settings = (
        "options.shared_strategy=sticky",
        "options.system_topics_interval=20ms",
        "options.event_topics=house",
        "options.heartbeat_interval=20ms",
        "options.oldest_absent_session_ends=true",
        "limits.maximum_sessions=3",
    )
    with broker_with(settings) as url:
        yield url


@sees("options.shared_strategy")
def test_a_sticky_share_stays_with_one_member(behaving: str) -> None:
    with Wire(behaving, "a") as one, Wire(behaving, "b") as other, Wire(behaving, "s") as source:
        for member in (one, other):
            assert member.subscribe("$share/group/t") == 0
        for _ in range(6):
            assert source.publish("t") == 0
        (readable, *_), _, _ = select.select([one.socket, other.socket], (), (), DEADLINE)
        chosen, left_out = (one, other) if readable is one.socket else (other, one)
        for _ in range(6):
            chosen.expect(Publish)
        assert left_out.until_pong() == []
        for client in (one, other, source):
            client.goodbye()


@sees("options.system_topics_interval")
def test_the_system_topics_come_as_often_as_is_set(behaving: str) -> None:
    with Wire(behaving, "watching") as client:
        assert client.subscribe("$SYS/broker/bytes/sent") == 0
        for _ in range(5):  # would take longer than a read may, at ten seconds each
            assert client.expect(Publish).topic == "$SYS/broker/bytes/sent"
        client.goodbye()
    with broker_with(["options.system_topics_interval=0"]) as url, Wire(url) as client:
        assert client.subscribe("$SYS/#") == 0
        assert client.until_pong() == []


@sees("options.event_topics", "options.heartbeat_interval")
def test_the_broker_tells_who_comes_and_that_it_lives(behaving: str) -> None:
    with Wire(behaving, "watching") as client:
        assert client.subscribe("$SYS/house/heartbeat") == 0
        for _ in range(5):
            assert client.expect(Publish).payload == b"house"
        client.goodbye()
    with Wire(behaving, "watching") as client:
        assert client.subscribe("$SYS/house/new/+") == 0
        with Wire(behaving, "coming") as other:
            other.subscribe("its/topic", 1)
            told: dict[str, str] = {}
            while len(told) < 2 or "its/topic" not in told["subscribes"]:
                message = client.expect(Publish)
                told[message.topic.split("/")[-1]] = message.payload.decode()
            other.goodbye()
        assert told["clients"] == "coming"
        assert json.loads(told["subscribes"]) == {
            "clientId": "coming",
            "subs": [{"topic": "its/topic", "qos": 1}],
        }
        client.goodbye()


@sees("options.oldest_absent_session_ends", "limits.maximum_sessions")
@pytest.mark.parametrize("ends", [True, False])
def test_the_session_that_is_away_longest_ends_for_a_new_one(ends: bool, behaving: str) -> None:
    def fill(url: str) -> bool:
        """Whether the last of four finds room; then the first is gone, and only that."""
        codes = []
        for name in ("first", "second", "third", "fourth"):
            with Wire(url, name, version=V311, clean_start=False) as client:
                codes.append(client.connack.reason_code)
                if not codes[-1]:
                    client.goodbye()
        assert codes[:3] == [0, 0, 0]
        if codes[3]:
            return False
        present = {}
        for name in ("fourth", "second", "first"):
            with Wire(url, name, version=V311, clean_start=False) as client:
                present[name] = client.connack.session_present
                client.goodbye()
        assert present == {"fourth": True, "second": True, "first": False}
        return True

    if ends:
        assert fill(behaving)
        return
    with broker_with(["limits.maximum_sessions=3"]) as url:
        assert not fill(url)


@sees("options.queue_policy", "listeners.options.queue_policy")
def test_a_listener_has_a_queue_policy_of_its_own(tmp_path: Path) -> None:
    text = (
        f"{LISTENER}{LISTENER}[listeners.options]\nqueue_policy = 'drop-newest'\n"
        "[options]\nqueue_policy = 'drop-oldest'\n[limits]\nmaximum_queued_messages = 2\n"
    )
    with broker_of(text, tmp_path) as (_, urls):
        for name, url in zip(("broker's", "own"), urls, strict=True):
            with Wire(url, name, version=V311, clean_start=False) as client:
                assert client.subscribe("t", 1) == 1
                client.goodbye()
        with Wire(urls[0], "source") as source:
            for payload in (b"0", b"1", b"2", b"3"):
                source.publish("t", payload)
        for name, url, left in zip(("broker's", "own"), urls, (b"23", b"01"), strict=True):
            with Wire(url, name, version=V311, clean_start=False) as client:
                assert b"".join(client.expect(Publish).payload for _ in left) == left


# -- where clients are sent -----------------------------------------------------------------------


@sees(
    "options.server_reference",
    "options.server_moved",
    "options.successor",
    "listeners.options.server_reference",
    "listeners.options.server_moved",
)
def test_clients_are_sent_elsewhere(tmp_path: Path) -> None:
    text = (
        f"{LISTENER}"
        f"{LISTENER}options.server_moved = false\n"
        f"{LISTENER}options.server_reference = 'own.example'\n"
        f"{LISTENER}options.server_reference = ''\n"
        "[options]\nserver_reference = 'there.example'\nserver_moved = true\n"
        "successor = 'next.example'\n"
    )
    with broker_of(text, tmp_path) as (broker, urls):
        sent = []
        for url in urls[:3]:
            with Wire(url) as client:
                connack = client.connack
                sent.append((connack.reason_code, connack.properties.get("server_reference")))
        assert sent == [
            (ReasonCode.SERVER_MOVED, "there.example"),
            (ReasonCode.USE_ANOTHER_SERVER, "there.example"),
            (ReasonCode.SERVER_MOVED, "own.example"),
        ]
        with Wire(urls[3]) as client:
            assert client.connack.reason_code == 0
            assert broker.stop() == 0
            goodbye = client.expect(Disconnect)
            assert goodbye.reason_code == ReasonCode.USE_ANOTHER_SERVER
            assert goodbye.properties["server_reference"] == "next.example"
