"""A session belongs to the user who has it, where somebody has proved who that is."""

from __future__ import annotations

import pytest

from tests.broker.raw import V5, Raw
from tests.inside import core_of
from trio_mqtt import Security
from trio_mqtt.access import AccessHooks, Authenticated, AuthenticationRefused, ClientInfo
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect, Will
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.storage.memory import MemoryStorage
from trio_mqtt.testing import MemoryBroker, open_memory_broker

pytestmark = pytest.mark.trio  # in real time: passwords are checked in threads

ANOTHERS = ReasonCode.CLIENT_IDENTIFIER_NOT_VALID


class Users:
    """Everybody's password is "right", until it is changed."""

    password = b"right"

    def verify(self, username: str, password: bytes | None) -> bool:
        return password == self.password

    def entry(self, username: str) -> object | None:
        return self.password


async def connect(
    memory: MemoryBroker,
    username: str | None,
    *,
    version: ProtocolVersion = V5,
    clean_start: bool = True,
    will: Will | None = None,
) -> tuple[Raw, ConnAck]:
    client = Raw(memory.connect(), version)
    packet = Connect(
        "device",
        clean_start=clean_start,
        protocol_version=version,
        username=username,
        password=None if username is None else Users.password,
        will=will,
    )
    if version == V5:
        packet.properties = {"session_expiry_interval": 100}
    await client.send(packet)
    return client, await client.expect(ConnAck)


@pytest.mark.parametrize("version", [ProtocolVersion.V311, V5])
@pytest.mark.parametrize("clean_start", [False, True])
@pytest.mark.parametrize("thief", ["bob", None])
async def test_another_user_can_neither_take_nor_end_a_session(
    version: ProtocolVersion, clean_start: bool, thief: str | None
) -> None:
    security = Security(passwords=Users(), allow_anonymous=True)
    async with open_memory_broker(security=security) as memory:
        will = Will("gone", b"", properties={"will_delay_interval": 50} if version == V5 else {})
        options = {"version": version, "clean_start": False}
        alice, _ = await connect(memory, "alice", **options, will=will)  # type: ignore[arg-type]
        await alice.subscribe("t", qos=1)
        for connected in (True, False):
            if not connected:
                await alice.drop()
            await memory.broker.publish("t", "hers", qos=1)
            bob, answer = await connect(memory, thief, version=version, clean_start=clean_start)
            # MQTT 3.1.1 calls it "identifier rejected".
            assert answer.reason_code == ANOTHERS
            await bob.expect_closed()
        alice, answer = await connect(memory, "alice", **options)  # type: ignore[arg-type]
        assert answer.session_present
        assert [message.payload for message in await alice.take()][-1] == b"hers"


async def test_an_identifier_is_free_again_when_its_session_has_ended() -> None:
    async with open_memory_broker(security=Security(passwords=Users())) as memory:
        alice, _ = await connect(memory, "alice")
        await alice.disconnect(properties={"session_expiry_interval": 0})
        _, answer = await connect(memory, "bob")
        assert answer.reason_code == ReasonCode.SUCCESS


async def test_whose_a_session_is_outlives_the_broker() -> None:
    storage = MemoryStorage()
    security = Security(passwords=Users())
    async with open_memory_broker(security=security, storage=storage) as memory:
        await connect(memory, "alice")
    async with open_memory_broker(security=security, storage=storage) as memory:
        assert (await connect(memory, "bob", clean_start=False))[1].reason_code == ANOTHERS
        assert (await connect(memory, "alice", clean_start=False))[1].session_present


async def test_names_that_nobody_proves_own_nothing() -> None:
    async with open_memory_broker() as memory:
        alice, _ = await connect(memory, "alice")
        _, answer = await connect(memory, "bob", clean_start=False)
        assert answer.session_present
        await alice.expect_disconnect(ReasonCode.SESSION_TAKEN_OVER)


class Meanwhile(AccessHooks):
    """While a client is looked at, its password is changed and the files are read again."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self.memory: MemoryBroker | None = None

    async def authenticate(
        self, client: ClientInfo, password: bytes | None
    ) -> Authenticated | AuthenticationRefused:
        assert self.memory is not None
        self._users.password = b"another"
        await self.memory.broker.reload()
        return Authenticated()


async def test_a_password_that_is_changed_while_it_is_checked_lets_nobody_in() -> None:
    users = Users()
    hooks = Meanwhile(users)
    async with open_memory_broker(security=Security(passwords=users, hooks=hooks)) as memory:
        hooks.memory = memory
        client, answer = await connect(memory, "alice")
        assert answer.reason_code == ReasonCode.NOT_AUTHORIZED
        await client.expect_closed()
        assert len(core_of(memory.broker).sessions) == 0
