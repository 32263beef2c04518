"""Who is not let in is in the log, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.broker.raw import V5, V311, Raw
from trio_mqtt import Security
from trio_mqtt.broker.access.files.password_changes import set_password
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import open_memory_broker

pytestmark = pytest.mark.trio  # in real time: passwords are checked in threads


@pytest.mark.parametrize("version", [V5, V311], ids=["5", "3.1.1"])
async def test_who_is_not_let_in_is_in_the_log(
    version: ProtocolVersion,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    users = tmp_path / "users"
    set_password(users, "alice", b"right", create=True)
    async with open_memory_broker(security=Security(passwords=users)) as memory:
        client = Raw(memory.connect(peer="[2001:db8::1]:9"), version)
        await client.send(
            Connect("c", protocol_version=version, username="alice", password=b"wrong")
        )
        await client.expect(ConnAck)
        stranger = Raw(memory.connect(peer="10.0.0.3:1"), version)
        await stranger.send(Connect("d", protocol_version=version))
        await stranger.expect(ConnAck)
    assert [r.getMessage() for r in caplog.records if r.name == "trio_mqtt.access"] == [
        (
            "'c' (user 'alice', [2001:db8::1]:9) may not connect: the user name or the password is"
            " wrong"
        ),
        (
            "'d' (no user name, 10.0.0.3:1) may not connect: this broker asks for a user name and a"
            " password"
        ),
    ]


async def test_who_is_no_longer_let_in_is_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    users = tmp_path / "users"
    set_password(users, "alice", b"right", create=True)
    async with open_memory_broker(security=Security(passwords=users)) as memory:
        client = Raw(memory.connect(peer="10.0.0.1:1"), V5)
        await client.send(Connect("c", username="alice", password=b"right"))
        await client.expect(ConnAck)
        set_password(users, "alice", b"another")
        await memory.broker.reload()
        await client.expect_disconnect(ReasonCode.NOT_AUTHORIZED)
    assert [r.getMessage() for r in caplog.records if r.name == "trio_mqtt.access"] == [
        "'c' (user 'alice', 10.0.0.1:1) may not stay connected: its password is no longer valid"
    ]
