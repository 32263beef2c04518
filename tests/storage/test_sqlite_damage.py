"""A file of SQLite that is damaged is set aside, and what can be read of it is kept."""

from __future__ import annotations

import logging
import random
import re
import time
from pathlib import Path

import pytest
import trio

from tests.storage.contract import (
    EMPTY,
    changes,
    delivery,
    in_order,
    message,
    retained,
    session,
    subscription,
)
from trio_mqtt.storage.rows import Kept
from trio_mqtt.storage.sqlite import SqliteStorage

PAGE = 4096
ROWS = 600


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of some sixty pages."""
    trio.run(_fill, tmp_path / "broker.sqlite3")
    return tmp_path / "broker.sqlite3"


async def _fill(file: Path) -> None:
    storage = SqliteStorage(file, "commit")
    await storage.load()
    numbers = range(1, ROWS + 1)
    await storage.append(
        changes(
            *[session(number) for number in range(1, 11)],
            *[message(number) for number in numbers],
            *[delivery(number % 10 + 1, number) for number in numbers],
            *[(number % 10 + 1, number) for number in numbers],
            *[subscription(number % 10 + 1, f"a/{number}") for number in numbers],
            *[retained(f"a/{number}", b"payload" * 10) for number in numbers],
        )
    )
    await storage.close()


def load(file: Path) -> Kept:
    """What is there, in a file that is one like any other, or has become one."""

    async def load() -> Kept:
        storage = SqliteStorage(file, "commit")
        kept = in_order(await storage.load())
        await storage.append(changes(session(1), retained("a/1", b"payload" * 10)))
        await storage.close()
        return kept

    return trio.run(load)


def lost(before: Kept, after: Kept) -> int:
    """How many rows; those that are left are as they were."""
    assert rows(after) <= rows(before)
    return len(rows(before)) - len(rows(after))


def rows(kept: Kept) -> set[object]:
    found: set[object] = set()
    for some in kept:
        if isinstance(some, list):
            found.update(some)
    return found


@pytest.mark.slow
def test_one_page_lost_leaves_what_the_others_hold(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = load(file)
    sound = file.read_bytes()
    chance = random.Random(1)  # noqa: S311
    losses = []
    for at in range(0, len(sound), PAGE):
        damaged = bytearray(sound)
        damaged[at : at + PAGE] = chance.choice((bytes(PAGE), chance.randbytes(PAGE)))
        file.write_bytes(damaged)
        caplog.clear()
        kept = load(file)
        if not kept.damage:
            assert kept == whole  # nobody needed that page
            continue
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert caplog.records[0].name == "trio_mqtt.storage"
        losses.append(lost(whole, kept))
        aside = re.search(r"set aside as (\S+)\.", kept.damage)
        assert aside is not None
        assert re.fullmatch(r"broker\.sqlite3\.damaged-\d{8}-\d{6}(-\d+)?", Path(aside[1]).name)
        assert Path(aside[1]).stat().st_size >= len(sound)
        assert not list(file.parent.glob("*.salvaged*")) + list(file.parent.glob("*.copy*"))
    assert len(losses) > 20
    # A page of the table of sessions takes all with it, a page of rows its rows.
    assert sorted(losses)[len(losses) // 2] < 100
    assert sum(loss > ROWS for loss in losses) <= 3


def test_the_first_page_is_made_anew(file: Path) -> None:
    whole = load(file)
    damaged = bytearray(file.read_bytes())
    damaged[:PAGE] = b"#!" * (PAGE // 2)
    file.write_bytes(damaged)
    kept = load(file)
    assert lost(whole, kept) == 0
    assert "(file is not a database)" in kept.damage
    assert "600 retained" in kept.damage


def test_a_file_cut_short_keeps_its_beginning(file: Path) -> None:
    whole = load(file)
    sound = file.read_bytes()
    for pages in (0, 1, 2, 8, len(sound) // PAGE - 1):
        file.write_bytes(sound[: pages * PAGE + 100 * bool(pages)])
        kept = load(file)
        lost(whole, kept)
        assert bool(kept.damage) == bool(pages)  # a file of no bytes is a new one


@pytest.mark.slow
def test_bytes_that_say_something_else_stop_nobody(file: Path) -> None:
    whole = load(file)
    sound = file.read_bytes()
    chance = random.Random(2)  # noqa: S311
    told = 0
    for _ in range(60):
        damaged = bytearray(sound)
        for _ in range(chance.choice((1, 20, 400))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        file.write_bytes(damaged)
        kept = load(file)
        told += bool(kept.damage)
        assert len(kept.retained) <= ROWS
    assert told > 10
    assert whole.damage == ""


@pytest.mark.parametrize(
    ("place", "made"),
    [
        (60, b"\xff" * 4),  # the version of the tables
        (68, b"\xff" * 4),  # whose file it is
        (b"CREATE TABLE retained (\n    topic", b"CREATE TABLE retained (\n    toxic"),
        (b"number INTEGER PRIMARY KEY,\n    topic", b"number INTEGER PRIMARY KEX,\n    topic"),
    ],
)
def test_a_header_that_says_something_else_is_made_anew(
    file: Path, place: int | bytes, made: bytes
) -> None:
    whole = load(file)
    damaged = bytearray(file.read_bytes())
    at = place if isinstance(place, int) else damaged.index(place)
    damaged[at : at + len(made)] = made
    file.write_bytes(damaged)
    kept = load(file)
    assert kept.damage
    assert lost(whole, kept) == 0


def test_text_that_is_none_is_left_out_at_once(file: Path) -> None:
    # Its pages are in order: it shows only when the row is read.
    file.write_bytes(file.read_bytes().replace(b"client-7", b"client-\xff"))
    began = time.monotonic()
    kept = load(file)
    assert time.monotonic() - began < 4  # nothing waits for a lock that nobody has
    assert {row.number for row in kept.sessions} == {*range(1, 11)} - {7}
    assert "Could not decode" in kept.damage


def test_what_is_no_database_at_all_leaves_a_new_one(tmp_path: Path) -> None:
    file = tmp_path / "broker.sqlite3"
    file.write_bytes(b"not a database" * 1000)
    kept = load(file)
    assert kept._replace(damage="") == EMPTY
    assert kept.damage.endswith("What could be read of it is kept: nothing.")
    (aside,) = tmp_path.glob("*.damaged-*")
    assert aside.read_bytes().startswith(b"not a database")


@pytest.mark.parametrize("is_aside", [False, True])
def test_a_replacement_that_was_cut_off_is_finished(file: Path, is_aside: bool) -> None:
    whole = load(file)
    new = file.with_name("broker.sqlite3.salvaged")
    if is_aside:
        file.rename(new)  # the damaged one is away already, the new one not in its place
    else:
        new.write_bytes(b"begun")
    assert load(file) == whole
    assert not new.exists()
