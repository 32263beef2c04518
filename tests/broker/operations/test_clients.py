"""Clients as whoever runs the broker sees them, and what is done about them."""

from __future__ import annotations

import time

import pytest
import trio
import trio.testing

from tests.broker.conftest import Join
from tests.broker.raw import V311, Closed
from trio_mqtt import Broker, Limits, LocalProtocolError, NotFoundError
from trio_mqtt.administration import (
    ClientName,
    ClientQuery,
    ClientView,
    Disconnect,
    QueueQuery,
)
from trio_mqtt.protocol.packets import Disconnect as DisconnectPacket
from trio_mqtt.protocol.packets import Publish, Will
from trio_mqtt.protocol.reason_codes import ReasonCode


@pytest.fixture
def limits() -> Limits:
    return Limits(maximum_queued_messages=10)


async def _names(broker: Broker, **asked: object) -> list[str]:
    page = await broker.administration.clients(ClientQuery(**asked))  # type: ignore[arg-type]
    return [one.client_id for one in page.items]


async def test_a_client_is_seen_as_it_is(broker: Broker, join: Join) -> None:
    will = Will("gone", b"1234", 1, properties={"will_delay_interval": 5})
    client = await join(
        "c", username="u", keep_alive=40, will=will, properties={"session_expiry_interval": 90}
    )
    await client.subscribe("a/#", "b")
    (seen,) = (await broker.administration.clients()).items
    assert abs((seen.since or 0) - time.time()) < 60
    assert seen == ClientView(
        client_id="c",
        mount_point="",
        connected=True,
        username="u",
        address="memory",
        listener=None,
        protocol="5",
        since=seen.since,
        keep_alive=40,
        expiry_interval=90,
        expires_at=None,
        will=seen.will,
        subscriptions=2,
        queued_messages=0,
        queued_bytes=0,
        in_flight=0,
        dropped=0,
    )
    assert seen.will is not None
    assert (seen.will.topic, seen.will.size, seen.will.delay) == ("gone", 4, 5)


async def test_a_client_that_is_away_is_seen_with_what_waits_for_it(
    broker: Broker, join: Join
) -> None:
    client = await join("c", properties={"session_expiry_interval": 90})
    await client.subscribe("a", qos=1)
    await client.send(DisconnectPacket())
    await trio.testing.wait_all_tasks_blocked()
    for number in range(12):
        await broker.publish("a", b"%d" % number, qos=1)
    seen = await broker.administration.client(ClientName(client_id="c"))
    assert not seen.connected
    assert (seen.queued_messages, seen.dropped) == (10, 2)
    assert seen.expires_at is not None
    assert seen.since is not None
    assert seen.expires_at - seen.since == pytest.approx(90)
    assert await _names(broker, slow=True) == ["c"]
    queue = await broker.administration.queue(QueueQuery(client_id="c", offset=3, limit=2))
    assert queue.total == 10
    assert [one.payload for one in queue.items] == [b"3", b"4"]
    assert {one.state for one in queue.items} == {"waiting"}


async def test_what_is_in_flight_is_seen_in_the_queue(broker: Broker, join: Join) -> None:
    client = await join("c", properties={"receive_maximum": 1})
    await client.subscribe("a", qos=1)
    await broker.publish("a", b"x" * 300, qos=1)
    await broker.publish("a", b"y", qos=1)
    await client.expect(Publish)
    queue = await broker.administration.queue(QueueQuery(client_id="c"))
    first, second = queue.items
    assert (first.state, first.size, len(first.payload)) == ("in flight", 300, 256)
    assert first.packet_id
    assert (second.state, second.topic_filter, second.packet_id) == ("waiting", "a", None)


async def test_clients_are_found_by_all_that_is_given(broker: Broker, join: Join) -> None:
    await join("lamp-1", username="Ada")
    await join("lamp-2", V311, username="bob")
    away = await join("door", username="ada", properties={"session_expiry_interval": 90})
    await away.send(DisconnectPacket())
    await trio.testing.wait_all_tasks_blocked()
    assert await _names(broker) == ["door", "lamp-1", "lamp-2"]
    assert await _names(broker, descending=True, limit=2) == ["lamp-2", "lamp-1"]
    assert await _names(broker, offset=2) == ["lamp-2"]
    assert await _names(broker, search="LAMP") == ["lamp-1", "lamp-2"]
    assert await _names(broker, search="ada", connected=True) == ["lamp-1"]
    assert await _names(broker, connected=False) == ["door"]
    assert await _names(broker, username="bob") == ["lamp-2"]
    assert await _names(broker, address="memory", search="-2") == ["lamp-2"]
    assert await _names(broker, listener="mqtt://nowhere") == []
    page = await broker.administration.clients(ClientQuery(limit=1))
    assert page.total == 3
    for order in ("username", "since", "queued_messages", "in_flight", "dropped", "subscriptions"):
        assert len(await _names(broker, sort=order)) == 3


@pytest.mark.parametrize("asked", [{"limit": 0}, {"limit": 1_001}, {"offset": -1}])
def test_there_are_no_such_pages(asked: dict[str, int]) -> None:
    with pytest.raises(LocalProtocolError):
        ClientQuery(**asked)  # type: ignore[arg-type]


async def test_rates_are_those_since_somebody_has_asked_before(broker: Broker, join: Join) -> None:
    client = await join("c")
    await client.subscribe("a")
    name = ClientName(client_id="c")
    assert (await broker.administration.client(name)).rates is None
    await trio.sleep(1)
    for _ in range(20):
        await client.send(Publish("a", b"x" * 100))
        await client.expect(Publish)
    await trio.sleep(1)
    rates = (await broker.administration.client(name)).rates
    assert rates is not None
    assert rates.seconds == pytest.approx(2)
    assert (rates.messages_in, rates.messages_out) == (10, 10)
    assert rates.bytes_in == rates.bytes_out > 1_000


async def test_nothing_is_counted_that_nobody_asks_for_any_more(broker: Broker, join: Join) -> None:
    await join("c", keep_alive=0)
    await broker.administration.clients(ClientQuery(rates=True))
    (link,) = broker._listeners.connections.all()
    looked_at = [link.observation, link.outlet.observer]
    await trio.sleep(61)
    assert None not in looked_at
    assert [link.observation, link.outlet.observer] == [None, None]


async def test_nothing_is_left_to_do_for_who_was_counted_and_has_gone(
    broker: Broker, join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    client = await join("c")
    await broker.administration.client(ClientName(client_id="c"))
    await client.send(DisconnectPacket())
    await client.expect_closed()
    await trio.sleep(61)
    assert caplog.text == ""


async def test_a_client_is_disconnected_and_told_why(broker: Broker, join: Join) -> None:
    client = await join("c")
    await broker.administration.disconnect(
        Disconnect(client_id="c", reason_code=0x89, reason="not now")
    )
    told = await client.expect(DisconnectPacket)
    assert told.reason_code is ReasonCode.SERVER_BUSY
    assert told.properties["reason_string"] == "not now"
    assert isinstance(await client.receive(), Closed)
    with pytest.raises(NotFoundError, match="no client 'c'"):
        await broker.administration.disconnect(Disconnect(client_id="c"))


async def test_a_client_that_is_away_cannot_be_disconnected(broker: Broker, join: Join) -> None:
    client = await join("c", properties={"session_expiry_interval": 90})
    await client.send(DisconnectPacket())
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(NotFoundError, match="not connected"):
        await broker.administration.disconnect(Disconnect(client_id="c"))


def test_disconnect_has_the_codes_of_the_standard() -> None:
    with pytest.raises(LocalProtocolError, match="0x02"):
        Disconnect(client_id="c", reason_code=2)


async def test_a_session_ends_with_its_connection_and_its_will(broker: Broker, join: Join) -> None:
    watcher = await join("w")
    await watcher.subscribe("gone")
    properties = {"session_expiry_interval": 90}
    client = await join("c", will=Will("gone", b"!"), properties=properties)
    await broker.administration.end_session(ClientName(client_id="c"))
    told = await client.expect(DisconnectPacket)
    assert told.reason_code is ReasonCode.ADMINISTRATIVE_ACTION
    assert (await watcher.expect(Publish)).payload == b"!"
    await trio.testing.wait_all_tasks_blocked()
    assert await _names(broker) == ["w"]
    again = await join("c", clean_start=False, properties=properties)
    assert again.connack is not None
    assert not again.connack.session_present


async def test_unknown_clients_are_not_found(broker: Broker) -> None:
    name = ClientName(client_id="nobody")
    administration = broker.administration
    for asked in (
        administration.client(name),
        administration.end_session(name),
        administration.queue(QueueQuery(client_id="nobody")),
    ):
        with pytest.raises(NotFoundError):
            await asked
