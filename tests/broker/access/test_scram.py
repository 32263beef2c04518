"""SCRAM-SHA-256 against the broker, by the test vectors of RFC 7677 and what they must not be."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable

import pytest
import scramp
import scramp.core

from tests.broker.raw import Raw
from trio_mqtt.broker.access.scram import METHOD, ScramAuthenticator, ScramCredentials
from trio_mqtt.broker.access.security import Security
from trio_mqtt.broker.limits import Limits
from trio_mqtt.protocol.packets import Auth, ConnAck, Connect
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import MemoryBroker, open_memory_broker

CONTINUE, AGAIN = ReasonCode.CONTINUE_AUTHENTICATION, ReasonCode.RE_AUTHENTICATE
Opened = Callable[..., Raw]

# RFC 7677 §3: user "user", password "pencil".
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
CLIENT_NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
CLIENT_FIRST = f"n,,n=user,r={CLIENT_NONCE}".encode()
SERVER_FIRST = f"r={CLIENT_NONCE}{SERVER_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode()
CLIENT_FINAL = (
    f"c=biws,r={CLIENT_NONCE}{SERVER_NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
).encode()
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.fixture
async def memory(limits: Limits) -> AsyncIterator[MemoryBroker]:
    users: dict[str, str | ScramCredentials] = {
        "user": ScramCredentials.of("pencil", salt=SALT),
        "other": "password",
    }
    security = Security(authenticators={METHOD: ScramAuthenticator(users)})
    async with open_memory_broker(limits=limits, security=security) as memory:
        yield memory


@pytest.fixture
def known_nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scramp.core.Nonce, "create", classmethod(lambda cls: cls(SERVER_NONCE)))


def scram(data: bytes | None) -> Properties:
    properties: Properties = {"authentication_method": METHOD}
    if data is not None:
        properties["authentication_data"] = data
    return properties


async def begin(client: Raw, first: bytes | None = CLIENT_FIRST) -> bytes:
    """CONNECT with the client's first message; the broker's first."""
    await client.send(Connect("c", properties=scram(first)))
    answer = await client.expect(Auth)
    assert answer.reason_code == CONTINUE
    return answer.properties.get("authentication_data", b"")


async def finish(client: Raw, last: bytes) -> ConnAck:
    await client.send(Auth(CONTINUE, scram(last)))
    return await client.expect(ConnAck)


async def log_in(client: Raw, name: str, password: str) -> ConnAck:
    """All that a client does; its checks of the broker included."""
    known = scramp.ScramClient([METHOD], name, password)
    known.set_server_first((await begin(client, known.get_client_first().encode())).decode())
    answer = await finish(client, known.get_client_final().encode())
    if answer.reason_code == ReasonCode.SUCCESS:
        known.set_server_final(answer.properties["authentication_data"].decode())
    return answer


@pytest.mark.normative("MQTT-4.12.0-2", "MQTT-4.12.0-5")
@pytest.mark.usefixtures("known_nonce")
async def test_the_vectors_of_the_rfc(opened: Opened) -> None:
    client = opened()
    assert await begin(client) == SERVER_FIRST
    answer = await finish(client, CLIENT_FINAL)
    assert answer.reason_code == ReasonCode.SUCCESS
    assert answer.properties["authentication_method"] == METHOD
    assert answer.properties["authentication_data"] == SERVER_FINAL


@pytest.mark.usefixtures("known_nonce")
async def test_the_first_message_may_come_when_it_is_asked_for(opened: Opened) -> None:
    client = opened()
    assert await begin(client, None) == b""
    await client.send(Auth(CONTINUE, scram(CLIENT_FIRST)))
    assert (await client.expect(Auth)).properties == scram(SERVER_FIRST)
    assert (await finish(client, CLIENT_FINAL)).reason_code == ReasonCode.SUCCESS


@pytest.mark.normative("MQTT-4.12.1-1")
async def test_the_vectors_of_the_rfc_again(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = opened()
    assert (await log_in(client, "user", "pencil")).reason_code == ReasonCode.SUCCESS
    monkeypatch.setattr(scramp.core.Nonce, "create", classmethod(lambda cls: cls(SERVER_NONCE)))
    await client.send(Auth(AGAIN, scram(CLIENT_FIRST)))
    assert await client.expect(Auth) == Auth(CONTINUE, scram(SERVER_FIRST))
    await client.send(Auth(CONTINUE, scram(CLIENT_FINAL)))
    assert await client.expect(Auth) == Auth(ReasonCode.SUCCESS, scram(SERVER_FINAL))
    await client.ping()


@pytest.mark.normative("MQTT-4.12.1-2")
async def test_nobody_else_authenticates_again_on_a_connection(opened: Opened) -> None:
    client = opened()
    await log_in(client, "other", "password")
    known = scramp.ScramClient([METHOD], "user", "pencil")
    await client.send(Auth(AGAIN, scram(known.get_client_first().encode())))
    challenge = await client.expect(Auth)
    known.set_server_first(challenge.properties["authentication_data"].decode())
    await client.send(Auth(CONTINUE, scram(known.get_client_final().encode())))
    await client.expect_disconnect(ReasonCode.NOT_AUTHORIZED)


@pytest.mark.normative("MQTT-4.12.0-4")
async def test_a_wrong_password_and_an_unknown_user_look_the_same(opened: Opened) -> None:
    answers = []
    for name in ("user", "nobody"):
        client = opened()
        answers.append(await log_in(client, name, "wrong"))
        await client.expect_closed()
    assert answers[0] == answers[1]
    assert answers[0].reason_code == ReasonCode.BAD_USER_NAME_OR_PASSWORD


async def test_an_unknown_user_is_asked_as_if_it_were_known(opened: Opened) -> None:
    def parts(challenge: bytes) -> dict[str, str]:
        return dict(part.split("=", 1) for part in challenge.decode().split(","))

    async def asked(name: str) -> dict[str, str]:
        client = opened()
        found = parts(await begin(client, f"n,,n={name},r=nonce".encode()))
        await client.drop()
        return found

    known = [await asked("user"), await asked("other")]
    unknown = [await asked(f"nobody{number}") for number in range(30)]
    assert {p["i"] for p in unknown} == {p["i"] for p in known}
    assert {len(p["s"]) for p in unknown} == {len(p["s"]) for p in known}
    # Always the same for one user, another one for each, and a new nonce each time.
    once_more = await asked("nobody0")
    assert once_more["s"] == unknown[0]["s"]
    assert once_more["r"] != unknown[0]["r"]
    assert len({p["s"] for p in unknown}) == 30


async def test_a_secret_makes_the_salts_of_unknown_users_last() -> None:
    salts = []
    for secret in (b"kept", b"kept", None):
        security = Security(authenticators={METHOD: ScramAuthenticator({}, secret=secret)})
        async with open_memory_broker(security=security) as memory:
            challenge = await begin(Raw(memory.connect()))
            salts.append(challenge.split(b",s=")[1])
    assert salts[0] == salts[1] != salts[2]


@pytest.mark.normative("MQTT-4.12.0-4")
@pytest.mark.usefixtures("known_nonce")
@pytest.mark.parametrize(
    "last",
    [
        CLIENT_FINAL.replace(b"p=d", b"p=e"),
        CLIENT_FINAL[:-4],
        CLIENT_FINAL.replace(b"c=biws", b"c=eSws"),
        CLIENT_FINAL.replace(CLIENT_NONCE.encode(), b"another"),
        CLIENT_FINAL.split(b",p=", maxsplit=1)[0],
        b"",
        b"\xff\xfe",
        b"c=biws," + b"x" * 60_000,
        CLIENT_FIRST,
    ],
    ids=["proof", "cut", "binding", "nonce", "no proof", "empty", "no text", "long", "first"],
)
async def test_a_last_message_that_proves_nothing_is_refused(opened: Opened, last: bytes) -> None:
    client = opened()
    await begin(client)
    answer = await finish(client, last)
    assert answer.reason_code in (
        ReasonCode.BAD_USER_NAME_OR_PASSWORD,
        ReasonCode.NOT_AUTHORIZED,
    )
    assert "authentication_data" not in answer.properties
    await client.expect_closed()


@pytest.mark.parametrize(
    "first",
    [
        b"user\0pencil", b"n,,", b"n,,n=user", b"n,,n=,r=x", b"n,,n=a=b,r=x", b"\xff",
        b"n,a=other,n=user,r=x", b"p=tls-unique,,n=user,r=x", b"n,,n=user,r=" + b"x" * 5_000,
        b"n,,m=ext,n=user,r=x", b"n,,n=\xe0\xa4\xa7\xd7\x90,r=x",
    ],
)  # fmt: skip
async def test_a_first_message_that_is_none_is_refused(opened: Opened, first: bytes) -> None:
    client = opened()
    await client.send(Connect("c", properties=scram(first)))
    answer = await client.expect(ConnAck)
    assert answer.reason_code == ReasonCode.NOT_AUTHORIZED
    await client.expect_closed()


async def test_what_was_overheard_does_not_let_in(opened: Opened) -> None:
    client = opened()
    await begin(client)
    answer = await finish(client, CLIENT_FINAL)
    assert answer.reason_code == ReasonCode.NOT_AUTHORIZED
    await client.expect_closed()


CREDENTIALS = ScramCredentials.of("pencil", salt=SALT)


@pytest.mark.trio  # in real time: what is reconfigured is read in a thread
@pytest.mark.parametrize(
    ("name", "password", "users", "stays"),
    [
        ("other", "password", {"other": "password", "new": "x"}, True),
        ("other", "password", {"other": "changed"}, False),
        ("other", "password", {"user": "password"}, False),
        ("user", "pencil", {"user": CREDENTIALS}, True),
        ("user", "pencil", {"user": ScramCredentials.of("pencil")}, False),
    ],
    ids=["same", "changed", "gone", "same credentials", "made anew"],
)
async def test_who_is_gone_or_changed_is_disconnected(
    memory: MemoryBroker,
    name: str,
    password: str,
    users: dict[str, str | ScramCredentials],
    stays: bool,
) -> None:
    client = Raw(memory.connect())
    assert (await log_in(client, name, password)).reason_code == ReasonCode.SUCCESS
    await memory.broker.reload()
    await client.ping()
    security = Security(authenticators={METHOD: ScramAuthenticator(users)})
    await memory.broker.reconfigure(security=security)
    if stays:
        await client.ping()
    else:
        told = await client.expect_disconnect(ReasonCode.NOT_AUTHORIZED)
        assert told is not None
        assert told.properties["reason_string"] == "its password is no longer valid"


def test_credentials_are_checked_when_they_are_made() -> None:
    made = ScramCredentials.of("pencil", salt=SALT)
    assert ScramCredentials.of("pencil", salt=SALT) == made
    assert ScramCredentials.of("pencil") != ScramCredentials.of("pencil")
    assert repr(made) == "ScramCredentials(iterations=4096)"
    assert ScramCredentials.of("pencil", iterations=5_000).iterations == 5_000
    for wrong in ({"iterations": 1}, {"salt": b"short"}, {"iterations": 1 << 40}):
        with pytest.raises(ValueError, match="SCRAM"):
            ScramCredentials.of("pencil", **wrong)
    for name in ("", "\u00ad", "a\0"):
        with pytest.raises(ValueError, match="user name"):
            ScramAuthenticator({name: "password"})
