"""What has ended is freed at once, by reference counting: connections, sessions, subscriptions."""

from __future__ import annotations

import gc
import inspect
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace

import pytest
import trio
import trio.testing

from tests.broker.raw import V5, V311, Raw
from tests.inside import core_of, links_of
from tests.remains import living, without_collector
from trio_mqtt import Security
from trio_mqtt.access import AccessHooks, ClientInfo, Publication, SubscriptionRequest
from trio_mqtt.broker.access.protocols import Authenticated, AuthenticationExchange
from trio_mqtt.broker.limits import MIB, Limits
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packets import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    PubAck,
    Publish,
    PubRec,
    Subscription,
    Will,
)
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import MemoryBroker, open_memory_broker

pytestmark = pytest.mark.slow


class Asked(AccessHooks):
    """Hooks that let everything pass, some of it changed."""

    async def authorize_publish(self, client: ClientInfo, message: Publication) -> Publication:
        return replace(message, topic=f"{message.topic}/changed")

    async def authorize_subscribe(
        self, client: ClientInfo, request: SubscriptionRequest
    ) -> SubscriptionRequest:
        return request

    async def authorize_delivery(self, client: ClientInfo, message: Publication) -> Publication:
        return message


class Challenge:
    """An authenticator that asks once."""

    async def authenticate(self, exchange: AuthenticationExchange) -> Authenticated:
        return Authenticated(await exchange.challenge(b"who?"), "somebody")


@pytest.fixture(autouse=True)
def _only_reference_counting() -> Iterator[None]:
    with without_collector():
        yield


@pytest.fixture
async def memory() -> AsyncIterator[MemoryBroker]:
    limits = Limits(write_timeout=5, maximum_packet_size=4 * MIB, maximum_queued_messages=50)
    async with open_memory_broker(
        limits=limits, security=Security(authenticators={"ask": Challenge()})
    ) as memory:
        yield memory


async def joined(memory: MemoryBroker, client_id: str = "c", **options: object) -> Raw:
    client = Raw(memory.connect())
    await client.connect(client_id, **options)  # type: ignore[arg-type]  # passed on
    return client


# -- one client each: how its connection, session and subscriptions end -------------------------


async def said_goodbye(memory: MemoryBroker) -> None:
    client = await joined(memory)
    await client.subscribe("a/#", qos=2)
    await client.send(Publish("a/b", b"for myself", 1, packet_id=1), Disconnect())
    await client.drain()
    await client.stream.aclose()


async def was_lost(memory: MemoryBroker) -> None:
    client = await joined(memory, keep_alive=10, will=Will("a/gone", b"it", 1))
    await client.subscribe("a/#", "b", "a/+", qos=1, identifier=7)
    await client.drop()


async def fell_silent(memory: MemoryBroker) -> None:
    client = await joined(memory, keep_alive=10)
    await client.subscribe("a")
    await client.expect_disconnect(ReasonCode.KEEP_ALIVE_TIMEOUT)
    await client.stream.aclose()


async def never_connected(memory: MemoryBroker) -> None:
    client = Raw(memory.connect())
    await client.expect_closed()
    await client.stream.aclose()


async def left_before_connecting(memory: MemoryBroker) -> None:
    client = Raw(memory.connect())
    await client.send(b"\x10\xff")
    await client.drop()


async def was_refused(memory: MemoryBroker) -> None:
    client = Raw(memory.connect())
    await client.send(Connect("c" * 2_000, protocol_version=V5))
    assert (await client.expect(ConnAck)).reason_code.is_failure
    await client.drop()


async def named_no_known_method(memory: MemoryBroker) -> None:
    client = Raw(memory.connect())
    await client.send(Connect("c", properties={"authentication_method": "other"}))
    assert (await client.expect(ConnAck)).reason_code.is_failure
    await client.drop()


async def spoke_another_version(memory: MemoryBroker) -> None:
    client = Raw(memory.connect())
    connect = bytearray(encode(Connect("c"), V5))
    connect[connect.index(b"MQTT") + 4] = 9
    await client.send(bytes(connect))
    await client.drop()


async def spoke_something_else(memory: MemoryBroker) -> None:
    client = Raw(memory.connect())
    await client.send(b"GET / HTTP/1.1\r\n\r\n")
    await client.expect_closed()
    await client.stream.aclose()


async def authenticated(memory: MemoryBroker) -> None:
    client = Raw(memory.connect())
    method = {"authentication_method": "ask", "authentication_data": b""}
    await client.send(Connect("c", properties={"authentication_method": "ask"}))
    await client.expect(Auth)
    await client.send(Auth(ReasonCode.CONTINUE_AUTHENTICATION, method))  # type: ignore[arg-type]  # as Properties
    await client.expect(ConnAck)
    await client.send(Auth(ReasonCode.RE_AUTHENTICATE, {"authentication_method": "ask"}))
    await client.expect(Auth)  # and leaves it without an answer
    await client.drop()


async def left_while_authenticating(memory: MemoryBroker) -> None:
    client = Raw(memory.connect())
    await client.send(Connect("c", properties={"authentication_method": "ask"}))
    await client.expect(Auth)
    await client.drop()


async def broke_the_rules(memory: MemoryBroker, wrong: bytes = b"\x36\x06\0\x01a\0\x01\0") -> None:
    client = await joined(memory)
    await client.subscribe("a")
    await client.send(wrong)
    await client.drain()
    await client.drop()


async def sent_no_utf8(memory: MemoryBroker) -> None:
    await broke_the_rules(memory, b"\x30\x05\0\x01\xff\0x")


async def named_an_alias_that_is_too_high(memory: MemoryBroker) -> None:
    await broke_the_rules(memory, encode(Publish("a", properties={"topic_alias": 9_999}), V5))


async def acknowledged_what_is_of_qos_2(memory: MemoryBroker) -> None:
    client = await joined(memory)
    await client.subscribe("a", qos=2)
    await memory.broker.publish("a", b"1", qos=2)
    message = await client.expect(Publish)
    await client.send(PubAck(message.packet_id))
    await client.drain()
    await client.drop()


async def stopped_in_a_large_packet(memory: MemoryBroker) -> None:
    client = await joined(memory)
    await client.send(b"\x30\xff\xff\x7f" + bytes(1_900_000))
    await client.drop()


async def stopped_reading(memory: MemoryBroker) -> None:
    client = Raw(memory.connect(lockstep=True))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.connect, "c")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.subscribe, "a")
    await memory.broker.publish("a", bytes(1_000_000))
    await trio.sleep(20)
    await client.drop()


async def left_messages_in_flight_and_waiting(memory: MemoryBroker) -> None:
    client = await joined(memory, expiry=30, properties={"receive_maximum": 2})
    await client.subscribe("a", "b", qos=2)
    for topic in "abababab":
        await memory.broker.publish(topic, b"1", qos=2)
    await client.send(PubRec((await client.expect(Publish)).packet_id))
    await client.drop()
    await memory.broker.publish("a", b"2", qos=1)
    await trio.sleep(40)
    assert not core_of(memory.broker).sessions.all()


async def left_a_will_for_later(memory: MemoryBroker) -> None:
    will = Will("a", b"1", 1, properties={"will_delay_interval": 10})
    client = await joined(memory, expiry=30, will=will)
    await client.subscribe("a")
    await client.drop()
    await trio.sleep(40)


async def was_taken_over_by_a_clean_start(memory: MemoryBroker) -> None:
    first = await joined(memory, expiry=30)
    await first.subscribe("a", "$share/g/a", qos=1)
    second = await joined(memory)
    await first.drain()
    await first.drop()
    await second.disconnect()


async def was_taken_over_and_resumed(memory: MemoryBroker) -> None:
    first = await joined(memory, expiry=30)
    await first.subscribe("a", "$share/g/a", qos=1)
    await memory.broker.publish("a", b"1", qos=1)
    second = await joined(memory, expiry=30, clean_start=False)
    assert second.connack is not None
    assert second.connack.session_present
    await first.drain()
    await first.drop()
    await second.drop()
    await trio.sleep(40)


async def shared_with_others(memory: MemoryBroker) -> None:
    clients = [await joined(memory, name, expiry=30) for name in ("one", "two")]
    for client in clients:
        await client.subscribe("$share/g/a", qos=1)
    for _ in range(5):
        await memory.broker.publish("a", b"1", qos=1)
    await clients[0].drop()
    await memory.broker.publish("a", b"1", qos=1)
    await clients[1].drain()
    await clients[1].disconnect()
    await trio.sleep(40)


async def was_sent_elsewhere(memory: MemoryBroker) -> None:
    client = await joined(memory)
    assert memory.broker.redirect("c", "mqtt://elsewhere")
    await client.drain()
    await client.drop()


async def published_a_large_message(memory: MemoryBroker) -> None:
    client = await joined(memory)
    await client.subscribe("a", qos=1)
    await client.send(Publish("a", bytes(1_000_000), 1, packet_id=1))
    await client.drain()
    await client.disconnect()


End = Callable[[MemoryBroker], Awaitable[None]]
ENDS: list[End] = [
    found
    for name, found in list(globals().items())
    if inspect.iscoroutinefunction(found)
    and found.__module__ == __name__
    and name not in ("joined", "memory")
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_nothing_is_left_of_a_client_that(memory: MemoryBroker, end: End) -> None:
    await end(memory)
    await trio.testing.wait_all_tasks_blocked()
    before = living()
    await end(memory)
    await trio.testing.wait_all_tasks_blocked()
    assert not links_of(memory.broker)
    assert living() - before == {}
    assert living()["Connection"] == living()["Session"] == living()["Subscription"] == 0


@pytest.mark.parametrize("version", [V311, V5], ids=["3.1.1", "5"])
async def test_nothing_is_left_of_a_client_that_hooks_were_asked_about(version: object) -> None:
    async with open_memory_broker(security=Security(hooks=Asked())) as memory:
        for _ in range(2):
            before = living()
            client = Raw(memory.connect(), version)  # type: ignore[arg-type]  # the parameter
            await client.connect("c", will=Will("will"))
            await client.subscribe("a/#", qos=1)
            await client.publish("a", b"1", 1)
            await client.expect(Publish)
            await client.drop()
            await trio.testing.wait_all_tasks_blocked()
        assert living() - before == {}


async def test_nothing_of_its_connect_is_held_for_a_client_that_stays(memory: MemoryBroker) -> None:
    client = Raw(memory.connect())
    await client.send(Connect("stays"), Publish("stays", b"1", 1, packet_id=1))
    await client.expect(ConnAck)
    await client.expect(PubAck)
    await trio.testing.wait_all_tasks_blocked()
    assert living()["Connection"] == 1
    assert living()["Handshake"] == 0
    assert [
        one
        for one in gc.get_objects()
        if (isinstance(one, Connect) and one.client_id == "stays")
        or (isinstance(one, Publish) and one.topic == "stays")
    ] == []
    await client.disconnect()


async def test_nothing_is_left_of_a_client_that_was_turned_away() -> None:
    async with open_memory_broker(limits=Limits(maximum_connections=1)) as memory:
        kept = await joined(memory)
        before = living()
        for _ in range(3):
            client = Raw(memory.connect())
            await client.expect_closed()
            await client.stream.aclose()
        assert living() - before == {}
        await kept.disconnect()


@pytest.mark.parametrize("topic_filter", ["a", "a/#", "$share/g/a"])
async def test_nothing_is_left_of_a_subscription_that_has_ended(
    memory: MemoryBroker, topic_filter: str
) -> None:
    client = await joined(memory, properties={"receive_maximum": 1})
    before = living()
    for _ in range(3):
        await client.subscribe(Subscription(topic_filter, 1))
        await memory.broker.publish("a", b"1", qos=1)
        message = await client.expect(Publish)
        for _ in range(3):
            await memory.broker.publish("a", b"1", qos=1)  # these wait
        await client.unsubscribe(topic_filter)
        await client.send(PubAck(message.packet_id))
        await client.ping()
    assert living() - before == {}
    await client.disconnect()


async def test_who_waits_holds_nothing_of_what_was_sent(memory: MemoryBroker) -> None:
    subscriber = await joined(memory, "subscriber")
    await subscriber.subscribe("a", qos=1)
    publisher = await joined(memory, "publisher")
    await publisher.publish("a", b"small", 1)
    await subscriber.send(PubAck((await subscriber.expect(Publish)).packet_id))
    await subscriber.ping()
    tracemalloc.start()
    try:
        await publisher.publish("a", bytes(3_000_000), 1)
        await subscriber.send(PubAck((await subscriber.expect(Publish)).packet_id))
        await trio.testing.wait_all_tasks_blocked()
        assert tracemalloc.get_traced_memory()[0] < 500_000  # both are still there, and say nothing
    finally:
        tracemalloc.stop()
