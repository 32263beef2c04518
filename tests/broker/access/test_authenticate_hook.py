"""A program's hook decides who may connect."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import trio

from tests.broker.access.hooked import served
from tests.broker.raw import V5, Raw
from tests.inside import core_of
from trio_mqtt import Security
from trio_mqtt.access import (
    AccessHooks,
    Authenticated,
    AuthenticationRefused,
    ClientInfo,
    set_password,
)
from trio_mqtt.events import ClientConnected
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Publish,
    Subscribe,
    Subscription,
    Will,
)
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import open_memory_broker


class OnePassword(AccessHooks):
    """Knows one password; an answer for each client otherwise."""

    def __init__(self) -> None:
        self.seen: list[tuple[ClientInfo, bytes | None]] = []

    async def authenticate(
        self, client: ClientInfo, password: bytes | None
    ) -> Authenticated | AuthenticationRefused:
        self.seen.append((client, password))
        await trio.sleep(0.1)
        if client.client_id == "broken":
            raise RuntimeError("no database")
        if client.client_id == "slow":
            await trio.sleep_forever()
        if password != b"right":
            return AuthenticationRefused(ReasonCode.BANNED, "not you")
        return Authenticated(username="the real " + (client.username or "nobody"))


async def test_a_hook_lets_clients_in_and_says_who_they_are(version: ProtocolVersion) -> None:
    hooks = OnePassword()
    async with served(hooks) as broker:
        client = broker.opened(version)
        with broker.broker.sample(ClientConnected) as sample:
            await client.send(Connect("c", protocol_version=version, username="me",
                                      password=b"right"))  # fmt: skip
            assert (await client.expect(ConnAck)).reason_code == ReasonCode.SUCCESS
            assert getattr(sample.take()[0], "username") == "the real me"  # noqa: B009
    ((info, password),) = hooks.seen
    assert (info.client_id, info.username, info.address, password) == (
        "c",
        "me",
        "memory",
        b"right",
    )
    assert (info.protocol_version, info.listener, info.authenticated) == (version.text, "", False)


@pytest.mark.parametrize(
    ("client_id", "code", "in_v311"),
    [
        ("stranger", ReasonCode.BANNED, ReasonCode.NOT_AUTHORIZED),
        ("broken", ReasonCode.UNSPECIFIED_ERROR, ReasonCode.SERVER_UNAVAILABLE),
        ("slow", ReasonCode.UNSPECIFIED_ERROR, ReasonCode.SERVER_UNAVAILABLE),
    ],
)
async def test_who_is_refused_has_done_nothing(
    version: ProtocolVersion,
    client_id: str,
    code: ReasonCode,
    in_v311: ReasonCode,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(OnePassword()) as broker:
        client = broker.opened(version)
        # All that it wants is sent with CONNECT, before any answer.
        await client.send(
            Connect(client_id, protocol_version=version, will=Will("t", b"will")),
            Subscribe(1, [Subscription("#")]),
            Publish("t", b"1", 1, retain=True, packet_id=2),
        )
        answer = await client.expect(ConnAck)
        assert answer.reason_code == (code if version == V5 else in_v311)
        await client.expect_closed()
        statistics = broker.broker.statistics
        assert (statistics.sessions, statistics.subscriptions) == (0, 0)
        assert (statistics.messages_received, len(core_of(broker.broker).retained)) == (0, 0)
    if client_id != "stranger":
        assert any(record.levelno >= logging.WARNING for record in caplog.records)


async def test_one_client_that_is_decided_about_for_long_holds_up_nobody() -> None:
    async with served(OnePassword()) as broker:
        slow = broker.opened()
        await slow.send(Connect("slow", username="x", password=b"right"))
        quick = broker.opened()
        began = trio.current_time()
        await quick.send(Connect("quick", username="x", password=b"right"))
        assert (await quick.expect(ConnAck)).reason_code == ReasonCode.SUCCESS
        assert trio.current_time() - began < 1
        assert (await slow.expect(ConnAck)).reason_code == ReasonCode.UNSPECIFIED_ERROR


async def test_hooks_that_are_not_overridden_are_not_asked() -> None:
    async with served(OnePassword()) as broker:
        access = core_of(broker.broker).access
        assert access.asks_authenticate
        assert [access.asks_publish, access.asks_subscribe, access.asks_delivery] == [False] * 3


@pytest.mark.trio  # in real time: passwords are checked in threads
async def test_a_hook_may_give_a_user_of_the_password_file_another_name(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    set_password(path, "me", b"right", create=True)
    security = Security(passwords=path, hooks=OnePassword())
    async with open_memory_broker(security=security) as memory:
        client = Raw(memory.connect())
        await client.send(Connect("c", username="me", password=b"right"))
        assert (await client.expect(ConnAck)).reason_code == ReasonCode.SUCCESS
        await memory.broker.reload()
        await client.ping()
        set_password(path, "me", b"another")
        await memory.broker.reload()
        await client.expect_disconnect(ReasonCode.NOT_AUTHORIZED)
