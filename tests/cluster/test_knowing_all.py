"""A node knows what the others knew, whatever an engine that failed has lost of it."""

from __future__ import annotations

from collections import deque
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from trio_mqtt.broker.clustering.catching_up import CatchingUp
from trio_mqtt.cluster.engine.calls import EngineGoneError


class ChangesStub:
    """As many changes as there are, and as have been done."""

    def __init__(self) -> None:
        self.number = 0
        self.there = 0
        self.is_gone = False

    async def count(self) -> int:
        await trio.lowlevel.checkpoint()
        if self.is_gone:
            raise EngineGoneError("as it were")
        return self.there


async def begun(nursery: trio.Nursery, changes: Any) -> CatchingUp:  # noqa: ANN401 # a stub
    engine: Any = None
    catching_up = CatchingUp(engine, changes)
    nursery.start_soon(catching_up.run)
    await wait_all_tasks_blocked()
    return catching_up


async def test_it_is_known_once_all_changes_are_done_that_there_were(
    nursery: trio.Nursery,
) -> None:
    changes = ChangesStub()
    catching_up = await begun(nursery, changes)
    over: deque[bool] = deque()
    changes.there = 2
    first = catching_up.wanted()
    await wait_all_tasks_blocked()
    changes.there = 3
    second = catching_up.wanted()
    await wait_all_tasks_blocked()
    for changes.number in (1, 2, 3):
        catching_up.look()
        over += first.is_over, second.is_over
    assert [*over] == [False, False, True, False, True, True]


async def test_what_an_engine_has_lost_is_waited_for_no_more(nursery: trio.Nursery) -> None:
    changes = ChangesStub()
    catching_up = await begun(nursery, changes)
    changes.there = 10
    before = catching_up.wanted()
    await wait_all_tasks_blocked()
    # It has lost some of them. All is read anew, as far as there is anything.
    changes.there = changes.number = 7
    catching_up.begin_anew()
    await wait_all_tasks_blocked()
    assert before.is_over
    after = catching_up.wanted()
    await wait_all_tasks_blocked()
    assert after.is_over


async def test_what_came_while_all_was_read_anew_is_waited_for(nursery: trio.Nursery) -> None:
    changes = ChangesStub()
    catching_up = await begun(nursery, changes)
    changes.there = 10
    awaited: Any = catching_up.wanted()
    await wait_all_tasks_blocked()
    changes.number = 9
    catching_up.begin_anew()
    await wait_all_tasks_blocked()
    assert not awaited.is_over
    changes.number = 10
    catching_up.look()
    assert awaited.is_over


async def test_nobody_waits_for_an_engine_that_is_gone(nursery: trio.Nursery) -> None:
    changes = ChangesStub()
    catching_up = await begun(nursery, changes)
    changes.there = 1
    waiting = catching_up.wanted()
    await wait_all_tasks_blocked()
    changes.is_gone = True
    asked = catching_up.wanted()
    await wait_all_tasks_blocked()
    assert waiting.is_over
    assert asked.is_over
