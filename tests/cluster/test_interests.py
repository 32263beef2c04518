"""What a node wants is told to all others, whatever becomes of the node meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_mqtt.broker.clustering.interests import Interests
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.cluster.changes import Changed, decode_interests
from trio_mqtt.cluster.engine.calls import EngineFencedError, EngineGoneError, EngineRefusedError
from trio_mqtt.cluster.keys import Keys
from trio_mqtt.errors import EngineError


class EngineStub:
    """An engine that is always there."""

    keys = Keys("tmqtt")

    async def wait_returned(self) -> None:
        await trio.lowlevel.checkpoint()


class ChangesStub:
    """Changes as another node, `other`, would see them. `refused` of them find no lease."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, int]]] = []
        self.refused = 0
        self.fails: EngineError | None = None
        self.until_it_fails = trio.Event()

    async def make(
        self, key: bytes, fields: Mapping[bytes, bytes], items: Sequence[tuple[int, bytes]]
    ) -> Changed:
        await trio.lowlevel.checkpoint()
        if self.fails is not None:
            await self.until_it_fails.wait()
            error, self.fails = self.fails, None
            raise error
        if self.refused:
            self.refused -= 1
            raise EngineFencedError("The lease of this node has ended.")
        ((_, data),) = items
        self.told.append(decode_interests(memoryview(data)))
        return Changed(len(self.told), {self.told[-1][0], "other"})


class Telling:
    """Interests that are told, and what was."""

    def __init__(self) -> None:
        self.changes = ChangesStub()
        self.doubts = 0
        engine: Any = EngineStub()
        changes: Any = self.changes
        self.interests = Interests(engine, changes, self._doubt)

    def _doubt(self) -> None:
        self.doubts += 1

    def applied(self) -> None:
        """The other node has done all that it was told."""
        self.interests.applied("other", len(self.changes.told))


@contextmanager
def known_of(telling: Telling) -> Iterator[Any]:
    """What is awaited for something that is new; not over yet."""
    awaited: Any = telling.interests.known()
    assert awaited is not None
    assert not awaited.is_over
    yield awaited
    assert awaited.is_over
    assert telling.interests.known() is None


async def test_what_is_new_while_this_is_no_node_is_told_by_the_next(
    nursery: trio.Nursery,
) -> None:
    telling = Telling()
    telling.interests.be("first")
    nursery.start_soon(telling.interests.run)
    telling.interests.be_none()
    telling.interests.add(TopicFilter("t"))
    await wait_all_tasks_blocked()
    with known_of(telling):
        telling.interests.be("second")
        await wait_all_tasks_blocked()
        assert telling.changes.told == [("second", {"t": 1})]
        telling.applied()


async def test_nobody_waits_for_what_came_and_went_while_this_was_no_node(
    nursery: trio.Nursery,
) -> None:
    telling = Telling()
    nursery.start_soon(telling.interests.run)
    telling.interests.add(TopicFilter("t"))
    with known_of(telling):
        telling.interests.discard(TopicFilter("t"))
        telling.interests.be("first")


async def test_what_is_refused_by_a_node_that_remains_one_is_told_again(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    telling = Telling()
    telling.changes.refused = 2
    telling.interests.be("first")
    nursery.start_soon(telling.interests.run)
    telling.interests.add(TopicFilter("t"))
    with known_of(telling):
        await trio.sleep(1)
        assert telling.changes.told == [("first", {"t": 1})]
        assert telling.doubts == 2
        telling.applied()


async def test_what_a_node_was_told_before_it_became_another_waits_for_all_of_it(
    nursery: trio.Nursery,
) -> None:
    telling = Telling()
    telling.interests.be("first")
    nursery.start_soon(telling.interests.run)
    for number in range(1_500):
        telling.interests.add(TopicFilter(f"t/{number}"))
    with known_of(telling) as awaited:
        await wait_all_tasks_blocked()
        telling.interests.be("second")
        await wait_all_tasks_blocked()
        parts = [len(wanted) for node, wanted in telling.changes.told if node == "second"]
        assert parts == [1_000, 500]
        telling.interests.applied("other", len(telling.changes.told) - 1)
        assert not awaited.is_over
        telling.applied()


@pytest.mark.parametrize(
    "error", [EngineGoneError("gone"), EngineRefusedError("WRONGTYPE"), EngineFencedError("late")]
)
async def test_what_was_not_told_by_a_node_is_told_by_the_next_alone(
    nursery: trio.Nursery, autojump_clock: MockClock, error: EngineError
) -> None:
    """What the node before wanted would stay in the engine for ever, and haunt those that come."""
    telling = Telling()
    telling.changes.fails = error
    telling.interests.be("first")
    nursery.start_soon(telling.interests.run)
    telling.interests.add(TopicFilter("t"))
    with known_of(telling):
        await wait_all_tasks_blocked()
        telling.interests.be_none()
        telling.interests.be("second")
        telling.changes.until_it_fails.set()
        await trio.sleep(1)
        assert telling.changes.told == [("second", {"t": 1})]
        telling.applied()
