"""The file of a client's store: whose it is, and what is said where it cannot be used."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.client.fake_broker import FakeBroker
from tests.client.session.store.stores import Opens, kept
from trio_mqtt import StoreError
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.storage.client_changes import ClientChange
from trio_mqtt.storage.client_store import ClientStore

pytestmark = pytest.mark.anyio


async def test_cancelling_while_it_opens_closes_the_store(
    broker: FakeBroker, client: Opens, path: Path
) -> None:
    async def open_and_close() -> None:
        async with client() as one:
            await one.publish("t", qos=1)

    await open_and_close()
    for steps in range(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(open_and_close)
            for _ in range(steps):
                await checkpoint()
            tasks.cancel_scope.cancel()
        kept(path)  # else it would be locked
        assert all(peer.stream.closed for peer in broker.peers)


async def opening(path: Path, client_id: str = "") -> str:
    """The sentence of the StoreError that a client meets with this store; nothing is sent."""
    broker = FakeBroker()
    with pytest.raises(StoreError) as caught:
        async with broker.client(store=path, client_id=client_id):
            pytest.fail("that store cannot be used")
    assert broker.attempts == 0
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.posix
async def test_only_its_owner_may_read_it(client: Opens, path: Path) -> None:
    async with client() as one:
        await one.enqueue("t")
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    async with client():
        pass


async def test_two_clients_do_not_share_it(client: Opens, path: Path) -> None:
    async with client():
        assert "in use by another program" in await opening(path)
    async with client():
        pass


async def test_it_belongs_to_one_client(client: Opens, path: Path) -> None:
    async with client(client_id="one") as one:
        assert one.client_id == "one"
    assert "belongs to the client 'one', not to 'two'" in await opening(path, "two")
    async with client() as one:
        assert one.client_id == "one"


def damage(path: Path) -> None:
    """Overwrite the second half of a file."""
    half = path.stat().st_size // 2
    with path.open("r+b") as file:
        file.seek(half)
        file.write(b"\xff" * half)


async def test_files_that_are_no_store_are_told(client: Opens, path: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("something else that is long enough to be read as a database\n" * 100)
    assert "cannot be read (file is not a database)" in await opening(text)
    assert text.read_text().startswith("something else")
    foreign = tmp_path / "foreign.db"
    with closing(sqlite3.connect(foreign)) as database:
        database.execute("CREATE TABLE t (x)")
    assert "but not the store of a client" in await opening(foreign)
    assert "no such file or directory" in await opening(tmp_path / "no" / "folder")
    assert "is a directory" in await opening(tmp_path)
    async with client() as one:
        await one.enqueue("t")
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    assert "of version 99, and this program knows version 1" in await opening(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 1")
        database.execute("PRAGMA journal_mode = DELETE")
    damage(path)
    assert "If it is damaged, remove it" in await opening(path)


async def test_a_store_that_cannot_be_written_ends_the_client(
    broker: FakeBroker, client: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_store: ClientStore, _change: ClientChange) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(ClientStore, "_apply", full)
    with pytest.raises(StoreError, match=r"cannot be written .* Is the disk full"):
        async with client() as one:
            await one.enqueue("t")
    assert broker.peer.all(Publish) == []


def test_a_client_without_a_store_does_not_load_sqlite() -> None:
    program = "import sys, trio_mqtt; trio_mqtt.open_client; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert "sqlite3" not in loaded
