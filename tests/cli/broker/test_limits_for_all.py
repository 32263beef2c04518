"""The bounds of a broker that no listener has of its own, as its clients find them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.broker.seen import sees
from tests.cli.broker.wire import Wire, broker_of, broker_with
from tests.cli.programs import Program
from trio_mqtt.access import set_password
from trio_mqtt.protocol.packets import PubAck, Publish, Will
from trio_mqtt.protocol.reason_codes import ReasonCode

pytestmark = pytest.mark.slow

LIMITS = """\
[limits]
maximum_retained_messages = 3
maximum_retained_bytes = 10000
maximum_topic_levels = 3
maximum_topic_length = 30
maximum_wildcard_paths_per_user = 1
maximum_wildcard_paths = 2
maximum_in_flight_bytes = 1000
maximum_queued_bytes = 3000
maximum_connections_per_user = 2
maximum_sessions_per_user = 4
maximum_will_bytes_per_user = 15000
maximum_will_bytes = 25000
maximum_connections_per_address = 3
maximum_connects_per_minute = 2
maximum_failed_logins_per_minute = 1
first_hold_off = 300
[access]
passwords = "users"
allow_anonymous = true
"""
LISTENER = """\
[[listeners]]
url = "mqtt://127.0.0.1:0"
proxy_protocol = ["127.0.0.1"]
"""
QUOTA = ReasonCode.QUOTA_EXCEEDED


class Running(NamedTuple):
    broker: Program
    url: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("limits")
    for user in ("alice", "bob", "carol"):
        set_password(folder / "users", user, b"right", create=True)
    with broker_of(LIMITS + LISTENER, folder) as (broker, (url,)):
        yield Running(broker, url)


@pytest.fixture
def url(running: Running) -> str:
    return running.url


def coming(
    url: str,
    address: str,
    name: str = "c",
    *,
    user: str | None = None,
    password: bytes = b"right",
    kept: bool = False,
    will: Will | None = None,
) -> Wire:
    """A client at this address, as the proxy says by which it comes."""
    return Wire(
        url,
        name,
        before=f"PROXY TCP4 {address} 10.0.0.1 5000 1883\r\n".encode(),
        username=user,
        password=None if user is None else password,
        clean_start=not kept,
        properties={"session_expiry_interval": 3_600} if kept else {},
        will=will,
    )


@sees("limits.maximum_topic_levels", "limits.maximum_topic_length")
def test_a_topic_has_so_many_levels_and_bytes(url: str) -> None:
    with Wire(url, before=b"PROXY UNKNOWN\r\n") as client:
        for topic, refused in (
            ("a/b/c", False),
            ("a/b/c/d", True),
            ("a" * 30, False),
            ("a" * 31, True),
        ):
            assert (client.publish(topic) == ReasonCode.NOT_AUTHORIZED) is refused, topic


@sees("limits.maximum_retained_messages", "limits.maximum_retained_bytes")
@pytest.mark.parametrize(("payload", "kept"), [(b"x", 3), (bytes(4_000), 2)])
def test_so_much_is_retained(payload: bytes, kept: int, url: str) -> None:
    with Wire(url, before=b"PROXY UNKNOWN\r\n") as client:
        topics = [f"retained/{number}" for number in range(4)]
        answers = [client.publish(topic, payload, retain=True) for topic in topics]
        for topic in topics:
            client.publish(topic, b"", retain=True)
    assert [answer == QUOTA for answer in answers] == [False] * kept + [True] * (4 - kept)


@sees("limits.maximum_wildcard_paths", "limits.maximum_wildcard_paths_per_user")
def test_the_filters_of_all_have_so_many_paths_and_those_of_each_address(url: str) -> None:
    with (
        coming(url, "10.1.0.1", "one") as one,
        coming(url, "10.1.0.1", "beside") as beside,
        coming(url, "10.1.0.2", "two") as two,
        coming(url, "10.1.0.3", "three") as three,
    ):
        assert one.subscribe("a/+") == 0
        assert beside.subscribe("b/b/+") == QUOTA
        assert two.subscribe("b/b/+") == 0
        assert three.subscribe("+") == QUOTA
        assert three.subscribe("c/+") == 0


@sees("limits.maximum_in_flight_bytes")
def test_so_many_bytes_are_in_flight(url: str) -> None:
    with coming(url, "10.2.0.1", "taker") as taker, coming(url, "10.2.0.2", "source") as source:
        assert taker.subscribe("flight", 1) == 1
        for _ in range(2):
            assert source.publish("flight", bytes(600)) == 0
        first = taker.expect(Publish)
        assert taker.until_pong() == []
        taker.send(PubAck(first.packet_id))
        taker.expect(Publish)


@sees("limits.maximum_queued_bytes")
def test_so_many_bytes_wait(running: Running) -> None:
    with coming(running.url, "10.3.0.1", "away", kept=True) as away:
        assert away.subscribe("queued", 1) == 1
        away.goodbye()
    with coming(running.url, "10.3.0.2", "source") as source:
        for _ in range(5):
            source.publish("queued", bytes(1_000))
    running.broker.err.expect("'away' is away, and its queue is full: 2 messages wait for it")


@sees("limits.maximum_connections_per_user")
def test_a_user_has_so_many_connections(url: str) -> None:
    with (
        coming(url, "10.4.0.1", "one", user="alice") as one,
        coming(url, "10.4.0.2", "two", user="alice") as two,
        coming(url, "10.4.0.3", "three", user="alice") as three,
    ):
        codes = [client.connack.reason_code for client in (one, two, three)]
    assert codes == [0, 0, QUOTA]


@sees("limits.maximum_sessions_per_user")
def test_a_user_has_so_many_sessions(url: str) -> None:
    codes = []
    for number in range(5):
        with coming(url, f"10.5.0.{number}", f"s{number}", user="carol", kept=True) as client:
            codes.append(client.connack.reason_code)
            if number < 4:
                client.goodbye()
    assert codes == [0, 0, 0, 0, QUOTA]


@sees("limits.maximum_will_bytes", "limits.maximum_will_bytes_per_user")
def test_wills_take_so_many_bytes(url: str) -> None:
    will = Will("will", bytes(10_000))
    with (
        coming(url, "10.8.0.1", "one", will=will) as one,
        coming(url, "10.8.0.1", "two", will=will) as two,
        coming(url, "10.8.0.2", "three", will=will) as three,
        coming(url, "10.8.0.3", "four", will=will) as four,
    ):
        codes = [client.connack.reason_code for client in (one, two, three, four)]
    assert codes == [0, QUOTA, 0, QUOTA]


@sees("limits.maximum_connections_per_address")
def test_an_address_has_so_many_connections(url: str) -> None:
    with (
        coming(url, "10.6.0.1", "one") as one,
        coming(url, "10.6.0.1", "two") as two,
        coming(url, "10.6.0.1", "three") as three,
        coming(url, "10.6.0.1", "four") as four,
    ):
        codes = [client.connack.reason_code for client in (one, two, three, four)]
    assert codes == [0, 0, 0, QUOTA]


@sees("limits.maximum_connects_per_minute", "limits.first_hold_off")
def test_who_connects_too_often_is_held_off(running: Running) -> None:
    codes = []
    for _ in range(3):
        with coming(running.url, "10.7.0.1", "often") as client:
            codes.append(client.connack.reason_code)
            if len(codes) < 3:
                client.goodbye()
    assert codes == [0, 0, ReasonCode.CONNECTION_RATE_EXCEEDED]
    running.broker.err.expect("'often' at 10.7.0.1 is held off for 300 s")


@sees("limits.maximum_hold_off")
def test_so_long_it_is_held_off_at_most(tmp_path: Path) -> None:
    bounds = "maximum_connects_per_minute = 1\nfirst_hold_off = 3600\nmaximum_hold_off = 1800\n"
    with broker_of(f"[limits]\n{bounds}{LISTENER}", tmp_path) as (broker, (url,)):
        for _ in range(2):
            with coming(url, "10.7.0.1", "often"):
                pass
        broker.err.expect("is held off for 1800 s")


@sees("limits.maximum_failed_logins_per_minute")
def test_who_guesses_is_held_off(url: str) -> None:
    codes = []
    for password in (b"wrong", b"wronger", b"right"):
        with coming(url, "10.8.0.1", user="bob", password=password) as client:
            codes.append(client.connack.reason_code)
    wrong = ReasonCode.BAD_USER_NAME_OR_PASSWORD
    assert codes == [wrong, wrong, ReasonCode.BANNED]


@sees("limits.default_retained_expiry")
def test_what_is_retained_goes_after_a_while() -> None:
    with broker_with(["limits.default_retained_expiry=0.3"]) as url, Wire(url) as client:
        client.publish("t", b"for a while", retain=True)
        found = True
        while found:
            client.subscribe("t")
            found = bool(client.until_pong())


@sees("limits.hook_timeout")
def test_a_hook_decides_in_time_or_what_it_is_asked_for_is_refused(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import trio\n"
        "from trio_mqtt.access import AccessHooks\n"
        "class Slow(AccessHooks):\n"
        "    async def authorize_publish(self, client, message):\n"
        "        await trio.sleep_forever()\n"
    )
    settings = "[limits]\nhook_timeout = 0.1\n[plugins]\nfolder = '.'\n"
    settings += "[plugins.hooks]\nfactory = 'slow:Slow'\n"
    with (
        broker_of(settings + "[[listeners]]\nurl = 'mqtt://127.0.0.1:0'\n", tmp_path) as (
            _,
            (url,),
        ),
        Wire(url) as client,
    ):
        assert client.publish("t") == ReasonCode.UNSPECIFIED_ERROR
