"""What one listener has of its own: bounds, offers, and who may connect and do what."""

from __future__ import annotations

import copy
import pickle
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import trio

import trio_mqtt
from tests.broker.raw import V311, Raw
from tests.inside import sessions_of
from trio_mqtt import (
    Broker,
    BrokerOptions,
    ConfigurationError,
    Limits,
    Listen,
    ListenerLimits,
    ListenerOptions,
    QueuePolicy,
    RefusedError,
    Security,
)
from trio_mqtt.broker.access.files.password_changes import set_password

in_real_time = pytest.mark.trio  # sockets are used

LOCAL = "mqtt://127.0.0.1:0"


@asynccontextmanager
async def brokers(*own: dict[str, Any], **settings: Any) -> AsyncIterator[Broker]:
    """A broker with a listener that has nothing of its own, and one for each of `own`."""
    listeners = [Listen(LOCAL, **each) for each in ({}, *own)]
    with trio.fail_after(60):
        async with trio_mqtt.open_broker(*listeners, **settings) as broker:
            yield broker


# -- what may be said -------------------------------------------------------------------------


def test_each_bound_of_a_listener_is_one_of_the_broker() -> None:
    assert {field.name for field in fields(ListenerLimits)} <= {
        field.name for field in fields(Limits)
    }
    assert {field.name for field in fields(ListenerOptions)} <= {
        field.name for field in fields(BrokerOptions)
    }


def test_what_is_not_given_is_the_brokers() -> None:
    limits = Limits(maximum_packet_size=5_000, maximum_keep_alive=9)
    assert ListenerLimits(maximum_keep_alive=7).over(limits) == Limits(
        maximum_packet_size=5_000, maximum_keep_alive=7
    )
    options = BrokerOptions(server_reference="there", server_moved=True, maximum_qos=1)
    assert ListenerOptions(server_reference="").over(options) == BrokerOptions(maximum_qos=1)
    assert ListenerOptions(maximum_qos=0).over(options).server_reference == "there"


@pytest.mark.parametrize(
    ("kind", "wrong", "sentence"),
    [
        (ListenerLimits, {"maximum_packet_size": 5}, "maximum_packet_size is from 64 to"),
        (ListenerLimits, {"connect_timeout": 0}, "connect_timeout is more than 0 seconds, not 0."),
        (ListenerOptions, {"maximum_qos": 3}, "there is no QoS 3"),
        (ListenerOptions, {"response_topic_prefix": "a/#"}, "The prefix 'a/#' "),
        (ListenerOptions, {"server_reference": "", "server_moved": True}, "needs a server_ref"),
    ],
)
def test_what_no_listener_can_keep_to_is_refused(
    kind: type, wrong: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        kind(**wrong)
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"limits": Limits()}, "limits is a trio_mqtt.ListenerLimits, not Limits("),
        ({"options": BrokerOptions()}, "options is a trio_mqtt.ListenerOptions, not BrokerOp"),
        ({"security": "passwords"}, "security is a trio_mqtt.Security, not 'passwords'."),
        ({"mount_point": b"a/"}, "mount_point is a str, such as 'site-1/', not b'a/'."),
    ],
)
def test_what_is_of_another_kind_is_named(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TypeError) as raised:
        Listen(LOCAL, **wrong)
    assert str(raised.value).startswith(sentence)


@pytest.mark.parametrize(
    ("mount_point", "problem"),
    [
        ("site", "runs into the topics after it: write 'site/'"),
        ("$SYS/", "begins with $"),
        ("a/+/", "wildcard"),
    ],
)
def test_a_mount_point_is_whole_levels(mount_point: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Listen(LOCAL, mount_point=mount_point)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "name", "where"),
    [
        (ListenerLimits, "maximum_sessions", "Limits"),
        (ListenerOptions, "shared_strategy", "BrokerOptions"),
    ],
)
def test_what_only_the_broker_has_no_listener_takes(kind: type, name: str, where: str) -> None:
    with pytest.raises(TypeError) as raised:
        kind(**{name: 5})
    assert str(raised.value) == (
        f"{name} holds for the broker as a whole: give it to {where}, not to {kind.__name__}."
    )
    with pytest.raises(TypeError, match="unexpected keyword"):
        kind(nonsense=5)
    same = kind(**{"maximum_qos": 1} if kind is ListenerOptions else {"write_buffer": 5})
    assert pickle.loads(pickle.dumps(same)) == copy.deepcopy(same) == same  # noqa: S301 # our own


# -- bounds -----------------------------------------------------------------------------------


@in_real_time
async def test_a_listener_has_its_own_bounds() -> None:
    own = ListenerLimits(maximum_packet_size=1_000, maximum_keep_alive=10, receive_maximum=3)
    async with brokers({"limits": own}, limits=Limits(maximum_keep_alive=20)) as broker:
        async with trio_mqtt.open_client(broker.urls[0], keep_alive=30) as client:
            await client.publish("t", bytes(2_000), qos=1)
            assert client.server_properties["server_keep_alive"] == 20
        async with trio_mqtt.open_client(broker.urls[1], keep_alive=30) as client:
            assert client.server_properties["server_keep_alive"] == 10
            with pytest.raises(trio_mqtt.MqttError):
                await client.publish("t", bytes(2_000), qos=1)


@in_real_time
async def test_connections_are_counted_for_each_listener(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        brokers({"limits": ListenerLimits(maximum_connections=1)}) as broker,
        AsyncExitStack() as stack,
    ):
        first, second = broker.urls
        for _ in range(3):
            await stack.enter_async_context(trio_mqtt.open_client(first))
        async with trio_mqtt.open_client(second):
            for _ in range(2):
                with pytest.raises(trio_mqtt.ConnectionFailedError, match="no room for more conn"):
                    async with trio_mqtt.open_client(second, reconnect=False):
                        pass
        (record,) = (one for one in caplog.records if one.message.startswith("Turned 127.0.0.1:"))
        told = record.message
        assert record.event == "turned_away"  # type: ignore[attr-defined]
        assert record.address.startswith("127.0.0.1:")  # type: ignore[attr-defined]
        assert told.endswith(
            "away, and whoever comes until there is room: no more connections than 1 may be at one"
            f" time at {second} (limits.maximum_connections)"
        )
        async with trio_mqtt.open_client(second, wait_for_broker=True):
            pass


@in_real_time
async def test_a_session_has_as_many_subscriptions_as_its_listener_grants() -> None:
    async with brokers({"limits": ListenerLimits(maximum_subscriptions=1)}) as broker:
        for url, granted in zip(broker.urls, (True, False), strict=True):
            async with trio_mqtt.open_client(url) as client, client.subscribe("a"):
                if granted:
                    async with client.subscribe("b"):
                        pass
                else:
                    with pytest.raises(RefusedError, match="may have 1 subscriptions"):
                        async with client.subscribe("b"):
                            pass


# -- offers -----------------------------------------------------------------------------------


@in_real_time
async def test_a_listener_offers_less() -> None:
    own = ListenerOptions(maximum_qos=1, retain_available=False)
    async with brokers({"options": own}) as broker:
        async with trio_mqtt.open_client(broker.urls[0]) as client:
            await client.publish("t", b"kept", qos=2, retain=True)
        async with trio_mqtt.open_client(broker.urls[1]) as client:
            with pytest.raises(trio_mqtt.MqttError):
                await client.publish("t", b"x", qos=1, retain=True)
            async with client.subscribe("t", qos=2) as messages:
                await client.publish("t", b"next", qos=1)
                message = await anext(messages)
                assert (message.payload, message.qos) == (b"next", 1)


# -- access -----------------------------------------------------------------------------------


@pytest.fixture
def alice(tmp_path: Path) -> Path:
    path = tmp_path / "alice"
    set_password(path, "alice", b"right", create=True)
    return path


@pytest.fixture
def bob(tmp_path: Path) -> Path:
    path = tmp_path / "bob"
    set_password(path, "bob", b"his", create=True)
    return path


async def may_connect(url: str, **options: Any) -> bool:
    try:
        async with trio_mqtt.open_client(url, reconnect=False, **options):
            return True
    except RefusedError:
        return False


@in_real_time
async def test_a_listener_has_its_own_passwords(alice: Path, bob: Path) -> None:
    async with brokers(
        {"security": Security(passwords=bob)},
        {"security": Security(allow_anonymous=True)},
        security=Security(passwords=alice),
    ) as broker:
        as_alice = {"username": "alice", "password": "right"}
        as_bob = {"username": "bob", "password": "his"}
        asked = [as_alice, as_bob, {}]
        answers = [[await may_connect(url, **each) for each in asked] for url in broker.urls]
        assert answers == [[True, False, False], [False, True, False], [True, True, True]]
        ways = [broker.ways_in(listen) for listen in broker.listeners]
        assert [(each.passwords, each.anonymous) for each in ways] == [
            (True, False), (True, False), (False, True)
        ]  # fmt: skip


@in_real_time
async def test_a_listener_has_its_own_rules(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic read a/#\n")
    async with brokers({"security": Security(access=rules)}) as broker:
        async with trio_mqtt.open_client(broker.urls[0]) as client:
            await client.publish("a/b", b"1", qos=1)
        async with trio_mqtt.open_client(broker.urls[1]) as client:
            with pytest.raises(RefusedError):
                await client.publish("a/b", b"2", qos=1)


@in_real_time
async def test_what_is_retained_is_held_to_the_rules_of_its_authors_listener(
    tmp_path: Path,
) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite a/#\n")
    async with brokers({"security": Security(access=rules)}) as broker:
        for url, topic in zip(broker.urls, ("a/0", "a/1"), strict=True):
            async with trio_mqtt.open_client(url) as client:
                await client.publish(topic, b"kept", qos=1, retain=True)
        rules.write_text("topic read #\n")
        await broker.reload()
        async with (
            trio_mqtt.open_client(broker.urls[0]) as client,
            client.subscribe("#") as messages,
        ):
            await client.publish("end", qos=1)
            found = [(await anext(messages)).topic for _ in range(2)]
        assert found == ["a/0", "end"]


@in_real_time
async def test_a_wrong_file_of_one_listener_is_named(tmp_path: Path, alice: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(ConfigurationError, match="missing"):
        async with brokers({"security": Security(passwords=missing)}):
            pass
    bob = tmp_path / "bob"
    set_password(bob, "bob", b"his", create=True)
    async with brokers(
        {"security": Security(passwords=bob)}, security=Security(passwords=alice)
    ) as broker:
        set_password(alice, "alice", b"other")
        bob.unlink()
        with pytest.raises(ConfigurationError):
            await broker.reload()
        first, second = broker.urls
        assert await may_connect(first, username="alice", password="right")
        assert await may_connect(second, username="bob", password="his")


@in_real_time
async def test_a_listener_that_lets_in_everybody_says_so() -> None:
    everywhere = "mqtt://0.0.0.0:0"
    passwords = Security(hooks=trio_mqtt.access.AccessHooks(), allow_anonymous=True)
    with pytest.raises(ConfigurationError, match="Anybody who can reach"):
        async with trio_mqtt.open_broker(
            Listen(everywhere, security=Security()), security=passwords
        ):
            pass


@in_real_time
async def test_a_full_queue_keeps_to_the_policy_of_the_listener_by_which_its_client_came() -> None:
    oldest = ListenerOptions(queue_policy=QueuePolicy.DROP_OLDEST)
    async with brokers({"options": oldest}, limits=Limits(maximum_queued_messages=3)) as broker:
        for url in broker.urls:
            stream = await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))
            async with stream:
                client = Raw(stream, V311)
                await client.connect(url[-5:], clean_start=False)
                await client.subscribe("t", qos=1)
                await client.disconnect()
        for number in range(9):
            await broker.publish("t", b"%d" % number, qos=1)
        kept = [
            [int(message.payload) for batch in each.waiting() for message in batch.messages]
            for session in sessions_of(broker).values()
            for each in session.subscriptions.values()
        ]
        assert sorted(kept) == [[0, 1, 2], [6, 7, 8]]
