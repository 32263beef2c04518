"""Tokens in place of passwords, as the broker takes them: who, what, and until when."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jwt
import pytest
import trio

from tests.broker.raw import V5, V311, Raw
from trio_mqtt import Security
from trio_mqtt.access import AccessHooks, Authenticated, ClientInfo, TokenVerifier
from trio_mqtt.broker.access.files.password_changes import set_password
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import MemoryBroker, open_memory_broker

pytestmark = pytest.mark.trio  # in real time: passwords are checked in threads

SECRET = b"a secret of more than sixty-four bytes, which is what HS512 asks for at least."
WRONG = ReasonCode.BAD_USER_NAME_OR_PASSWORD


@pytest.fixture
def tokens(tmp_path: Path) -> TokenVerifier:
    path = tmp_path / "key"
    path.write_bytes(SECRET)
    path.chmod(0o600)
    return TokenVerifier.load(path)


def token(secret: bytes = SECRET, lasts: float = 3600, **claims: Any) -> bytes:
    claims = {"sub": "alice", "exp": time.time() + lasts} | claims
    return jwt.encode(claims, secret, "HS256").encode()


async def said(
    memory: MemoryBroker,
    password: bytes | None,
    *,
    username: str | None = None,
    version: ProtocolVersion = V5,
    client_id: str = "c",
) -> tuple[Raw, ConnAck]:
    if username is None and version != V5 and password is not None:
        username = "any"  # MQTT 3 knows no password without a user name
    client = Raw(memory.connect(), version)
    await client.send(
        Connect(client_id, protocol_version=version, username=username, password=password)
    )
    return client, await client.expect(ConnAck)


@pytest.mark.parametrize("version", [V311, V5])
async def test_only_a_token_that_holds_lets_in(
    tokens: TokenVerifier, version: ProtocolVersion
) -> None:
    async with open_memory_broker(security=Security(tokens=tokens)) as memory:
        right, wrong = token(), token(b"another secret, long enough to be taken for one of them")
        for password, code in (
            (right, ReasonCode.SUCCESS),
            (wrong, WRONG),
            (token(lasts=-5), WRONG),
            (right[:-4], WRONG),
            (b"secret", WRONG),
            (None, ReasonCode.NOT_AUTHORIZED),
        ):
            client, answer = await said(memory, password, version=version)
            assert answer.reason_code == code
            if code != ReasonCode.SUCCESS:
                await client.expect_closed()
        _, answer = await said(memory, token(lasts=-5))
        assert answer.properties["reason_string"] == "the token has expired"


async def test_the_token_says_who_the_client_is(tokens: TokenVerifier) -> None:
    seen: list[ClientInfo] = []

    class Hooks(AccessHooks):
        async def authenticate(self, client: ClientInfo, password: bytes | None) -> Authenticated:
            seen.append(client)
            return Authenticated()

    async with open_memory_broker(security=Security(tokens=tokens, hooks=Hooks())) as memory:
        await said(memory, token(), username="root")
        assert (seen[0].username, seen[0].authenticated) == ("alice", True)


async def test_a_tokens_own_rules_hold_in_place_of_the_files(
    tokens: TokenVerifier, tmp_path: Path
) -> None:
    access = tmp_path / "access"
    access.write_text("user alice\ntopic readwrite file/#\n")
    security = Security(tokens=tokens, access=access)
    async with open_memory_broker(security=security) as memory:
        plain, _ = await said(memory, token(), client_id="plain")
        own, _ = await said(
            memory, token(mqtt={"publish": ["token/%u"], "subscribe": []}), client_id="own"
        )
        no = ReasonCode.NOT_AUTHORIZED
        assert await plain.publish("file/x", b"", 1) != no
        assert await plain.publish("token/alice", b"", 1) == no
        assert await own.publish("file/x", b"", 1) == no
        assert await own.publish("token/alice", b"", 1) != no
        assert await own.subscribe("token/alice") == [no]


@pytest.mark.parametrize("version", [V311, V5])
async def test_a_client_is_disconnected_when_its_token_expires(
    tokens: TokenVerifier, version: ProtocolVersion
) -> None:
    async with open_memory_broker(security=Security(tokens=tokens)) as memory:
        began = trio.current_time()
        # `exp` is taken as the number that it is, fractions included.
        client, answer = await said(memory, token(lasts=1.3), version=version)
        assert answer.reason_code == ReasonCode.SUCCESS
        await client.expect_disconnect(ReasonCode.NOT_AUTHORIZED)
        assert trio.current_time() - began < 5


async def test_passwords_and_tokens_go_together(tokens: TokenVerifier, tmp_path: Path) -> None:
    set_password(tmp_path / "users", "bob", b"a.b.c", create=True)
    security = Security(tokens=tokens, passwords=tmp_path / "users")
    async with open_memory_broker(security=security) as memory:
        for username, password, code in (
            ("bob", b"a.b.c", ReasonCode.SUCCESS),
            (None, token(), ReasonCode.SUCCESS),
            ("bob", token(lasts=-5), WRONG),
            ("alice", b"a.b.c", WRONG),
        ):
            _, answer = await said(memory, password, username=username, client_id=f"{username}'s")
            assert answer.reason_code == code


async def test_another_key_counts_after_a_reload(tokens: TokenVerifier) -> None:
    other = b"another secret of more than sixty-four bytes, for those who have HS512 to sign by."
    async with open_memory_broker(security=Security(tokens=tokens)) as memory:
        assert (await said(memory, token(other)))[1].reason_code == WRONG
        await trio.Path(tokens.path).write_bytes(other)
        await memory.broker.reload()
        assert (await said(memory, token(other)))[1].reason_code == ReasonCode.SUCCESS
        assert (await said(memory, token()))[1].reason_code == WRONG
