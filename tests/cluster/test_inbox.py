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


async def test_its_bound_holds_after_its_figures_have_ended(cluster: Cluster) -> None:
    async with open_engine(replace(cluster, inbox_bytes=10_000)) as engine:
        inbox = Inbox(engine, "n")
        for _ in range(4):
            assert [await _sent(engine, bytes(4_000)) for _ in range(3)] == [1, 1, 0]
            await inbox.read(count=10, block=5)
            await inbox.taken()
        # Nobody has written for many times a lease: both end by themselves.
        figures = engine.keys.inbox_figures("n")
        await engine.call("DEL", engine.keys.inbox("n"))
        await engine.call("DEL", figures)
        await inbox.taken()
        assert await engine.call("EXISTS", figures) == 0  # it would stay for ever
        for _ in range(2):
            assert [await _sent(engine, bytes(4_000)) for _ in range(3)] == [1, 1, 0]
            await inbox.read(count=10, block=5)
            await inbox.taken()
            await inbox.taken()  # as where the engine was gone before it had answered


async def test_what_is_told_again_frees_no_more(cluster: Cluster) -> None:
    async with open_engine(replace(cluster, inbox_bytes=10_000)) as engine:
        inbox = Inbox(engine, "n")
        assert [await _sent(engine, bytes(4_000)) for _ in range(2)] == [1, 1]
        assert len(await inbox.read(count=1, block=5)) == 1
        again = Inbox(engine, "n")
        assert len(await again.read(count=1, block=5)) == 1
        await inbox.taken()
        await again.taken()  # the answer to the first was lost
        assert [await _sent(engine, bytes(4_000)) for _ in range(2)] == [1, 0]
