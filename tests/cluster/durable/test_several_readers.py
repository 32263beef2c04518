"""Several logs are read for one session at once, and several wait until all sessions have left."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import trio
import trio.testing

from trio_mqtt import Limits
from trio_mqtt.broker.clustering.durable.catching_up import CatchingUp
from trio_mqtt.broker.clustering.key_turns import KeyTurns
from trio_mqtt.broker.clustering.tracker import Tracker


async def test_all_who_read_for_a_session_go_on_when_it_has_room() -> None:
    limits = Limits()
    unused: Any = None
    catching_up = CatchingUp(unused, unused, unused, unused, unused, limits)
    session: Any = SimpleNamespace(
        outlet=object(), queued_messages=limits.maximum_queued_messages, queued_bytes=0
    )
    tracker = Tracker(session)
    tracker.following["a"] = tracker.following["b"] = (1, 0)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(catching_up._until_taken, tracker)
                await trio.testing.wait_all_tasks_blocked()
            tracker.over([])  # there is no room yet
            await trio.testing.wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 3
            session.queued_messages = 0
            tracker.over([])


async def test_all_who_wait_until_no_session_has_a_turn_go_on() -> None:
    turns = KeyTurns()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            with turns.taken("a"):
                for _ in range(2):
                    nursery.start_soon(turns.all_over)
                    await trio.testing.wait_all_tasks_blocked()
