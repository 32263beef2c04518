"""Other settings for a broker that runs: all or none, and what they mean for who is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import trio_mqtt
from tests.broker.opened import LOCAL, joined, may_connect, opened
from tests.broker.raw import Raw
from tests.inside import core_of
from tests.ports import free_port
from tests.transport.dialing import dial
from trio_mqtt import (
    BrokerOptions,
    ConfigurationError,
    Limits,
    Listen,
    ListenError,
    ReasonCode,
    Security,
    ServerTls,
    SharedStrategy,
)
from trio_mqtt.access import AccessRefused, ClientInfo, Publication
from trio_mqtt.broker.access.files.password_changes import remove_user, set_password
from trio_mqtt.broker.options import QueuePolicy
from trio_mqtt.protocol.packets import ConnAck, Connect

pytestmark = pytest.mark.trio  # in real time: sockets, and files that are read in threads

NOT_AUTHORIZED, SUCCESS = ReasonCode.NOT_AUTHORIZED, ReasonCode.SUCCESS

# -- limits and options -----------------------------------------------------------------------


async def test_what_is_not_given_stays() -> None:
    limits, options = Limits(maximum_keep_alive=9), BrokerOptions(maximum_qos=1)
    async with opened(limits=limits, options=options) as broker:
        urls = broker.urls
        await broker.reconfigure()
        assert (broker.limits, broker.options, broker.urls) == (limits, options, urls)
        await broker.reconfigure(limits=Limits(maximum_keep_alive=8))
        assert (broker.limits.maximum_keep_alive, broker.options) == (8, options)
        await broker.reconfigure(options=BrokerOptions())
        assert (broker.limits.maximum_keep_alive, broker.options) == (8, BrokerOptions())


async def test_bounds_hold_at_once_and_take_nothing_away() -> None:
    async with opened() as broker, joined(broker.url) as client:
        await client.subscribe("a", "b")
        await broker.reconfigure(limits=Limits(maximum_subscriptions=1))
        assert await client.subscribe("c") == [ReasonCode.QUOTA_EXCEEDED]
        await client.publish("b", b"still")
        assert [message.payload for message in await client.messages()] == [b"still"]


async def test_what_a_client_was_told_holds_for_its_connection() -> None:
    async with opened() as broker, joined(broker.url) as client:
        await broker.reconfigure(
            limits=Limits(maximum_packet_size=1_000), options=BrokerOptions(retain_available=False)
        )
        assert await client.publish("t", bytes(5_000), 1, retain=True) in (
            SUCCESS, ReasonCode.NO_MATCHING_SUBSCRIBERS
        )  # fmt: skip
        async with joined(broker.url, "later") as later:
            assert later.connack is not None
            assert later.connack.properties["maximum_packet_size"] == 1_000
            assert later.connack.properties["retain_available"] == 0


async def test_what_waits_is_bounded_anew() -> None:
    async with opened() as broker:
        async with joined(broker.url, "away", expiry=1_000) as client:
            await client.subscribe("t", qos=1)
        async with joined(broker.url) as client:
            for number in range(4):
                await client.publish("t", b"%d" % number, 1)
            await broker.reconfigure(
                limits=Limits(maximum_queued_messages=2),
                options=BrokerOptions(queue_policy=QueuePolicy.DROP_NEWEST),
            )
            await client.publish("t", b"too many", 1)
            await broker.reconfigure(
                limits=Limits(maximum_queued_messages=4),
                options=BrokerOptions(queue_policy=QueuePolicy.DROP_OLDEST),
            )
            await client.publish("t", b"last", 1)
        async with joined(broker.url, "away", clean_start=False, expiry=0) as client:
            got = [message.payload for message in await client.take()]
            assert got == [b"1", b"2", b"3", b"last"]


async def test_parts_that_have_bounds_of_their_own_keep_to_the_new_ones() -> None:
    async with opened() as broker, joined(broker.url) as client:
        await client.publish("a/b/c", b"kept", 1, retain=True)
        await broker.reconfigure(
            limits=Limits(
                maximum_topic_levels=2,
                maximum_retained_messages=1,
                maximum_unfinished_bytes=1_000,
                password_threads=5,
            ),
            options=BrokerOptions(
                system_topics_interval=0, shared_strategy=SharedStrategy.STICKY,
                oldest_absent_session_ends=True,
            ),
        )  # fmt: skip
        assert await client.publish("a/b/c", b"deep", 1) == NOT_AUTHORIZED
        assert await client.publish("other", b"kept", 1, retain=True) == ReasonCode.QUOTA_EXCEEDED
        assert await client.subscribe("$SYS/#") == [SUCCESS]
        assert await client.messages() == []
        core = core_of(broker)
        assert core.memory._maximum_unfinished == 1_000
        assert core.access.password_checks._threads.total_tokens == 5
        await broker.reconfigure(options=BrokerOptions(), limits=Limits())
        assert await client.subscribe("$SYS/broker/version") == [SUCCESS]
        assert len(await client.messages()) == 1
        assert await client.publish("a/b/c", b"deep", 1) != NOT_AUTHORIZED


async def test_shared_subscriptions_take_the_new_strategy() -> None:
    async with opened() as broker, joined(broker.url, "1") as one, joined(broker.url, "2") as two:
        for client in (one, two):
            await client.subscribe("$share/us/t")
        await broker.reconfigure(options=BrokerOptions(shared_strategy=SharedStrategy.STICKY))
        async with joined(broker.url, "3") as publisher:
            for _ in range(4):
                await publisher.publish("t")
                await publisher.ping()
        assert sorted([len(await one.messages()), len(await two.messages())]) == [0, 4]


async def test_connections_of_an_address_are_counted_once_they_are_bounded() -> None:
    async with opened() as broker, joined(broker.url, "1"), joined(broker.url, "2"):
        await broker.reconfigure(limits=Limits(maximum_connections_per_address=2))
        assert not await may_connect(broker.url)
        await broker.reconfigure(limits=Limits(maximum_connections_per_address=3))
        assert await may_connect(broker.url)


# -- access -----------------------------------------------------------------------------------


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    path = tmp_path / "passwords"
    set_password(path, "alice", b"right", create=True)
    set_password(path, "bob", b"his")
    return path


async def test_who_would_not_be_let_in_now_is_disconnected(passwords: Path) -> None:
    async with opened() as broker, joined(broker.url, "nobody") as client:
        await broker.reconfigure(security=Security(passwords=passwords))
        await client.expect_disconnect(NOT_AUTHORIZED)
        async with trio_mqtt.open_client(
            broker.url,
            username="alice",
            password="right",
        ) as alice:
            await broker.reconfigure(security=Security(passwords=passwords, allow_anonymous=True))
            await alice.publish("t", qos=1)
            async with joined(broker.url, "nobody"):
                pass
        async with await dial(broker.url) as stream:
            bob = Raw(stream)
            await bob.send(Connect("b", username="bob", password=b"his"))
            assert (await bob.expect(ConnAck)).reason_code == SUCCESS
            remove_user(passwords, "bob")
            await broker.reconfigure()
            await bob.expect_disconnect(NOT_AUTHORIZED)


async def test_rules_that_come_and_go_hold_for_who_is_there(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic read a/#\n")
    async with opened() as broker, joined(broker.url) as client:
        await client.subscribe("a/b", "c")
        await broker.reconfigure(security=Security(access=rules))
        assert await client.publish("a/b", b"", 1) == NOT_AUTHORIZED
        await broker.publish("c", b"1")
        await broker.publish("a/b", b"2")
        assert [message.payload for message in await client.messages()] == [b"2"]
        await broker.reconfigure(security=Security())
        await broker.publish("a/b", b"3")
        await broker.publish("c", b"4")
        assert [message.payload for message in await client.messages()] == [b"3", b"4"]
        assert await client.publish("x", b"", 1) == ReasonCode.NO_MATCHING_SUBSCRIBERS


async def test_a_listener_gets_access_of_its_own_and_loses_it(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic read #\n")
    others = tmp_path / "others"
    others.write_text("topic readwrite #\n")
    async with (
        opened(LOCAL, LOCAL, security=Security(access=others)) as broker,
        joined(broker.urls[0], "1") as one,
        joined(broker.urls[1], "2") as two,
    ):
        first, second = broker.urls
        await one.publish("kept/1", b"x", 1, retain=True)
        await two.publish("kept/2", b"x", 1, retain=True)
        for security, code in (
            (Security(access=rules), NOT_AUTHORIZED),
            (Security(access=others), ReasonCode.NO_MATCHING_SUBSCRIBERS),
            (Security(access=rules), NOT_AUTHORIZED),
            (None, ReasonCode.NO_MATCHING_SUBSCRIBERS),
        ):
            await broker.reconfigure(first, Listen(second, security=security))
            assert await one.publish("t", b"", 1) == ReasonCode.NO_MATCHING_SUBSCRIBERS
            assert await two.publish("t", b"", 1) == code
            await one.subscribe("kept/#")
            found = 1 if code == NOT_AUTHORIZED else 2
            assert len(await one.messages()) == found


class Answering(trio_mqtt.access.AccessHooks):
    """Hooks that let messages through to some topics."""

    def __init__(self, allowed: str) -> None:
        self._allowed = allowed

    async def authorize_publish(
        self, client: ClientInfo, message: Publication
    ) -> Publication | AccessRefused:
        return message if message.topic.startswith(self._allowed) else AccessRefused()


async def test_who_is_held_to_hooks_is_held_to_the_new_ones() -> None:
    async with (
        opened(security=Security(hooks=Answering("a"), allow_anonymous=True)) as broker,
        joined(broker.url) as client,
    ):
        for allowed, a, b in (("a", True, False), ("b", False, True), ("", True, True)):
            hooks = Answering(allowed) if allowed else None
            await broker.reconfigure(security=Security(hooks=hooks, allow_anonymous=True))
            codes = [await client.publish(topic, b"", 1) for topic in ("a", "b")]
            assert [code != NOT_AUTHORIZED for code in codes] == [a, b]


# -- all or nothing ---------------------------------------------------------------------------


async def test_where_anything_fails_nothing_has_changed(passwords: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    before = Security(passwords=passwords)
    async with opened(security=before, limits=Limits(maximum_keep_alive=9)) as broker:
        urls, port = broker.urls, free_port()
        new = f"mqtt://127.0.0.1:{port}"
        set_password(passwords, "carol", b"hers")
        wrong: list[tuple[tuple[str | Listen, ...], dict[str, Any], type[Exception]]] = [
            (
                (broker.url, Listen(new, security=Security(passwords=missing))),
                {},
                ConfigurationError,
            ),
            ((new, Listen(LOCAL, tls=ServerTls(missing))), {}, ConfigurationError),
            ((new, "mqtt://198.51.100.1:1"), {}, ListenError),
            ((new,), {"security": Security(access=missing)}, ConfigurationError),
            ((new, "mqtt://0.0.0.0:0"), {"security": Security()}, ConfigurationError),
        ]
        for listeners, settings, error in wrong:
            with pytest.raises(error):
                await broker.reconfigure(*listeners, limits=Limits(), **settings)
            assert (broker.urls, broker.limits.maximum_keep_alive) == (urls, 9)
            assert not await may_connect(new)
        assert not await may_connect(broker.url, username="carol", password="hers")
        await broker.reconfigure()
        assert await may_connect(broker.url, username="carol", password="hers")


async def test_who_gives_up_meanwhile_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opening = trio.Event()

    async def never(*_: object) -> None:
        opening.set()
        await trio.sleep_forever()

    async with opened() as broker:
        new = f"mqtt://127.0.0.1:{free_port()}"
        real = trio_mqtt.broker.listeners.open_listener  # type: ignore[attr-defined]
        count = 0

        async def open_one(listen: Listen) -> object:
            nonlocal count
            count += 1
            return await (real(listen) if count == 1 else never())

        monkeypatch.setattr("trio_mqtt.broker.listeners.open_listener", open_one)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(broker.reconfigure, broker.url, new, LOCAL)
            await opening.wait()
            nursery.cancel_scope.cancel()
        assert not await may_connect(new)
        assert len(broker.urls) == 1


async def test_changes_are_made_one_after_the_other() -> None:
    async with opened() as broker:
        async with trio.open_nursery() as nursery:
            for number in range(2, 12):
                nursery.start_soon(
                    lambda number: broker.reconfigure(
                        limits=Limits(maximum_keep_alive=number, maximum_subscriptions=number)
                    ),
                    number,
                )
        assert broker.limits.maximum_keep_alive == broker.limits.maximum_subscriptions
