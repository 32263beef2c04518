"""Password and access files as the broker uses them: at CONNECT, on reload, and wrong ones."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import trio_mqtt
from tests.broker.raw import V5, Raw
from tests.inside import core_of
from trio_mqtt import ConfigurationError, Limits, Security
from trio_mqtt.broker.access.files import hashes
from trio_mqtt.broker.access.files.password_changes import remove_user, set_password
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect, Publish, Subscribe, Subscription, Will
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import MemoryBroker, open_memory_broker

pytestmark = pytest.mark.trio  # in real time: passwords are checked in threads

WRONG, UNASKED = ReasonCode.BAD_USER_NAME_OR_PASSWORD, ReasonCode.NOT_AUTHORIZED


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    path = tmp_path / "passwords"
    set_password(path, "alice", b"right", create=True)
    set_password(path, "bob", b"his")
    return path


@pytest.fixture
def access(tmp_path: Path) -> Path:
    path = tmp_path / "access"
    path.write_text("user alice\ntopic readwrite a/#\nuser bob\ntopic read a/b\n")
    path.chmod(0o600)
    return path


def write(path: Path, text: str) -> None:
    path.write_text(text)


class Served:
    def __init__(self, memory: MemoryBroker) -> None:
        self.broker = memory.broker
        self._memory = memory

    async def said(
        self,
        username: str | None,
        password: bytes | None,
        client_id: str = "c",
        peer: str = "memory",
    ) -> tuple[Raw, ConnAck]:
        client = Raw(self._memory.connect(peer=peer), V5)
        await client.send(Connect(client_id, username=username, password=password))
        return client, await client.expect(ConnAck)

    async def join(self, username: str, password: bytes, client_id: str = "c") -> Raw:
        client, answer = await self.said(username, password, client_id)
        assert answer.reason_code == ReasonCode.SUCCESS
        return client


@asynccontextmanager
async def served(limits: Limits | None = None, **security: Any) -> AsyncIterator[Served]:
    async with open_memory_broker(limits=limits, security=Security(**security)) as memory:
        yield Served(memory)


@pytest.mark.parametrize(
    ("username", "password", "code"),
    [
        ("alice", b"right", ReasonCode.SUCCESS),
        ("alice", b"wrong", WRONG),
        ("alice", b"his", WRONG),
        ("alice", b"", WRONG),
        ("alice", None, WRONG),
        ("nobody", b"right", WRONG),
        ("", b"", WRONG),
        (None, b"right", WRONG),
        (None, None, UNASKED),
    ],
)
async def test_only_the_right_password_lets_in(
    passwords: Path, username: str | None, password: bytes | None, code: ReasonCode
) -> None:
    async with served(passwords=passwords) as broker:
        client, answer = await broker.said(username, password)
        assert answer.reason_code == code
        if code == ReasonCode.SUCCESS:
            await client.ping()
        else:
            await client.expect_closed()
            assert len(core_of(broker.broker).sessions) == 0


@pytest.mark.parametrize("version", [ProtocolVersion.V31, ProtocolVersion.V311])
async def test_mqtt_3_has_its_own_codes_for_that(passwords: Path, version: ProtocolVersion) -> None:
    async with open_memory_broker(security=Security(passwords=passwords)) as memory:
        for username, code in (("alice", WRONG), (None, UNASKED)):
            client = Raw(memory.connect(), version)
            await client.send(Connect("c", protocol_version=version, username=username))
            assert (await client.expect(ConnAck)).reason_code == code


async def test_nothing_that_was_sent_before_the_refusal_takes_effect(passwords: Path) -> None:
    async with open_memory_broker(security=Security(passwords=passwords)) as memory:
        client = Raw(memory.connect())
        await client.send(
            Connect("c", username="alice", password=b"wrong", will=Will("t", b"")),
            Subscribe(1, [Subscription("#")]),
            Publish("t", b"1", 1, retain=True, packet_id=2),
        )
        assert (await client.expect(ConnAck)).reason_code == WRONG
        await client.expect_closed()
        statistics = memory.broker.statistics
        assert (statistics.sessions, statistics.subscriptions) == (0, 0)
        assert (statistics.messages_received, len(core_of(memory.broker).retained)) == (0, 0)


async def test_those_who_prove_nothing_may_come_where_that_is_allowed(passwords: Path) -> None:
    async with served(passwords=passwords, allow_anonymous=True) as broker:
        assert (await broker.said(None, None))[1].reason_code == ReasonCode.SUCCESS
        assert (await broker.said("alice", b"wrong"))[1].reason_code == WRONG


class SlowPasswords:
    """Passwords that take their time to check, and count who is being checked."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.go_on = threading.Event()
        self._lock = threading.Lock()

    def verify(self, username: str, password: bytes | None) -> bool:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.go_on.wait(30)
        with self._lock:
            self.now -= 1
        return username == "alice" and password == b"right"

    def entry(self, username: str) -> object | None:
        return username


async def test_hashing_holds_up_no_client_and_has_a_bound() -> None:
    slow = SlowPasswords()
    limits = Limits(password_threads=2, maximum_password_checks=3)
    async with open_memory_broker(
        limits=limits, security=Security(passwords=slow, allow_anonymous=True)
    ) as memory:
        free = Raw(memory.connect())
        await free.connect("free")
        waiting = [Raw(memory.connect()) for _ in range(5)]
        for number, client in enumerate(waiting):
            await client.send(Connect(f"c{number}", username="alice", password=b"right"))
        await trio.testing.wait_all_tasks_blocked()
        late = Raw(memory.connect())
        await late.send(Connect("late", username="alice", password=b"right"))
        answer = await late.expect(ConnAck)
        assert answer.reason_code == ReasonCode.SERVER_BUSY
        await free.ping()  # who is connected is served meanwhile
        slow.go_on.set()
        for client in waiting:
            assert (await client.expect(ConnAck)).reason_code == ReasonCode.SUCCESS
        assert 1 <= slow.most <= 2


async def test_a_client_that_goes_while_its_password_is_checked_leaves_nothing() -> None:
    slow = SlowPasswords()
    limits = Limits(connect_timeout=0.05)
    async with open_memory_broker(limits=limits, security=Security(passwords=slow)) as memory:
        client = Raw(memory.connect())
        await client.send(Connect("c", username="alice", password=b"right"))
        await client.expect_closed()
        assert len(core_of(memory.broker).sessions) == 0
        slow.go_on.set()


@pytest.mark.slow
async def test_unknown_users_take_as_long_as_known_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "ARGON2_PASSES", 8)
    monkeypatch.setattr(hashes, "ARGON2_MEMORY", 8 * 1024)
    set_password(tmp_path / "p", "alice", b"right", create=True)
    taken: dict[str, float] = {"alice": math.inf, "nobody": math.inf}
    async with served(passwords=tmp_path / "p") as broker:
        for attempt in range(5):
            for name in taken:
                # From elsewhere each time: who repeats a wrong password is answered late, unhashed.
                peer = f"10.0.{attempt}.{len(name)}:1"
                began = time.process_time()
                _, answer = await broker.said(name, b"wrong", peer=peer)
                assert answer.reason_code == WRONG
                taken[name] = min(taken[name], time.process_time() - began)
    assert 0.5 < taken["alice"] / taken["nobody"] < 2


async def test_clients_are_held_to_the_access_file(passwords: Path, access: Path) -> None:
    async with served(passwords=passwords, access=access) as broker:
        alice = await broker.join("alice", b"right", "alice")
        bob = await broker.join("bob", b"his", "bob")
        assert await bob.subscribe("a/b", "a/c") == [0, UNASKED]
        assert await alice.publish("a/b", b"1", 1) == ReasonCode.SUCCESS
        await bob.expect_message("a/b", b"1")
        assert await bob.publish("a/b", b"2", 1) == UNASKED
        assert await alice.publish("b", b"3", 1) == UNASKED


async def test_a_name_that_nobody_has_proved_gives_no_rights(access: Path) -> None:
    async with served(access=access) as broker:
        client = await broker.join("alice", b"anything")
        assert await client.publish("a/b", b"1", 1) == UNASKED


async def test_reloading_takes_effect_on_those_who_are_connected(
    passwords: Path, access: Path
) -> None:
    async with served(passwords=passwords, access=access) as broker:
        alice = await broker.join("alice", b"right", "alice")
        bob = await broker.join("bob", b"his", "bob")
        await bob.subscribe("a/b", qos=1)
        write(access, "user alice\ntopic write a/#\nuser bob\ntopic write a/b\n")
        await broker.broker.reload()
        await alice.publish("a/b", b"1", 1)
        await bob.expect_nothing()
        assert await bob.publish("a/b", b"2", 1) != UNASKED
        # Another password, or none at all, ends the connection.
        set_password(passwords, "bob", b"new")
        await broker.broker.reload()
        await bob.expect_disconnect(ReasonCode.NOT_AUTHORIZED)
        await alice.ping()
        remove_user(passwords, "alice")
        await broker.broker.reload()
        await alice.expect_disconnect(ReasonCode.NOT_AUTHORIZED)
        assert (await broker.said("bob", b"his"))[1].reason_code == WRONG
        await broker.join("bob", b"new")


@pytest.mark.posix
@pytest.mark.parametrize("broken", ["passwords", "access"])
async def test_a_file_that_became_wrong_changes_nothing(
    passwords: Path, access: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(passwords=passwords, access=access) as broker:
        alice = await broker.join("alice", b"right", "alice")
        files = {"passwords": passwords, "access": access}
        set_password(passwords, "bob", b"new")
        write(access, "topic readwrite #\n")
        write(files[broken], "what is this")
        with pytest.raises(ConfigurationError, match=f"Line 1 of .*{files[broken].name}"):
            await broker.broker.reload()
        await broker.broker.try_reload()  # as SIGHUP does
        assert "The settings stay as they were." in caplog.text
        assert caplog.records[-1].levelno == logging.ERROR
        await broker.join("bob", b"his", "bob")
        assert await alice.publish("elsewhere", b"", 1) == UNASKED
        assert await alice.publish("a/b", b"", 1) != UNASKED


@pytest.mark.parametrize("kind", ["passwords", "access"])
async def test_a_broker_does_not_start_with_a_file_that_is_wrong(tmp_path: Path, kind: str) -> None:
    missing = tmp_path / "missing"
    empty = tmp_path / "empty"
    empty.touch(0o600)
    wrong = tmp_path / "wrong"
    wrong.write_text("# first\nwhat is this\n")
    for path, words in ((missing, "There is no"), (wrong, "Line 2 of")):
        security = Security(passwords=path) if kind == "passwords" else Security(access=path)
        with pytest.raises(ConfigurationError, match=words):
            async with trio_mqtt.open_broker("mqtt://127.0.0.1:0", security=security):
                raise AssertionError("it has started")
    if kind == "access":
        with pytest.raises(ConfigurationError, match="has no rule"):
            async with trio_mqtt.open_broker(security=Security(access=empty)):
                raise AssertionError("it has started")


@pytest.mark.parametrize("url", ["mqtt://0.0.0.0:0", "mqtt://[::]:0"])
async def test_what_others_can_reach_must_say_who_may_connect(passwords: Path, url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        async with trio_mqtt.open_broker("mqtt://127.0.0.1:0", url):
            raise AssertionError("it has started")
    assert all(words in str(caught.value) for words in (url, "password", "allow_anonymous=True"))
    for security in (Security(passwords=passwords), Security(allow_anonymous=True)):
        async with trio_mqtt.open_broker(url, security=security) as broker:
            assert broker.url.startswith(url[:-1])


async def test_local_listeners_let_in_anybody_and_others_only_who_may(tmp_path: Path) -> None:
    class Hooks(trio_mqtt.access.AccessHooks):
        async def authenticate(
            self, client: trio_mqtt.access.ClientInfo, password: bytes | None
        ) -> trio_mqtt.access.Authenticated | trio_mqtt.access.AuthenticationRefused:
            return trio_mqtt.access.AuthenticationRefused()

    urls = ("mqtt://127.0.0.1:0", f"unix://{tmp_path}/socket")
    async with trio_mqtt.open_broker(*urls) as broker:
        assert all(broker.ways_in(listen).anonymous for listen in broker.listeners)
    async with trio_mqtt.open_broker(
        "mqtt://0.0.0.0:0", security=Security(hooks=Hooks())
    ) as broker:
        ways_in = broker.ways_in(broker.listeners[0])
        assert (ways_in.local, ways_in.anonymous, ways_in.hooks) == (False, False, True)


@pytest.mark.posix
async def test_a_reload_while_descriptors_are_exhausted_changes_nothing(
    passwords: Path, access: Path
) -> None:
    import resource

    async with served(passwords=passwords, access=access) as broker:
        alice = await broker.join("alice", b"right")
        write(access, "pattern readwrite #\n")  # which would allow everything
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        # The next descriptor is beyond what the process may have.
        lowest = os.dup(0)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
        try:
            with pytest.raises(ConfigurationError, match="Too many open files"):
                await broker.broker.reload()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            os.close(lowest)
        assert await alice.publish("b", b"", 1) == ReasonCode.NOT_AUTHORIZED
        _, answer = await broker.said("alice", b"wrong", "another")
        assert answer.reason_code == WRONG
