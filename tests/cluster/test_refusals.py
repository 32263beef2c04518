"""What the engine refuses ends no node: it is said in a sentence, and the node joins anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

import pytest
import trio

from tests.broker.opened import joined
from tests.cluster.nodes import nodes
from tests.cluster.redis import RedisServer, redis_server
from trio_mqtt import (
    Broker,
    Client,
    Cluster,
    ConnectionRefusedByBrokerError,
    EngineError,
    ReasonCode,
    open_client,
)
from trio_mqtt.cluster.keys import Keys
from trio_mqtt.protocol.packets import PubAck, Publish, Subscribe, Subscription

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.cluster_node import ClusterNode

Damage = Callable[[Keys, str], list[tuple[str, ...]]]


def _text(key: bytes) -> Damage:
    """A key is of another kind than it should be."""
    return lambda _keys, _node: [("DEL", key.decode()), ("SET", key.decode(), "x")]


# What another program, or a person, has done to the keys of a cluster.
DAMAGES: dict[str, Damage] = {
    "changes are no stream": lambda keys, node: _text(keys.changes)(keys, node),
    "their number is none": lambda keys, node: _text(keys.changes_number)(keys, node),
    "changes are beyond their number": lambda keys, _: [
        ("XADD", keys.changes.decode(), "99999-1", "e", "garbage")
    ],
    "nodes are no set": lambda keys, node: _text(keys.nodes)(keys, node),
    "an inbox is no stream": lambda keys, node: _text(keys.inbox(node))(keys, node),
}


def node_of(broker: Broker) -> ClusterNode:
    return cast("ClusterNode", broker._core.elsewhere)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds that no event tells of."""
    with trio.fail_after(60):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.01)


async def subscribe(client: Client) -> None:
    """All nodes are to know of it: that takes until the engine can tell them."""
    async with client.subscribe("c", qos=0):
        pass


def serves(broker: Broker) -> bool:
    """Whether a broker takes what others may want."""
    return node_of(broker).journal.known_until > trio.current_time()


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_node_joins_anew_until_the_engine_does_what_it_needs(
    cluster: Cluster,
    redis: RedisServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
) -> None:
    for room in "arrivals", "following":  # a read that waits does not see that its key is another
        monkeypatch.setattr(f"trio_mqtt.broker.clustering.{room}._BLOCK", 0.2)
    quick = replace(cluster, lease=1.5, timeout=0.75)
    async with (
        nodes(quick, 2) as (one, other),
        open_client(one.url) as publisher,
        open_client(one.url) as subscriber,
        subscriber.subscribe("a", qos=0) as messages,
        trio.open_nursery() as nursery,
    ):
        node, keys = node_of(one).membership.node, node_of(one).engine.keys
        for words in DAMAGES[damage](keys, node):
            assert not redis.command(*words).startswith(b"-")
        nursery.start_soon(subscribe, publisher)
        await until(lambda: not serves(one))
        assert any("does not do what a node" in each for each in caplog.messages)
        await publisher.publish("a", b"QoS 0 goes on", qos=0)
        assert (await anext(messages)).payload == b"QoS 0 goes on"

        for key in (keys.changes, keys.changes_number, keys.nodes, keys.inbox(node)):
            redis.command("DEL", key.decode())
        await until(lambda: serves(one) and serves(other))
        assert node_of(one).membership.node != node
        async with (
            open_client(other.url) as elsewhere,
            elsewhere.subscribe("b", qos=1) as there,
        ):
            await publisher.publish("b", b"after it", qos=1)
            assert (await anext(there)).payload == b"after it"
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("part", ["log", "state", "marks"])
@pytest.mark.parametrize("topic_filter", ["a", "$share/g/a"])
async def test_a_log_that_is_none_is_told_and_begins_anew(
    cluster: Cluster,
    redis: RedisServer,
    caplog: pytest.LogCaptureFixture,
    part: str,
    topic_filter: str,
) -> None:
    """It holds back nothing: what was published is kept, for this filter and for others."""
    async with (
        nodes(cluster, 2) as (one, other),
        joined(other.url, "s", expiry=600) as subscriber,
        joined(other.url, "t", expiry=600) as neighbour,
        joined(one.url, "p") as publisher,
    ):
        await subscriber.subscribe(topic_filter, qos=1)
        await neighbour.subscribe("a/#", qos=1)
        for number in range(2):
            key = node_of(one).engine.keys.of_filter(topic_filter, part).decode()
            redis.command("DEL", key)
            assert redis.command("SET", key, "x") == b"+OK\r\n"
            await publisher.publish("a", b"%d" % number, 1)
            await subscriber.expect_message("a", b"%d" % number, 1)
            await neighbour.expect_message("a", b"%d" % number, 1)
            assert redis.command("GET", f"{key}:aside") == b"$1\r\nx\r\n"
        assert sum(f"{key}:aside" in line for line in caplog.messages) == 2
    assert not any(record.exc_info for record in caplog.records)


async def test_a_session_that_is_none_any_more_is_lost_and_holds_back_nothing(
    cluster: Cluster, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        nodes(cluster, 1) as (one,),
        joined(one.url, "s", expiry=600) as session,
        joined(one.url, "t", expiry=600) as neighbour,
    ):
        key = node_of(one).engine.keys.of_client("s", "session").decode()
        redis.command("DEL", key)
        assert redis.command("SET", key, "x") == b"+OK\r\n"
        await session.send(Subscribe(1, [Subscription("a", 1)]))
        await neighbour.subscribe("a", qos=1)
        await neighbour.publish("a", b"1", 1)
        await session.expect_disconnect(ReasonCode.SESSION_TAKEN_OVER)
        assert any("the session of 's' is none" in line for line in caplog.messages)
        redis.command("DEL", key)
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("part", ["log", "state"])
async def test_a_session_goes_on_once_its_log_can_be_read(
    cluster: Cluster, redis: RedisServer, caplog: pytest.LogCaptureFixture, part: str
) -> None:
    async with nodes(cluster, 1) as (one,):
        key = node_of(one).engine.keys.of_filter("a", part).decode()
        assert redis.command("SET", key, "x") == b"+OK\r\n"
        async with (
            open_client(
                one.url, client_id="s", clean_start=False, session_expiry_interval=600
            ) as client,
            trio.open_nursery() as nursery,
        ):

            async def mend() -> None:
                await until(lambda: bool(caplog.messages))
                redis.command("DEL", key)

            nursery.start_soon(mend)
            async with client.subscribe("a", qos=1) as messages:
                await client.publish("a", b"after it", qos=1)
                assert (await anext(messages)).payload == b"after it"
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("expiry", [0, 600])
async def test_a_session_that_is_none_is_refused_with_a_sentence(
    cluster: Cluster, redis: RedisServer, caplog: pytest.LogCaptureFixture, expiry: int
) -> None:
    async with nodes(cluster, 1) as (one,):
        key = node_of(one).engine.keys.of_client("s", "session").decode()
        assert redis.command("SET", key, "x") == b"+OK\r\n"
        connect = partial(
            open_client,
            one.url,
            client_id="s",
            clean_start=False,
            session_expiry_interval=expiry,
        )
        with pytest.raises(ConnectionRefusedByBrokerError, match="refuses"):
            async with connect():
                raise AssertionError("it is let in")
        assert caplog.messages[0].startswith("The engine refuses the session of 's': ")
        redis.command("DEL", key)
        async with connect() as client:
            await client.publish("a", b"after it", qos=1)
    assert not any(record.exc_info for record in caplog.records)


async def test_a_session_whose_log_cannot_be_read_now_is_not_begun_anew(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with nodes(cluster, 1) as (one,), open_client(one.url) as publisher:
        connect = partial(
            open_client, one.url, client_id="s", clean_start=False, session_expiry_interval=600
        )
        async with joined(one.url, "s", expiry=600) as subscriber:
            await subscriber.subscribe("a", qos=1)
        await publisher.publish("a", b"kept", qos=1)
        log = node_of(one).engine.keys.of_filter("a", "log").decode()
        assert redis.command("RENAME", log, log + ":aside") == b"+OK\r\n"
        assert redis.command("SET", log, "x") == b"+OK\r\n"
        with pytest.raises(ConnectionRefusedByBrokerError, match="refuses"):
            async with connect():
                raise AssertionError("it is let in")
        assert redis.command("RENAME", log + ":aside", log) == b"+OK\r\n"
        async with joined(one.url, "s", expiry=600, clean_start=False) as subscriber:
            publish = await subscriber.expect(Publish)
            assert publish.payload == b"kept"
            await subscriber.send(PubAck(publish.packet_id))


@pytest.mark.parametrize(
    ("key", "why"), [("nodes", "wrong kind of value"), ("changes_number", "'x', and no number")]
)
async def test_a_node_that_cannot_even_join_says_so_and_ends(
    cluster: Cluster, redis: RedisServer, caplog: pytest.LogCaptureFixture, key: str, why: str
) -> None:
    name = getattr(Keys(cluster.name), key).decode()
    assert redis.command("SET", name, "x") == b"+OK\r\n"
    sentence = rf"^The engine at \S+ does not do what a node of the cluster needs: .*{why}\.$"
    with pytest.raises(EngineError, match=sentence):
        async with nodes(cluster, 1):
            raise AssertionError("it is a node")
    assert caplog.messages == []


async def test_a_node_joins_anew_once_it_has_the_right_to_follow_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_mqtt.broker.clustering.following._BLOCK", 0.2)
    with redis_server() as own:
        async with nodes(replace(cluster, url=own.url), 1) as (one,):
            assert own.command("ACL", "SETUSER", "default", "-xread") == b"+OK\r\n"
            await until(lambda: not serves(one))
            assert own.command("ACL", "SETUSER", "default", "+xread") == b"+OK\r\n"
            await until(lambda: serves(one))
