"""Guesses wait, and are paid for, by who guesses: the right password gets its turn beside them."""

from __future__ import annotations

import math
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio
import trio.testing

import trio_mqtt
from tests.broker.raw import V5, V311, Raw
from tests.inside import core_of
from trio_mqtt import Limits, Security
from trio_mqtt.broker.access.files.password_changes import set_password
from trio_mqtt.broker.access.files.passwords import PasswordFile
from trio_mqtt.broker.access.password_checks import PasswordChecks, TooManyChecksError
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect, Disconnect, Packet, Publish
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import MemoryBroker, open_memory_broker

pytestmark = pytest.mark.trio  # in real time: passwords are checked in threads

HOME = "192.0.2.1:1"


class Passwords:
    """Everybody's password is "right". Nothing is found out before `go_on` is set."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.asked: list[tuple[str, bytes | None]] = []

    def verify(self, username: str, password: bytes | None) -> bool:
        self.asked.append((username, password))
        assert self.go_on.wait(60)
        return password == b"right"

    def entry(self, username: str) -> object:
        return username


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what threads do."""
    with trio.fail_after(60):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.005)


class Crowd:
    """Clients that wait for their passwords to be checked, one by one in a single thread."""

    def __init__(self, nursery: trio.Nursery, limits: Limits) -> None:
        self.passwords = Passwords()
        self.checks = PasswordChecks(limits)
        self.turned_away: list[str] = []
        self._nursery = nursery

    async def add(self, username: str, password: bytes, peers: Iterable[str]) -> None:
        for peer in peers:
            self._nursery.start_soon(self._ask, username, password, peer)
            await trio.testing.wait_all_tasks_blocked()

    async def _ask(self, username: str, password: bytes, peer: str) -> None:
        try:
            await self.checks.check(self.passwords, username, password, peer, math.inf)
        except TooManyChecksError:
            self.turned_away.append(username)

    async def turns_before(self, username: str) -> int:
        """How many others had their turn before a user's right password."""
        self.passwords.go_on.set()
        await until(lambda: (username, b"right") in self.passwords.asked)
        return self.passwords.asked.index((username, b"right"))


@asynccontextmanager
async def crowd(**limits: int) -> AsyncIterator[Crowd]:
    async with trio.open_nursery() as nursery:
        yield Crowd(nursery, Limits(password_threads=1, **limits))
        nursery.cancel_scope.cancel()


async def test_a_thousand_guesses_from_one_address_are_one_turn_before_the_right_user() -> None:
    bounds = {
        "maximum_password_checks": 2_000,
        "maximum_password_checks_per_user": 1_000,
        "maximum_password_checks_per_address": 1_000,
    }
    async with crowd(**bounds) as waiting:
        await waiting.add("alice", b"wrong", ["10.0.0.1:1"] * 1_000)
        assert len(waiting.checks) == 999
        await waiting.add("alice", b"right", [HOME])
        # One was being hashed already, and the others of its address have one turn.
        assert await waiting.turns_before("alice") <= 2


async def test_guesses_from_all_addresses_of_a_network_are_one_turn_as_well() -> None:
    async with crowd() as waiting:
        await waiting.add("mallory", b"wrong", [f"[2001:db8:1:{n:x}::1]:1" for n in range(100)])
        await waiting.add("oscar", b"wrong", [f"10.0.0.{n}:1" for n in range(100)])
        await waiting.add("alice", b"right", [HOME])
        assert await waiting.turns_before("alice") <= 3


async def test_addresses_that_failed_come_after_those_that_did_not() -> None:
    async with crowd(maximum_password_checks_per_user=1_000) as waiting:
        waiting.passwords.go_on.set()
        botnet = [f"10.{n}.0.1:1" for n in range(200)]
        await waiting.add("alice", b"wrong", botnet)
        await until(lambda: len(waiting.passwords.asked) == 200)
        waiting.passwords.asked.clear()
        waiting.passwords.go_on.clear()
        for _ in range(3):
            await waiting.add("bob", b"guess", botnet)
        await waiting.add("alice", b"right", [HOME])
        assert await waiting.turns_before("alice") <= 3


async def test_behind_one_address_each_user_has_a_turn() -> None:
    async with crowd() as waiting:
        await waiting.add("mallory", b"wrong", [HOME] * 90)
        await waiting.add("alice", b"right", [HOME])
        assert await waiting.turns_before("alice") <= 2


async def test_those_with_many_waiting_are_turned_away_before_others() -> None:
    async with crowd(maximum_password_checks=50, maximum_password_checks_per_address=40) as waiting:
        await waiting.add("mallory", b"wrong", ["10.0.0.1:1"] * 60)
        assert len(waiting.turned_away) == 60 - 40 - 1  # one is being hashed
        await waiting.add("oscar", b"wrong", ["10.0.0.2:1"] * 10)
        waiting.turned_away.clear()
        await waiting.add("alice", b"right", [HOME])
        assert waiting.turned_away == ["mallory"]
        assert len(waiting.checks) == 50
        assert await waiting.turns_before("alice") <= 3


async def test_guesses_at_one_user_do_not_turn_that_user_away() -> None:
    async with crowd(maximum_password_checks_per_user=20) as waiting:
        spread = [f"10.0.{n // 15}.{n % 15}:1" for n in range(30)]
        await waiting.add("alice", b"wrong", spread)
        waiting.turned_away.clear()
        await waiting.add("alice", b"right", [HOME])
        assert len(waiting.checks) == 20
        assert await waiting.turns_before("alice") <= 3


async def test_failures_slow_the_guesser_and_no_right_password() -> None:
    passwords = Passwords()
    passwords.go_on.set()
    checks = PasswordChecks(Limits())
    taken = []
    for number in range(5):
        began = trio.current_time()
        assert not await checks.check(passwords, "alice", b"%d" % number, HOME, math.inf)
        taken.append(trio.current_time() - began)
    assert taken[3] >= 0.25
    assert taken[4] >= 0.5
    began = trio.current_time()
    assert await checks.check(passwords, "bob", b"right", HOME, math.inf)
    assert trio.current_time() - began < 1.0


# -- what clients see -----------------------------------------------------------------------------


@asynccontextmanager
async def asking(limits: Limits) -> AsyncIterator[tuple[MemoryBroker, Passwords]]:
    passwords = Passwords()
    try:
        async with open_memory_broker(
            limits=limits, security=Security(passwords=passwords)
        ) as memory:
            yield memory, passwords
    finally:
        passwords.go_on.set()


async def test_the_right_user_is_let_in_beside_hundreds_of_guesses() -> None:
    async with asking(Limits(password_threads=1, connect_timeout=120)) as (memory, passwords):
        for number in range(300):
            guesser = Raw(memory.connect(peer="[2001:db8::1]:1"))
            name = f"user{number % 30}"
            await guesser.send(Connect(f"g{number}", username=name, password=b"%d" % number))
        await trio.testing.wait_all_tasks_blocked()
        assert len(core_of(memory.broker).access.password_checks) == 250
        client = Raw(memory.connect(peer=HOME))
        await client.send(Connect("c", username="user7", password=b"right"))
        await trio.testing.wait_all_tasks_blocked()
        passwords.go_on.set()
        assert (await client.expect(ConnAck)).reason_code == ReasonCode.SUCCESS
        assert passwords.asked.index(("user7", b"right")) <= 2


@pytest.mark.parametrize("reset", [True, False])
async def test_guesses_of_sockets_that_were_closed_are_not_hashed(reset: bool) -> None:
    passwords = Passwords()
    security = Security(passwords=passwords)
    limits = Limits(password_threads=1, connect_timeout=60)
    try:
        async with trio_mqtt.open_broker(
            "mqtt://127.0.0.1:0", security=security, limits=limits
        ) as broker:
            port = urlsplit(broker.url).port
            sockets = [await trio.open_tcp_stream("127.0.0.1", port or 0) for _ in range(20)]
            for number, stream in enumerate(sockets):
                connect = Connect(f"c{number}", username="alice", password=b"x")
                await stream.send_all(encode(connect, V5))
            checks = core_of(broker).access.password_checks
            await until(lambda: len(checks) == 19)
            for stream in sockets:
                if reset:
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                await stream.aclose()
            await until(lambda: len(checks) == 0)
            assert len(passwords.asked) == 1
            passwords.go_on.set()
    finally:
        passwords.go_on.set()


async def test_guesses_of_connections_that_have_gone_are_not_hashed() -> None:
    async with asking(Limits(password_threads=1, connect_timeout=120)) as (memory, passwords):
        gone = [Raw(memory.connect()) for _ in range(30)]
        for number, client in enumerate(gone):
            await client.send(Connect(f"c{number}", username="alice", password=b"x"))
        await trio.testing.wait_all_tasks_blocked()
        assert len(core_of(memory.broker).access.password_checks) == 29
        for client in gone:
            await client.drop()
        assert len(core_of(memory.broker).access.password_checks) == 0
        passwords.go_on.set()
        client = Raw(memory.connect())
        await client.send(Connect("c", username="alice", password=b"right"))
        assert (await client.expect(ConnAck)).reason_code == ReasonCode.SUCCESS
        assert len(passwords.asked) == 2


@pytest.mark.parametrize("hasty", [True, False])
async def test_what_is_said_while_the_password_is_checked_is_not_lost(hasty: bool) -> None:
    async with asking(Limits()) as (memory, passwords):
        client = Raw(memory.connect())
        said: list[Packet] = [
            Publish("t", b"1", retain=True),
            Publish("t", b"2", retain=True),
            Disconnect(),
        ]
        connect = Connect("c", username="alice", password=b"right")
        if hasty:
            await client.send(connect, *said)
        else:
            await client.send(connect)
            await trio.testing.wait_all_tasks_blocked()
            await client.send(*said)
        await client.stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        passwords.go_on.set()
        await until(lambda: len(core_of(memory.broker).retained) > 0)
        assert [
            message.payload for message, *_ in core_of(memory.broker).retained.matching("t")
        ] == [b"2"]


@pytest.mark.parametrize("version", [V5, V311], ids=["5", "3.1.1"])
async def test_who_gets_no_turn_in_time_is_told(version: ProtocolVersion) -> None:
    async with asking(Limits(password_threads=1, connect_timeout=0.5)) as (memory, _):
        first = Raw(memory.connect(), version)
        await first.send(Connect("a", protocol_version=version, username="a", password=b"x"))
        await trio.testing.wait_all_tasks_blocked()
        client = Raw(memory.connect(), version)
        await client.send(Connect("c", protocol_version=version, username="a", password=b"right"))
        answer = await client.expect(ConnAck)
        await client.expect_closed()
        if version == V5:
            assert answer.reason_code == ReasonCode.SERVER_BUSY
            assert "no time to check its password" in answer.properties["reason_string"]
        else:
            assert answer.reason_code == ReasonCode.SERVER_UNAVAILABLE  # code 3


async def test_a_wrong_password_is_hashed_once_for_each_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "users"
    set_password(path, "alice", b"right", create=True)
    hashed = []
    verify = PasswordFile.verify

    def counted(self: PasswordFile, username: str, password: bytes | None) -> bool:
        hashed.append(password)
        return verify(self, username, password)

    monkeypatch.setattr(PasswordFile, "verify", counted)
    checks = PasswordChecks(Limits())
    file = PasswordFile.load(path)

    async def said(peer: str, password: bytes = b"new") -> bool:
        return await checks.check(file, "alice", password, peer, trio.current_time())

    assert not await said(HOME)
    assert not await said(HOME)
    assert len(hashed) == 1
    assert not await said(HOME, b"other")
    # How soon the answer comes tells nobody what others have tried.
    assert not await said("192.0.2.2:1")
    assert len(hashed) == 3
    set_password(path, "alice", b"new")
    file = PasswordFile.load(path)
    assert await said(HOME)
