"""Requests: each gets its response, or is told why there is none."""

from __future__ import annotations

import anyio
import pytest

from tests.client.fake_broker import FakeBroker, Peer
from tests.client.sessions import assert_nobody_waits, cancelled_after, topic_filters
from trio_mqtt import (
    ConnectionLostError,
    LocalProtocolError,
    Message,
    ReasonCode,
    RequestRefusedError,
)
from trio_mqtt.protocol.packets import ConnAck, PubAck, Publish, SubAck, Subscribe, Unsubscribe

pytestmark = pytest.mark.anyio


def respond(peer: Peer, request: Publish, payload: bytes) -> None:
    peer.publish(
        request.properties["response_topic"], payload, qos=1,
        properties={"correlation_data": request.properties["correlation_data"]},
    )  # fmt: skip


def echo(peer: Peer, packet: Publish) -> None:
    """A broker behind which somebody answers everything."""
    peer.send(PubAck(packet.packet_id))
    respond(peer, packet, packet.payload.upper())


async def test_each_request_gets_its_own_response_whatever_their_order(broker: FakeBroker) -> None:
    answers: dict[str, str] = {}
    async with broker.client() as client, anyio.create_task_group() as tasks:

        async def ask(payload: str) -> None:
            answers[payload] = (await client.request("echo", payload, timeout=60)).text

        for payload in ("a", "b", "c"):
            tasks.start_soon(ask, payload)
        asked = [await broker.peer.expect(Publish) for _ in range(3)]
        for packet in reversed(asked):
            respond(broker.peer, packet, packet.payload.upper())
    assert answers == {"a": "A", "b": "B", "c": "C"}
    assert len(broker.peer.all(Subscribe)) == 1
    assert len({packet.properties["response_topic"] for packet in asked}) == 1
    assert len({packet.properties["correlation_data"] for packet in asked}) == 3
    assert {packet.properties["message_expiry_interval"] for packet in asked} == {60}
    assert [packet.qos for packet in asked] == [1, 1, 1]


async def test_the_response_is_a_message_with_all_that_it_carries(broker: FakeBroker) -> None:
    broker.answers[Publish] = echo
    async with broker.client() as client:
        answer = await client.request("echo", b"hi", properties={"content_type": "text/plain"})
    assert isinstance(answer, Message)
    assert answer.payload == b"HI"
    assert broker.peer.all(Publish)[0].properties["content_type"] == "text/plain"


async def test_response_topics_begin_as_the_broker_suggests(broker: FakeBroker) -> None:
    broker.answers[Publish] = echo
    broker.next_connacks += [
        ConnAck(properties={"response_information": "answers/me/"}),
        ConnAck(properties={"response_information": "answers/you"}),
    ]
    async with broker.client() as client:
        await client.request("echo")
        assert broker.peer.all(Publish)[0].properties["response_topic"].startswith("answers/me/")
        broker.peer.end()
        peer = await broker.connection(2)
        await client.wait_connected()
        await client.request("echo")
        assert peer.all(Publish)[0].properties["response_topic"].startswith("answers/you/")
        filters = topic_filters(client)
        assert [name.rpartition("/")[0] for name in filters] == ["answers/you"]


async def test_without_a_suggestion_nobody_can_guess_it(broker: FakeBroker) -> None:
    broker.answers[Publish] = echo
    topics = set()
    for _ in range(2):
        async with broker.client() as client:
            await client.request("echo")
            topics.add(broker.peer.all(Publish)[0].properties["response_topic"])
    assert len(topics) == 2
    assert all(len(topic) > 30 for topic in topics)


async def test_no_response_in_time_is_a_timeout_and_late_ones_are_counted(
    broker: FakeBroker,
) -> None:
    async with broker.client() as client:
        with pytest.raises(TimeoutError, match=r"'echo' came within 2 s"):
            await client.request("echo", timeout=2)
        request = broker.peer.all(Publish)[0]
        respond(broker.peer, request, b"late")
        broker.peer.publish(request.properties["response_topic"], b"without correlation data")
        await anyio.wait_all_tasks_blocked()
        assert client.late_responses == 2
        broker.answers[Publish] = echo
        assert (await client.request("echo", "x", timeout=60)).text == "X"


async def test_the_time_covers_waiting_for_a_connection(broker: FakeBroker) -> None:
    async with broker.client() as client:
        broker.down = True
        broker.peer.end()
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(TimeoutError):
            await client.request("echo", timeout=2)
        broker.down = False


async def test_it_says_at_once_that_nobody_is_there(broker: FakeBroker) -> None:
    broker.answers[Publish] = lambda peer, packet: peer.send(
        PubAck(packet.packet_id, ReasonCode.NO_MATCHING_SUBSCRIBERS)
    )
    async with broker.client() as client:
        with anyio.fail_after(60), pytest.raises(RequestRefusedError, match="Nobody") as caught:
            await client.request("echo", timeout=3_600)
        assert caught.value.reason_code is ReasonCode.NO_MATCHING_SUBSCRIBERS
        assert client._requests._waiting == {}


async def test_a_refused_subscription_or_request_is_told(broker: FakeBroker) -> None:
    def refuse(peer: Peer, packet: Subscribe) -> None:
        peer.send(SubAck(packet.packet_id, [ReasonCode.NOT_AUTHORIZED]))

    granting, broker.answers[Subscribe] = broker.answers[Subscribe], refuse
    async with broker.client() as client:
        with pytest.raises(RequestRefusedError, match="subscription"):
            await client.request("echo")
        assert topic_filters(client) == []
        broker.answers[Subscribe] = granting
        broker.answers[Publish] = lambda peer, packet: peer.send(
            PubAck(packet.packet_id, ReasonCode.NOT_AUTHORIZED)
        )
        with pytest.raises(RequestRefusedError, match="message on 'echo'"):
            await client.request("echo")


async def test_mqtt_3_has_no_requests(broker: FakeBroker) -> None:
    async with broker.client(protocol_version=4) as client:
        with pytest.raises(LocalProtocolError, match="no requests"):
            await client.request("echo")


async def test_what_a_request_sets_itself_is_not_the_programs(broker: FakeBroker) -> None:
    async with broker.client() as client:
        with pytest.raises(ValueError, match="response topic"):
            await client.request("echo", properties={"response_topic": "mine"})
        with pytest.raises(TypeError):
            await client.request("echo", 5)  # type: ignore[arg-type]  # it is wrong
    assert broker.peer.all(Subscribe) == []


async def test_the_end_of_the_client_ends_its_requests(broker: FakeBroker) -> None:
    async def ask_until_the_end() -> None:
        async with broker.client(reconnect=False) as client, anyio.create_task_group() as tasks:

            async def ask() -> None:
                with pytest.raises(ConnectionLostError):
                    await client.request("echo", timeout=None)

            tasks.start_soon(ask)
            await broker.peer.expect(Publish)
            broker.peer.end()

    with pytest.raises(ConnectionLostError):
        await ask_until_the_end()


async def test_a_request_goes_on_after_a_new_connection(broker: FakeBroker) -> None:
    async with broker.client() as client, anyio.create_task_group() as tasks:

        async def ask() -> None:
            assert (await client.request("echo", "x", timeout=60)).text == "X"

        tasks.start_soon(ask)
        request = await broker.peer.expect(Publish)
        broker.peer.end()
        peer = await broker.connection(2)
        await peer.expect(Subscribe)
        respond(peer, request, b"X")


async def test_cancelling_at_any_step_leaves_nothing_behind(broker: FakeBroker) -> None:
    broker.sends_at_once = False
    broker.answers[Publish] = echo
    for steps in range(200):
        async with broker.client() as client:
            completed = await cancelled_after(steps, lambda: client.request("echo"))
            await anyio.wait_all_tasks_blocked()
            assert client._requests._waiting == {}
            assert_nobody_waits(client)
            assert client.undelivered == 0
            subscribed = len(broker.peer.all(Subscribe)) - len(broker.peer.all(Unsubscribe))
            assert len(topic_filters(client)) == subscribed
            with anyio.fail_after(60):
                await client.request("echo")  # the next is none the worse
        if completed:
            return
    pytest.fail("the request never ends")
