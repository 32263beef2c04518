"""The bounds of one listener, and of a broker, as those find them who come by a listener.

Each limit has a listener of its own, and holds there alone: the others let the same pass. Either it
is set at that listener, or for all, and each of the others has its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from tests.cli.broker.seen import sees
from tests.cli.broker.wire import V311, Wire, broker_of, dialled
from trio_mqtt import Limits
from trio_mqtt.protocol.packets import (
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

pytestmark = pytest.mark.slow
T = TypeVar("T", bound=Callable[..., object])

VALUES: dict[str, object] = {
    "maximum_connections": 1,
    "connect_timeout": 0.1,
    "maximum_connect_size": 100,
    "maximum_packet_size": 1_000,
    "maximum_user_properties": 2,
    "receive_maximum": 2,
    "topic_alias_maximum": 3,
    "client_topic_alias_maximum": 2,
    "maximum_in_flight": 2,
    "maximum_filters_at_once": 2,
    "maximum_request_size": 200,
    "maximum_subscriptions": 2,
    "maximum_subscription_bytes": 200,
    "maximum_wildcard_paths_per_session": 1,
    "maximum_message_rate_in": 50,
    "maximum_byte_rate_in": 500,
    "maximum_message_rate_out": 50,
    "maximum_byte_rate_out": 500,
    "maximum_session_expiry": 9,
    "maximum_keep_alive": 7,
    "maximum_keep_alive_mqtt_3": 60,
    "maximum_client_identifier": 23,
}


def _own() -> str:
    # Elsewhere it is so long that it is this listener's own limit which ends a connection.
    return "[limits]\nconnect_timeout = 600\n" + "".join(
        f"[[listeners]]\nurl = 'mqtt://127.0.0.1:0'\nlimits.{name} = {value}\n"
        for name, value in VALUES.items()
    )


def _for_all() -> str:
    values = {name: value for name, value in VALUES.items() if name != "maximum_connections"}
    others = {name: getattr(Limits(), name) for name in values} | {"connect_timeout": 600}
    text = "[limits]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())
    for name in VALUES:
        text += "[[listeners]]\nurl = 'mqtt://127.0.0.1:0'\n"
        text += "".join(
            f"limits.{other} = {value}\n" for other, value in others.items() if other != name
        )
    return text


@pytest.fixture(scope="module", params=[_own, _for_all], ids=["its own", "for all"])
def urls(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    with broker_of(request.param(), tmp_path_factory.mktemp("limits")) as (_, found):
        yield dict(zip(VALUES, found, strict=True))


def sees_limits(*names: str) -> Callable[[T], T]:
    """Say of a test that it sees these limits work, those of a listener and those for all."""
    return sees(*(f"{table}.{name}" for table in ("listeners.limits", "limits") for name in names))


def connected(url: str, name: str = "c", **given: Any) -> tuple[ReasonCode, Properties]:
    with Wire(url, name, **given) as client:
        return client.connack.reason_code, client.connack.properties


def code_of_filters(url: str, *filters: str) -> ReasonCode:
    """What a SUBSCRIBE is answered: the last of its reason codes, or why the client has to go."""
    with Wire(url) as client:
        client.send(Subscribe(1, [Subscription(one) for one in filters]))
        answer = client.receive()
        if isinstance(answer, SubAck):
            return answer.reason_codes[-1]
        assert isinstance(answer, Disconnect)
        return answer.reason_code


REFUSED: list[tuple[str, Callable[[str], ReasonCode], ReasonCode]] = [
    (
        "maximum_connect_size",
        lambda url: connected(url, username="u" * 100)[0],
        ReasonCode.PACKET_TOO_LARGE,
    ),
    (
        "maximum_client_identifier",
        lambda url: connected(url, "c" * 24)[0],
        ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
    ),
    (
        "maximum_user_properties",
        lambda url: connected(url, properties={"user_property": [("a", "b")] * 3})[0],
        ReasonCode.QUOTA_EXCEEDED,
    ),
    (
        "maximum_filters_at_once",
        lambda url: code_of_filters(url, "a", "b", "c"),
        ReasonCode.QUOTA_EXCEEDED,
    ),
    (
        "maximum_request_size",
        lambda url: code_of_filters(url, "a" * 100, "b" * 100),
        ReasonCode.QUOTA_EXCEEDED,
    ),
    (
        "maximum_subscriptions",
        lambda url: code_of_filters(url, "a", "b", "c"),
        ReasonCode.QUOTA_EXCEEDED,
    ),
    (
        "maximum_subscription_bytes",
        lambda url: code_of_filters(url, "a" * 100, "b" * 100),
        ReasonCode.QUOTA_EXCEEDED,
    ),
    (
        "maximum_wildcard_paths_per_session",
        lambda url: code_of_filters(url, "a/+/+/+"),
        ReasonCode.QUOTA_EXCEEDED,
    ),
]


@sees_limits(*(name for name, _, _ in REFUSED))
@pytest.mark.parametrize(("name", "ask", "code"), REFUSED, ids=[one[0] for one in REFUSED])
def test_what_is_too_much_is_refused_there_alone(
    name: str, ask: Callable[[str], ReasonCode], code: ReasonCode, urls: dict[str, str]
) -> None:
    assert ask(urls[name]) == code
    assert ask(urls["maximum_keep_alive"]) == 0


@sees_limits(
    "maximum_keep_alive",
    "maximum_session_expiry",
    "receive_maximum",
    "topic_alias_maximum",
    "maximum_packet_size",
)
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("maximum_keep_alive", "server_keep_alive"),
        ("maximum_session_expiry", "session_expiry_interval"),
        ("receive_maximum", "receive_maximum"),
        ("topic_alias_maximum", "topic_alias_maximum"),
        ("maximum_packet_size", "maximum_packet_size"),
    ],
)
def test_what_is_agreed_is_told(name: str, told: str, urls: dict[str, str]) -> None:
    asked: Properties = {"session_expiry_interval": 50}
    with Wire(urls[name], properties=asked) as client:
        assert client.connack.properties.get(told) == VALUES[name]
        client.send(Disconnect(properties={"session_expiry_interval": 0}))
    assert connected(urls["maximum_in_flight"])[1].get(told) != VALUES[name]


@pytest.mark.parametrize(
    ("name", "packets", "code"),
    [
        ("maximum_packet_size", [Publish("t", bytes(1_000))], ReasonCode.PACKET_TOO_LARGE),
        (
            "receive_maximum",
            [Publish("t", b"", 2, packet_id=number) for number in (1, 2, 3)],
            ReasonCode.RECEIVE_MAXIMUM_EXCEEDED,
        ),
        (
            "topic_alias_maximum",
            [Publish("t", properties={"topic_alias": 4})],
            ReasonCode.TOPIC_ALIAS_INVALID,
        ),
    ],
)
def test_who_does_not_keep_to_it_is_disconnected(
    name: str, packets: list[Publish], code: ReasonCode, urls: dict[str, str]
) -> None:
    with Wire(urls[name]) as client:
        client.send(*packets)
        while isinstance(answer := client.receive(), PubRec):
            pass
        assert isinstance(answer, Disconnect)
        assert answer.reason_code == code


@sees_limits("maximum_keep_alive_mqtt_3")
@pytest.mark.parametrize(("keep_alive", "welcome"), [(60, True), (61, False)])
def test_mqtt_3_has_a_bound_on_its_keep_alive(
    keep_alive: int, welcome: bool, urls: dict[str, str]
) -> None:
    url = urls["maximum_keep_alive_mqtt_3"]
    code, _ = connected(url, version=V311, keep_alive=keep_alive)
    assert (code == 0) is welcome


@sees("listeners.limits.maximum_connections")
@pytest.mark.parametrize("urls", [_own], indirect=True, ids=["its own"])
def test_a_listener_has_so_many_connections(urls: dict[str, str]) -> None:
    with Wire(urls["maximum_connections"]) as first:
        assert first.connack.reason_code == 0
        with dialled(urls["maximum_connections"]) as second:
            assert second.recv(100) == b""
        assert connected(urls["maximum_in_flight"], "other")[0] == 0


@sees_limits("connect_timeout")
def test_who_says_nothing_has_to_go(urls: dict[str, str]) -> None:
    with dialled(urls["connect_timeout"]) as sock:
        while sock.recv(100):
            pass


@sees_limits("maximum_in_flight")
def test_so_much_is_in_flight(urls: dict[str, str]) -> None:
    with Wire(urls["maximum_in_flight"]) as client, Wire(urls["maximum_keep_alive"], "s") as source:
        assert client.subscribe("flight", 1) == 1
        for _ in range(5):
            assert source.publish("flight") == 0
        first, _ = client.expect(Publish), client.expect(Publish)
        assert client.until_pong() == []
        client.send(PubAck(first.packet_id))
        client.expect(Publish)
        assert client.until_pong() == []


@sees_limits("client_topic_alias_maximum")
def test_the_broker_sets_so_many_aliases(urls: dict[str, str]) -> None:
    name = "client_topic_alias_maximum"
    found: dict[str, set[int | None]] = {}
    for where in (name, "maximum_keep_alive"):
        with Wire(urls[where], properties={"topic_alias_maximum": 10}) as client:
            assert client.subscribe("aliases/#") == 0
            topics = [f"aliases/{number}" for number in range(4)]
            # With a property, as what has none may travel on as it came, without an alias.
            properties: Properties = {"content_type": "text"}
            client.send(*(Publish(topic, properties=properties) for topic in topics * 3))
            aliases = [client.expect(Publish).properties.get("topic_alias") for _ in topics * 3]
            found[where] = set(aliases) - {None}
    assert found == {name: {1, 2}, "maximum_keep_alive": {1, 2, 3, 4}}


RATES = [
    "maximum_message_rate_in",
    "maximum_byte_rate_in",
    "maximum_message_rate_out",
    "maximum_byte_rate_out",
]


@sees_limits(*RATES)
@pytest.mark.parametrize("name", RATES)
def test_messages_go_at_the_rate_of_their_listener(name: str, urls: dict[str, str]) -> None:
    limited, free = urls[name], urls["maximum_keep_alive"]
    source, reader = (limited, free) if name.endswith("_in") else (free, limited)
    began = time.monotonic()
    with Wire(source, "source") as sending, Wire(reader, "reader") as receiving:
        assert receiving.subscribe("rate") == 0
        for count in (80, 1):
            sending.send(*(Publish("rate", b"12") for _ in range(count)))
            for _ in range(count):
                receiving.expect(Publish)
    # A second's worth goes at once, and so does the rest of what came with it: the next one waits
    # as long as 30 messages, or 300 bytes, take.
    assert time.monotonic() - began > 0.4
