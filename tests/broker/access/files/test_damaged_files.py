"""Files that are damaged when they are read again: nobody is locked out or overlooks it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import trio

from tests.inside import core_of
from trio_mqtt import Security
from trio_mqtt.broker.access.files.password_changes import remove_user, set_password
from trio_mqtt.testing import open_memory_broker


async def test_a_damaged_password_file_changes_nothing_and_is_told_each_hour(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "users"
    for name in ("alice", "bob", "carol"):
        set_password(path, name, b"right", create=True)

    def told() -> list[str]:
        found = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
        caplog.clear()
        return found

    async with open_memory_broker(security=Security(passwords=path)) as memory:
        passwords = core_of(memory.broker).access.passwords
        whole = path.read_text()
        remove_user(path, "alice")
        damaged = path.read_text().rstrip()[:-60]  # as where a disk was full
        path.write_text(damaged)
        assert not await memory.broker.try_reload()
        assert core_of(memory.broker).access.passwords is passwords
        (sentence,) = told()
        assert f"Line 2 of the password file {path}, for the user 'carol'" in sentence
        assert "The settings stay as they were." in sentence
        assert "also not what they withdraw" in sentence
        await trio.sleep(2.5 * 3_600)
        assert len(reminders := told()) == 2
        assert all("Line 2 of the password file" in sentence for sentence in reminders)
        # Mended: that is in force, and there is nothing to be reminded of.
        path.write_text(whole)
        remove_user(path, "alice")
        assert await memory.broker.try_reload()
        anew = core_of(memory.broker).access.passwords
        assert anew is not passwords
        assert anew is not None
        assert anew.entry("alice") is None
        told()  # virtual time went on while a thread read the files
        await trio.sleep(5 * 3_600)
        assert told() == []


async def test_a_reload_with_a_defect_ends_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def reload() -> None:
        raise ZeroDivisionError("in a plugin")

    async with open_memory_broker() as memory, memory.open_client(client_id="c") as client:
        assert not await memory.broker.try_reload(reload)
        (record,) = (one for one in caplog.records if one.levelno > logging.INFO)
        assert record.exc_info is not None
        assert "also not what they withdraw" in record.getMessage()
        await client.publish("still", b"there", qos=1)
        assert await memory.broker.try_reload()
