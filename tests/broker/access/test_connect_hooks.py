"""A program's hooks look at connections before CONNECT, and change what CONNECT asks for."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import trio

from tests.broker.access.hooked import served
from tests.broker.raw import V5, V31, V311, Raw
from trio_mqtt.access import (
    AccessHooks,
    AccessRefused,
    ClientInfo,
    ConnectionInfo,
    ConnectRequest,
    Publication,
)
from trio_mqtt.administration import NewBan
from trio_mqtt.events import ClientConnected, ClientRefused
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect, Will
from trio_mqtt.protocol.reason_codes import ReasonCode

ALL = pytest.mark.parametrize("version", [V31, V311, V5], ids=lambda version: version.text)


class Porter(AccessHooks):
    """Looks at connections in a way of the test's."""

    def __init__(self, decide: Callable[[ConnectionInfo], Awaitable[Any]]) -> None:
        self._decide = decide

    async def accept(self, connection: ConnectionInfo) -> AccessRefused | None:
        answer: AccessRefused | None = await self._decide(connection)
        return answer


async def fail(_connection: ConnectionInfo) -> None:
    raise RuntimeError("no database")


async def never(_connection: ConnectionInfo) -> None:
    await trio.sleep_forever()


async def nonsense(_connection: ConnectionInfo) -> bool:
    return False


async def refuse(_connection: ConnectionInfo) -> AccessRefused:
    return AccessRefused(reason="it is night")


@pytest.mark.parametrize(
    ("decide", "reason"),
    [
        (refuse, "it is night"),
        (fail, "the broker could not decide whether to let it in"),
        (never, "the broker could not decide whether to let it in"),
        (nonsense, "the broker could not decide whether to let it in"),
    ],
)
async def test_a_connection_that_is_not_accepted_is_closed_before_connect_is_read(
    decide: Callable[[ConnectionInfo], Awaitable[Any]],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(Porter(decide)) as broker:
        with broker.broker.sample(ClientRefused) as sample:
            client = broker.opened()
            await client.send(Connect("c"))
            await client.expect_closed()
            (event,) = sample.take()
            assert isinstance(event, ClientRefused)
            assert (event.client_id, event.reason) == (None, reason)
        statistics = broker.broker.statistics
        assert (statistics.packets_received, statistics.hooks_timed_out) == (0, decide is never)
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert bool(told) == (decide is not refuse)


async def test_a_connection_that_is_accepted_goes_on() -> None:
    seen: list[ConnectionInfo] = []

    async def look(connection: ConnectionInfo) -> None:
        seen.append(connection)

    async with served(Porter(look)) as broker:
        await broker.join("c")
    assert seen == [ConnectionInfo("memory")]


class Registrar(AccessHooks):
    """Changes CONNECT in a way of the test's, and remembers who publishes."""

    def __init__(self, change: Callable[[ConnectRequest], Any]) -> None:
        self._change = change
        self.asked: list[ConnectRequest] = []
        self.authors: list[str] = []

    async def authorize_connect(
        self, client: ClientInfo, request: ConnectRequest
    ) -> ConnectRequest | AccessRefused:
        assert client.client_id == request.client_id
        self.asked.append(request)
        answer: ConnectRequest | AccessRefused = self._change(request)
        return answer

    async def authorize_publish(self, client: ClientInfo, message: Publication) -> Publication:
        self.authors.append(client.client_id)
        return message


async def answered(client: Raw, connect: Connect) -> ConnAck:
    await client.send(replace(connect, protocol_version=client.version))
    return await client.expect(ConnAck)


async def test_a_hook_sees_what_connect_asks_for(version: ProtocolVersion) -> None:
    hooks = Registrar(lambda request: request)
    async with served(hooks) as broker:
        will = Will("w", b"gone", 1, True)
        answer = await answered(broker.opened(version), Connect("c", True, 7, will=will))
        assert answer.reason_code == ReasonCode.SUCCESS
        assert "server_keep_alive" not in answer.properties
    assert hooks.asked == [ConnectRequest("c", 7, Publication("w", b"gone", 1, True))]


@ALL
async def test_a_hook_gives_a_client_another_identifier(version: ProtocolVersion) -> None:
    hooks = Registrar(lambda request: replace(request, client_id=f"one/{request.client_id or 9}"))
    async with served(hooks) as broker:
        with broker.broker.sample(ClientConnected) as sample:
            client = broker.opened(version)
            answer = await answered(client, Connect("c"))
            assert answer.reason_code == ReasonCode.SUCCESS
            assert "assigned_client_identifier" not in answer.properties
            (event,) = sample.take()
            assert isinstance(event, ClientConnected)
            assert event.client_id == "one/c"
        await client.publish("t", b"x", 1)
        assert hooks.authors == ["one/c"]
        # Who comes by the same identifier takes its session over.
        await answered(broker.opened(version), Connect("c"))
        await client.expect_disconnect(ReasonCode.SESSION_TAKEN_OVER)
        if version != V31:
            answer = await answered(broker.opened(version), Connect(""))
            told = {"assigned_client_identifier": "one/9"} if version == V5 else {}
            assert answer.properties.items() >= told.items()


async def test_a_client_whose_new_identifier_is_banned_is_not_let_in() -> None:
    async with served(Registrar(lambda request: replace(request, client_id="other"))) as broker:
        await broker.broker.administration.ban(NewBan(kind="client", value="other"))
        answer = await answered(broker.opened(), Connect("c"))
        assert answer.reason_code == ReasonCode.BANNED


@pytest.mark.parametrize(
    ("version", "asked", "wanted", "holds"),
    [
        (V5, 60, 10, 10), (V5, 60, 100, 100), (V5, 0, 10, 10), (V5, 60, 0, 3_600),
        (V311, 60, 10, 60), (V311, 60, 100, 100), (V311, 60, 0, 0), (V311, 0, 10, 0),
    ],
)  # fmt: skip
async def test_a_hook_gives_a_client_another_keep_alive(
    version: ProtocolVersion, asked: int, wanted: int, holds: int
) -> None:
    """A client of MQTT 3 cannot be told: it has at least what it asked for."""
    async with served(Registrar(lambda request: replace(request, keep_alive=wanted))) as broker:
        client = broker.opened(version)
        answer = await answered(client, Connect("c", keep_alive=asked))
        if version == V5:
            assert answer.properties["server_keep_alive"] == holds
        began = trio.current_time()
        with trio.move_on_after(10_000) as scope:
            await client.receive()
        assert scope.cancelled_caught == (holds == 0)
        if holds:
            assert trio.current_time() - began == pytest.approx(holds * 1.5)


async def test_a_hook_gives_takes_and_changes_wills(version: ProtocolVersion) -> None:
    def change(request: ConnectRequest) -> ConnectRequest:
        if request.will is None:
            return replace(request, will=Publication(f"gone/{request.client_id}", b"added"))
        if request.will.payload == b"taken":
            return replace(request, will=None)
        return replace(request, will=replace(request.will, payload=b"changed"))

    async with served(Registrar(change)) as broker:
        watcher = await broker.join("watcher", version, will=Will("w", b"taken"))
        await watcher.subscribe("gone/#")
        for client_id, will in (
            ("a", None), ("b", Will("gone/b", b"")), ("c", Will("gone/c", b"taken")),
        ):  # fmt: skip
            client = await broker.join(client_id, version, will=will)
            await client.drop()
        found = [(message.topic, message.payload) for message in await watcher.messages()]
        assert found == [("gone/a", b"added"), ("gone/b", b"changed")]


@pytest.mark.parametrize(
    "change",
    [
        lambda request: None,
        lambda request: replace(request, client_id=None),
        lambda request: replace(request, client_id="\0"),
        lambda request: replace(request, keep_alive=70_000),
        lambda request: replace(request, keep_alive="60"),
        lambda request: replace(request, will=b"gone"),
        lambda request: replace(request, will=Publication("a/#", b"")),
        lambda request: replace(request, will=Publication("a", "text")),  # type: ignore[arg-type]
        lambda request: replace(request, will=Publication("a", b"", 3)),
        lambda request: replace(request, will=Publication("a", bytes(40_000))),
        lambda request: replace(request, will=Publication("a", b"", properties={"topic_alias": 1})),
        lambda request: 1 / 0,
    ],
)
async def test_what_is_no_connect_lets_nobody_in(
    change: Callable[[ConnectRequest], Any],
    version: ProtocolVersion,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(Registrar(change), maximum_packet_size=30_000) as broker:
        answer = await answered(broker.opened(version), Connect("c"))
        assert answer.reason_code in (
            ReasonCode.UNSPECIFIED_ERROR,
            ReasonCode.SERVER_UNAVAILABLE,  # as MQTT 3 has it
        )
        assert broker.broker.statistics.sessions == 0
    assert any("authorize_connect" in record.getMessage() for record in caplog.records)


async def test_a_hook_refuses_a_connect_in_its_words() -> None:
    refused = AccessRefused(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, "no such name")
    async with served(Registrar(lambda request: refused)) as broker:
        answer = await answered(broker.opened(), Connect("c"))
        assert answer.reason_code == ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
        assert answer.properties == {"reason_string": "no such name"}


async def test_what_a_client_may_not_ask_for_it_may_not_have_by_a_hook(
    version: ProtocolVersion,
) -> None:
    """What MQTT 3 forbids is what the client sent; what the broker bounds is what holds."""
    hooks = Registrar(lambda request: replace(request, client_id="x" * 300))
    async with served(hooks, maximum_client_identifier=200) as broker:
        answer = await answered(broker.opened(version), Connect("c"))
        assert answer.reason_code == ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
    async with served(Registrar(lambda request: replace(request, client_id="named"))) as broker:
        client = broker.opened(V311)
        await client.send(b"\x10\x0c\0\4MQTT\4\0\0\0\0\0")  # no identifier, no clean session
        answer = await client.expect(ConnAck)
        assert answer.reason_code == ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
