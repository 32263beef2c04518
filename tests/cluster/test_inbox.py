"""An inbox has bounds, in entries and in bytes: whoever finds it full is told so."""

from __future__ import annotations

from dataclasses import replace

from trio_mqtt import Cluster
from trio_mqtt.cluster.engine.engine import Engine, open_engine
from trio_mqtt.cluster.inbox import Inbox, Inboxes


async def _sent(engine: Engine, entry: bytes) -> int:
    """1 where there was room for it, else 0."""
    (answer,) = await engine.all([Inboxes(engine).call("n", entry)])
    assert isinstance(answer, int)
    return answer


async def test_it_has_so_many_entries_until_they_are_read(cluster: Cluster) -> None:
    async with open_engine(replace(cluster, inbox_entries=2)) as engine:
        assert [await _sent(engine, b"entry") for _ in range(4)] == [1, 1, 1, 0]
        inbox = Inbox(engine, "n")
        assert await inbox.read(count=10, block=5) == [b"entry"] * 3
        told = [inbox.is_worth_telling]  # however small they were
        await inbox.taken()
        assert [*told, inbox.is_worth_telling] == [True, False]
        assert await _sent(engine, b"entry") == 1


async def test_it_has_so_many_bytes_until_they_are_read(cluster: Cluster) -> None:
    async with open_engine(replace(cluster, inbox_bytes=10_000)) as engine:
        assert [await _sent(engine, bytes(4_000)) for _ in range(3)] == [1, 1, 0]
        inbox = Inbox(engine, "n")
        assert len(await inbox.read(count=10, block=5)) == 2
        assert inbox.is_worth_telling
        await inbox.taken()
        assert await _sent(engine, bytes(4_000)) == 1
