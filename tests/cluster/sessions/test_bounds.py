"""Whose a session is, and how many there may be, holds in the whole cluster."""

from __future__ import annotations

from tests.broker.opened import joined
from tests.broker.raw import Raw
from tests.cluster.nodes import nodes
from tests.cluster.waiting import until
from tests.inside import core_of
from tests.transport.dialing import dial
from trio_mqtt import Broker, Cluster, Limits, ReasonCode, Security
from trio_mqtt.protocol.packets import ConnAck, Connect


class Anybody:
    """Everybody is who they say."""

    def verify(self, username: str, password: bytes | None) -> bool:
        return password is not None

    def entry(self, username: str) -> object:
        return username


async def answer(broker: Broker, connect: Connect) -> ReasonCode:
    async with await dial(broker.url) as stream:
        client = Raw(stream)
        await client.send(connect)
        connack = await client.expect(ConnAck)
        return connack.reason_code


def connect(client_id: str, user: str | None = None, expiry: int = 60) -> Connect:
    return Connect(
        client_id,
        False,
        0,
        username=user,
        password=None if user is None else b"x",
        properties={"session_expiry_interval": expiry},
    )


async def test_another_users_session_is_nobodys_to_take(cluster: Cluster) -> None:
    security = Security(passwords=Anybody(), allow_anonymous=True)
    async with nodes(cluster, 2, security=security) as (one, other):
        async with await dial(one.url) as stream:
            tom = Raw(stream)
            await tom.send(connect("c", "tom"))
            assert not (await tom.expect(ConnAck)).reason_code.is_failure
            for user in ("jerry", None):
                code = await answer(other, connect("c", user))
                assert code == ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
            await tom.ping()
            await tom.disconnect()
        assert await answer(other, connect("c", "jerry")) == ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
        assert await answer(other, connect("c", "tom")) == ReasonCode.SUCCESS


async def test_one_that_nobody_has_proved_is_the_first_users(cluster: Cluster) -> None:
    security = Security(passwords=Anybody(), allow_anonymous=True)
    async with nodes(cluster, 2, security=security) as (one, other):
        assert await answer(one, connect("c")) == ReasonCode.SUCCESS
        assert await answer(other, connect("c", "tom")) == ReasonCode.SUCCESS
        assert await answer(one, connect("c")) == ReasonCode.CLIENT_IDENTIFIER_NOT_VALID


async def all_have_left(broker: Broker) -> None:
    """Wait until the sessions of clients that have gone wait in the engine."""
    await until(lambda: broker.statistics.sessions == 0)
    elsewhere = core_of(broker).sessions.elsewhere
    assert elsewhere is not None
    await elsewhere.all_left()


async def leave_some(broker: Broker, count: int, user: str | None = None) -> None:
    for number in range(count):
        assert await answer(broker, connect(f"{user}{number}", user)) == ReasonCode.SUCCESS
    await all_have_left(broker)


async def test_all_sessions_of_the_cluster_are_bounded(cluster: Cluster) -> None:
    limits = Limits(maximum_sessions=5)
    async with nodes(cluster, 2, limits=limits) as (one, other):
        await leave_some(one, 5)
        assert await answer(other, connect("new")) == ReasonCode.QUOTA_EXCEEDED
        assert other.statistics.sessions_refused == 1
        # One that is there may come back, and one that keeps nothing comes.
        assert await answer(other, connect("None3")) == ReasonCode.SUCCESS
        assert await answer(other, connect("new", expiry=0)) == ReasonCode.SUCCESS
        async with joined(other.url, "None3", expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert client.connack.session_present
            await client.disconnect(properties={"session_expiry_interval": 0})
        assert await answer(one, connect("new")) == ReasonCode.SUCCESS


async def test_so_are_those_of_one_user(cluster: Cluster) -> None:
    security = Security(passwords=Anybody())
    limits = Limits(maximum_sessions_per_user=3)
    async with nodes(cluster, 2, limits=limits, security=security) as (one, other):
        await leave_some(one, 3, "tom")
        assert await answer(other, connect("new", "tom")) == ReasonCode.QUOTA_EXCEEDED
        assert await answer(other, connect("new", "jerry")) == ReasonCode.SUCCESS
        async with await dial(other.url) as stream:
            tom = Raw(stream)
            await tom.send(connect("tom1", "tom", 1))
            assert (await tom.expect(ConnAck)).session_present
            await tom.disconnect()
        both = one.statistics, other.statistics
        await until(lambda: sum(each.sessions_expired for each in both) == 1)
        await all_have_left(one)
        await all_have_left(other)
        assert await answer(one, connect("new2", "tom")) == ReasonCode.SUCCESS
