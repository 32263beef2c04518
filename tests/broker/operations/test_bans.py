"""Bans: who is banned is not let in, and may be later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import trio

from tests.broker.conftest import Join
from tests.broker.raw import V5, Raw
from trio_mqtt import (
    Broker,
    LocalProtocolError,
    NotFoundError,
    Security,
    SqliteStorage,
    open_broker,
)
from trio_mqtt.access import AccessHooks, ClientInfo, Publication
from trio_mqtt.administration import BanName, BanQuery, NewBan
from trio_mqtt.broker.access.bans import Ban, Bans, banned_value
from trio_mqtt.protocol.packets import ConnAck, Connect, Disconnect, Will
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import MemoryBroker, open_memory_broker


async def _answer(
    memory: MemoryBroker, client_id: str, *, username: str | None = None, peer: str = "memory"
) -> ReasonCode:
    client = Raw(memory.connect(peer=peer), V5)
    await client.send(Connect(client_id, username=username))
    return (await client.expect(ConnAck)).reason_code


async def test_a_client_that_is_banned_is_not_let_in(memory: MemoryBroker) -> None:
    administration = memory.broker.administration
    await administration.ban(NewBan(kind="client", value="c"))
    assert await _answer(memory, "c") is ReasonCode.BANNED
    assert await _answer(memory, "d") is ReasonCode.SUCCESS
    await administration.unban(BanName(kind="client", value="c"))
    assert await _answer(memory, "c") is ReasonCode.SUCCESS
    with pytest.raises(NotFoundError):
        await administration.unban(BanName(kind="client", value="c"))


async def test_a_user_is_banned_by_whatever_client(memory: MemoryBroker) -> None:
    await memory.broker.administration.ban(NewBan(kind="user", value="eve"))
    assert await _answer(memory, "c", username="eve") is ReasonCode.BANNED
    assert await _answer(memory, "c", username="adam") is ReasonCode.SUCCESS
    assert await _answer(memory, "eve") is ReasonCode.SUCCESS


@pytest.mark.parametrize(
    ("banned", "peer", "code"),
    [
        ("192.0.2.7", "192.0.2.7:99", ReasonCode.BANNED),
        ("192.0.2.7", "192.0.2.8:99", ReasonCode.SUCCESS),
        ("192.0.2.0/24", "192.0.2.8:99", ReasonCode.BANNED),
        ("192.0.2.9/24", "192.0.3.8:99", ReasonCode.SUCCESS),
        ("192.0.2.0/24", "[::ffff:192.0.2.8]:99", ReasonCode.BANNED),
        ("::ffff:192.0.2.0/120", "192.0.2.8:99", ReasonCode.BANNED),
        ("::ffff:192.0.2.7", "192.0.2.8:99", ReasonCode.SUCCESS),
        ("2001:db8::/32", "[2001:db8:1::5]:99", ReasonCode.BANNED),
        ("2001:db8::/32", "192.0.2.7:99", ReasonCode.SUCCESS),
        ("192.0.2.0/24", "a process of me", ReasonCode.SUCCESS),
    ],
)
async def test_an_address_is_banned_alone_or_with_its_network(
    memory: MemoryBroker, banned: str, peer: str, code: ReasonCode
) -> None:
    await memory.broker.administration.ban(NewBan(kind="address", value=banned))
    assert await _answer(memory, "c", peer=peer) is code


async def test_who_is_connected_is_disconnected(broker: Broker, join: Join) -> None:
    client = await join("c", username="eve")
    other = await join("d")
    banned = await broker.administration.ban(NewBan(kind="user", value="eve", by="me"))
    assert banned.disconnected == 1
    assert banned.ban.by == "me"
    assert (await client.expect(Disconnect)).reason_code is ReasonCode.ADMINISTRATIVE_ACTION
    await other.expect_nothing()
    stays = await broker.administration.ban(NewBan(kind="client", value="d", disconnect=False))
    assert stays.disconnected == 0
    await other.expect_nothing()


class _SlowWills(AccessHooks):
    async def authorize_publish(self, client: ClientInfo, message: Publication) -> Publication:
        await trio.sleep(2)
        return message


@pytest.mark.parametrize("kind", ["client", "user"])
async def test_who_is_about_to_be_let_in_is_not(kind: Literal["client", "user"]) -> None:
    async with open_memory_broker(security=Security(hooks=_SlowWills())) as memory:
        client = Raw(memory.connect(), V5)
        await client.send(Connect("c", username="c", will=Will("t")))
        await trio.sleep(1)
        await memory.broker.administration.ban(NewBan(kind=kind, value="c"))
        refused = await client.expect(ConnAck)
        assert refused.reason_code.is_failure
        await client.expect_closed()


async def test_a_ban_ends(memory: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    administration = memory.broker.administration
    await administration.ban(NewBan(kind="client", value="c", seconds=60, reason="too loud"))
    page = await administration.bans(BanQuery(search="LOUD"))
    (ban,) = page.items
    assert ban.until == pytest.approx(ban.since + 60)
    assert await _answer(memory, "c") is ReasonCode.BANNED
    monkeypatch.setattr("trio_mqtt.broker.access.bans.time.time", lambda: ban.since + 61)
    assert await _answer(memory, "c") is ReasonCode.SUCCESS
    assert (await administration.bans()).total == 0


async def test_bans_are_listed_by_kind_and_page(broker: Broker) -> None:
    for number in range(5):
        await broker.administration.ban(NewBan(kind="client", value=f"c{number}"))
    await broker.administration.ban(NewBan(kind="user", value="u"))
    page = await broker.administration.bans(BanQuery(kind="client", offset=3, limit=1))
    assert (page.total, [one.value for one in page.items]) == (5, ["c3"])


@pytest.mark.parametrize(
    ("kind", "value"), [("address", "nowhere"), ("client", ""), ("user", "a\0b")]
)
async def test_nobody_is_called_so(broker: Broker, kind: str, value: str) -> None:
    with pytest.raises(LocalProtocolError):
        await broker.administration.ban(NewBan(kind=kind, value=value))  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_a_ban_is_for_a_time(seconds: float) -> None:
    with pytest.raises(LocalProtocolError):
        NewBan(kind="client", value="c", seconds=seconds)


def test_there_are_so_many_bans_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_mqtt.broker.access.bans.MOST", 2)
    bans = Bans()
    for value in ("192.0.2.0/24", "192.0.2.1"):
        bans.add(Ban(kind="address", value=banned_value("address", value), since=0))
    bans.add(Ban(kind="address", value="192.0.2.1", since=1))  # in place of the other
    with pytest.raises(LocalProtocolError):
        bans.add(Ban(kind="client", value="c", since=0))
    assert len(bans) == 2
    bans.remove("address", "192.0.2.1")
    assert bans.find("c", None, "192.0.2.1:5") is not None
    bans.remove("address", "192.0.2.0/24")
    assert bans.find("c", None, "192.0.2.1:5") is None


@pytest.mark.without_storage
async def test_bans_outlive_the_broker_with_a_storage(tmp_path: Path) -> None:
    async def open_with(use: Callable[[Broker], object]) -> None:
        storage = SqliteStorage(tmp_path / "broker.db", durability="commit")
        async with open_broker("mqtt://127.0.0.1:0", storage=storage) as broker:
            await use(broker)  # type: ignore[misc]

    async def first(broker: Broker) -> None:
        await broker.administration.ban(NewBan(kind="client", value="c/1", seconds=1_000))
        await broker.administration.ban(NewBan(kind="user", value="ended", seconds=1e-9))
        await broker.administration.ban(NewBan(kind="user", value="lifted"))
        await broker.administration.unban(BanName(kind="user", value="lifted"))
        await broker.publish("kept", b"1", retain=True, qos=1)

    async def second(broker: Broker) -> None:
        page = await broker.administration.bans()
        assert [(one.kind, one.value) for one in page.items] == [("client", "c/1")]
        assert broker.restored.retained == 1
        assert (await broker.administration.retained()).total == 1

    await open_with(first)
    await open_with(second)
