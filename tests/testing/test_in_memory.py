"""A broker in memory and its clients, both in the time of the test."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing

from trio_mqtt import Limits, MemoryStorage, RequestRefusedError, Will
from trio_mqtt.events import Connected, ConnectionEvent
from trio_mqtt.testing import MemoryBroker, open_memory_broker

pytestmark = pytest.mark.trio

HOUR = 3_600


async def test_what_was_published_is_found(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        open_memory_broker() as memory,
        memory.open_client(client_id="me") as client,
        trio.open_nursery() as nursery,
    ):

        async def publish_later() -> None:
            await trio.sleep(HOUR)
            await client.publish("a/b", '{"t": 20}', qos=1)

        nursery.start_soon(publish_later)
        await memory.assert_not_published("a/#", within=HOUR - 1)
        message = await memory.assert_published("a/+", {"t": 20}, within=2)
        assert message is not None
        assert message.at == pytest.approx(HOUR)
        assert memory.published("a/b") == memory.messages == [message]
        with pytest.raises(AssertionError, match=r"came within 60 s\.\n(.*\n)*.*\.t: 20, not 21"):
            await memory.assert_published("a/b", {"t": 21}, within=60)
        await memory.assert_connected("me")
        async with client.subscribe("x", qos=2):
            await memory.assert_subscribed("me", "x", qos=2)
        memory.forget()
        assert memory.messages == []


async def test_nothing_is_recorded_where_nobody_wants_it() -> None:
    async with open_memory_broker(recorded=False) as memory:
        with pytest.raises(RuntimeError, match="records nothing"):
            memory.published("#")


@pytest.mark.parametrize("is_killed", [False, True])
async def test_it_is_started_anew_on_what_was_kept(
    autojump_clock: trio.testing.MockClock, is_killed: bool
) -> None:
    async with (
        open_memory_broker(storage=MemoryStorage()) as memory,
        memory.open_client(client_id="me", session_expiry_interval=HOUR) as client,
        client.subscribe("a", qos=1) as messages,
    ):
        before = memory.broker
        await client.publish("kept", "1", qos=1, retain=True)
        if is_killed:
            await memory.kill()
        else:
            await memory.stop()
        with pytest.raises(RuntimeError, match="start it first"):
            memory.connect()
        await memory.assert_disconnected("me")
        await trio.sleep(60)
        await memory.start()
        assert memory.broker is not before
        await memory.assert_connected("me", within=HOUR)
        await memory.publish("a", "2", qos=1)
        assert (await anext(messages)).text == "2"
        async with client.subscribe("kept") as kept:
            assert (await anext(kept)).text == "1"
        await memory.restart()
        await memory.assert_connected("me", within=HOUR)


async def test_it_is_started_by_whoever_comes_first_and_after_an_end_nobody_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_memory_broker() as memory, memory.open_client(client_id="me"):
        with trio.move_on_after(0) as scope:
            await memory.stop()
        assert scope.cancelled_caught
        before = memory.broker
        started: list[object] = []

        async def start() -> None:
            await memory.start()
            started.append(memory.broker)

        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(start)
        assert started == [memory.broker] * 2 != [before] * 2
        await memory.assert_connected("me", within=HOUR)
        await memory.stop()
        await memory.assert_disconnected("me")


async def test_a_full_disk(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        open_memory_broker(storage=MemoryStorage()) as memory,
        memory.open_client() as client,
        memory.open_client() as another,
    ):
        memory.fill_disk()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(client.publish, "a", "waits", qos=1, retain=True))
            await memory.assert_published("a", "waits")
            with pytest.raises(RequestRefusedError, match="storage is full"):
                await another.publish("a", "refused", qos=1, retain=True)
            memory.free_disk()
        await another.publish("a", "kept", qos=1, retain=True)


# -- virtual time, at both ends --------------------------------------------------------------------


async def test_keep_alive_finds_a_client_that_vanished(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with (
        open_memory_broker() as memory,
        memory.network.open_client(client_id="me", keep_alive=60, will=Will("gone")) as client,
    ):
        await client.publish("here", qos=1)
        began = trio.current_time()
        memory.network.freeze()
        await memory.assert_published("gone", within=HOUR)
        assert 60 <= trio.current_time() - began <= 90 + 1  # one and a half times
        memory.network.heal()
        await memory.assert_connected("me", within=HOUR)


async def test_a_session_and_what_waits_in_it_expire(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_memory_broker() as memory:
        for away, is_kept in ((HOUR - 1, True), (HOUR + 1, False)):
            async with (
                memory.open_client(client_id="me", session_expiry_interval=HOUR) as client,
                client.subscribe("a", qos=1),
            ):
                pass
            await trio.sleep(away)
            events: list[ConnectionEvent] = []
            async with memory.open_client(
                client_id="me",
                clean_start=False,
                session_expiry_interval=0,
                on_event=events.append,
            ):
                pass
            found = [one.session_present for one in events if isinstance(one, Connected)]
            assert found == [is_kept]


async def test_a_message_expires_while_its_client_is_away(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_memory_broker() as memory:
        for wait, payload in ((30.0, "1"), (90.0, None)):
            await memory.publish("a", "1", retain=True, properties={"message_expiry_interval": 60})
            await trio.sleep(wait)
            async with memory.open_client() as client, client.subscribe("a") as messages:
                received = None
                with trio.move_on_after(1):
                    received = (await anext(messages)).text
                assert received == payload


async def test_a_will_waits_for_its_delay(autojump_clock: trio.testing.MockClock) -> None:
    will = Will("gone", properties={"will_delay_interval": 600})
    async with (
        open_memory_broker() as memory,
        memory.network.open_client(
            client_id="me", will=will, session_expiry_interval=HOUR
        ) as client,
    ):
        await client.publish("here", qos=1)
        began = trio.current_time()
        memory.network.refuse()
        memory.network.cut("me")
        await memory.assert_published("gone", within=HOUR)
        assert trio.current_time() - began == pytest.approx(600, abs=1)


async def test_delays_pass_in_no_time(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        open_memory_broker(limits=Limits(connect_timeout=HOUR)) as memory,
        memory.network.open_client() as client,
        client.subscribe("a") as messages,
    ):
        memory.network.delay(5)
        began = trio.current_time()
        await client.publish("a", "1")
        assert (await anext(messages)).text == "1"
        assert trio.current_time() - began == pytest.approx(10)
        memory.network.heal()
        memory.network.limit_rate(1_000, "to broker")
        began = trio.current_time()
        await client.publish("a", bytes(10_000))
        await anext(messages)
        assert trio.current_time() - began == pytest.approx(10, rel=0.05)


async def test_a_network_that_refuses_is_tried_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with (
        open_memory_broker() as memory,
        memory.network.open_client(client_id="me"),
    ):
        memory.network.refuse()
        assert memory.network.cut() == 1
        await memory.assert_disconnected("me")
        await trio.sleep(60)
        memory.network.accept()
        await memory.assert_connected("me", within=HOUR)


async def test_leaving_it_ends_all(autojump_clock: trio.testing.MockClock) -> None:
    async def leave() -> MemoryBroker:
        async with open_memory_broker() as memory, memory.network.open_client():
            return memory

    memory = await leave()
    with pytest.raises(RuntimeError, match="start it first"):
        memory.connect()
