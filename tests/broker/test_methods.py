"""Authentication methods of one listener, and others while the broker runs (MQTT 5.0 §4.12)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.broker.opened import LOCAL, joined, may_connect, opened
from trio_mqtt import Broker, Listen, ReasonCode, ScramClient, Security
from trio_mqtt.access import (
    Authenticated,
    AuthenticationExchange,
    AuthenticationRefused,
    ScramAuthenticator,
    set_password,
)
from trio_mqtt.protocol.packets import Auth
from trio_mqtt.protocol.properties import Properties

pytestmark = pytest.mark.trio  # in real time: sockets, and files that are read in threads

SCRAM = "SCRAM-SHA-256"
NOT_AUTHORIZED = ReasonCode.NOT_AUTHORIZED


def by_scram(**users: str) -> Security:
    """Those users may connect, by SCRAM and in no other way."""
    return Security(authenticators={SCRAM: ScramAuthenticator(users)}, authentication_required=True)


@pytest.fixture
def passwords(tmp_path: Path) -> Security:
    path = tmp_path / "passwords"
    set_password(path, "alice", b"right", create=True)
    return Security(passwords=path)


async def ways_of_alice(url: str) -> list[str]:
    """By what she is let in: a password, SCRAM, or nothing."""
    ways = {
        "password": await may_connect(url, username="alice", password="right"),
        "scram": await may_connect(url, authentication=ScramClient("alice", "hers")),
        "nothing": await may_connect(url),
    }
    return [way for way, is_let_in in ways.items() if is_let_in]


# -- of a listener ----------------------------------------------------------------------------


async def test_a_listener_has_its_own_methods(passwords: Security) -> None:
    listen = Listen(LOCAL, security=by_scram(alice="hers"))
    async with opened(LOCAL, listen, security=passwords) as broker:
        assert [await ways_of_alice(url) for url in broker.urls] == [["password"], ["scram"]]
        told = [broker.ways_in(listen) for listen in broker.listeners]
        assert [(each.methods, each.passwords) for each in told] == [((), True), ((SCRAM,), False)]


async def test_where_a_listener_has_its_own_access_the_brokers_methods_are_not(
    passwords: Security,
) -> None:
    listens = [Listen(LOCAL, security=own) for own in (None, passwords, Security())]
    async with opened(*listens, security=by_scram(alice="hers")) as broker:
        ways = [await ways_of_alice(url) for url in broker.urls]
        assert ways == [["scram"], ["password"], ["password", "nothing"]]


async def test_two_listeners_have_other_users_by_the_same_method() -> None:
    listens = [Listen(LOCAL, security=by_scram(**{name: "hers"})) for name in ("alice", "zoe")]
    async with opened(*listens) as broker:
        assert [await ways_of_alice(url) for url in broker.urls] == [["scram"], []]


# -- while the broker runs --------------------------------------------------------------------


class Key:
    """Lets in whoever shows a key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    async def authenticate(
        self, exchange: AuthenticationExchange
    ) -> Authenticated | AuthenticationRefused:
        return Authenticated() if exchange.data == self._key else AuthenticationRefused()


def by_key(key: bytes, name: str = "key", *, required: bool = False) -> Security:
    return Security(authenticators={name: Key(key)}, authentication_required=required)


def shown(key: bytes, name: str = "key") -> Properties:
    return {"authentication_method": name, "authentication_data": key}


async def reconfigure(broker: Broker, security: Security, *, own: bool) -> None:
    """Put it in force for the broker, or for its only listener."""
    if own:
        await broker.reconfigure(Listen(broker.url, security=security))
    else:
        await broker.reconfigure(security=security)


@pytest.mark.parametrize("own", [False, True], ids=["broker", "listener"])
async def test_a_method_comes_and_goes(own: bool) -> None:
    async with opened() as broker, joined(broker.url, "anybody") as anybody:
        await reconfigure(broker, by_key(b"1"), own=own)
        async with (
            joined(broker.url, "1", properties=shown(b"1")) as first,
            joined(broker.url, "2", properties=shown(b"1")) as second,
        ):
            await anybody.ping()
            # Another one of that name: who is there stays, and shows what it asks for from now on.
            await reconfigure(broker, by_key(b"2"), own=own)
            await first.send(Auth(ReasonCode.RE_AUTHENTICATE, shown(b"1")))
            await first.expect_disconnect(NOT_AUTHORIZED)
            await second.send(Auth(ReasonCode.RE_AUTHENTICATE, shown(b"2")))
            assert (await second.expect(Auth)).reason_code == ReasonCode.SUCCESS

            await reconfigure(broker, by_key(b"2", "other"), own=own)
            told = await second.expect_disconnect(NOT_AUTHORIZED)
            assert told is not None
            assert told.properties["reason_string"] == (
                "its authentication method is no longer offered"
            )
            async with joined(broker.url, "2", properties=shown(b"2", "other")):
                await anybody.ping()


@pytest.mark.parametrize("own", [False, True], ids=["broker", "listener"])
async def test_who_named_no_method_goes_once_one_is_asked_for(own: bool) -> None:
    async with (
        opened(security=by_key(b"1")) as broker,
        joined(broker.url, "anybody") as anybody,
        joined(broker.url, "1", properties=shown(b"1")) as first,
    ):
        await reconfigure(broker, by_key(b"1", required=True), own=own)
        told = await anybody.expect_disconnect(NOT_AUTHORIZED)
        assert told is not None
        assert told.properties["reason_string"] == (
            "it has named no authentication method, which is asked for now"
        )
        await first.ping()
        assert not await may_connect(broker.url)
        await reconfigure(broker, by_key(b"1"), own=own)
        await first.ping()
        assert await may_connect(broker.url)


async def test_what_is_not_given_stays() -> None:
    async with (
        opened(security=by_key(b"1", required=True)) as broker,
        joined(broker.url, "1", properties=shown(b"1")) as first,
    ):
        await broker.reconfigure()
        await broker.reload()
        await first.ping()
        assert not await may_connect(broker.url)
