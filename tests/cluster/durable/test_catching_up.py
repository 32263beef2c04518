"""Reading for sessions, without an engine: who joins what comes, and when."""

from __future__ import annotations

from typing import cast

import trio
import trio.testing

from trio_mqtt.broker.clustering.durable.catching_up import CatchingUp
from trio_mqtt.broker.clustering.durable.followers import Followers
from trio_mqtt.broker.clustering.durable.handing import Handing
from trio_mqtt.broker.clustering.tracker import Tracker
from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.sessions.session import Session
from trio_mqtt.cluster.engine.engine import Engine
from trio_mqtt.cluster.logs import Logs
from trio_mqtt.cluster.positions import EntryId, Place


class SlowLogs:
    """A log whose last entry is told late, each time as it was when it was asked."""

    def __init__(self) -> None:
        self.entry: EntryId = (5, 0)
        self.asked = 0
        self.answers = [trio.Event(), trio.Event()]

    async def last(self, topic_filter: str) -> EntryId:
        entry, answer = self.entry, self.answers[self.asked]
        self.asked += 1
        await answer.wait()
        return entry


async def test_of_two_that_join_at_once_neither_has_the_other_miss_anything() -> None:
    logs = SlowLogs()
    handed: list[tuple[str, EntryId]] = []

    class Handed:
        def hand(
            self, _filter: str, entry: EntryId, _parts: object, trackers: dict[Session, Tracker]
        ) -> None:
            for session, tracker in trackers.items():
                tracker.following["f"] = entry
                handed.append((session.client_id, entry))

    handing, some_logs = cast("Handing", Handed()), cast("Logs", logs)
    followers = Followers(some_logs, handing, lambda _: [])
    catching_up = CatchingUp(
        cast("Engine", None), some_logs, followers, handing, lambda _: [], Limits()
    )
    follower = followers.follow("f")
    trackers = [Tracker(Session(name)) for name in ("one", "two")]
    for tracker in trackers:
        tracker.following["f"] = (4, 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(catching_up.read, follower, trackers[0], Place((5, 0)))
        await trio.testing.wait_all_tasks_blocked()
        # Meanwhile there is another entry, whose copy has not come yet.
        logs.entry = (6, 0)
        nursery.start_soon(catching_up.read, follower, trackers[1], Place((6, 0)))
        await trio.testing.wait_all_tasks_blocked()
        logs.answers[0].set()
        await trio.testing.wait_all_tasks_blocked()
        logs.answers[1].set()
        await trio.testing.wait_all_tasks_blocked()
        followers.arrived("f", (6, 0), (5, 0), list)
    assert handed == [("one", (6, 0))]


async def test_what_came_while_the_last_entry_was_asked_for_is_read() -> None:
    """Its copy is passed over, as where the log is was not known yet."""
    logs = SlowLogs()
    some_logs, handing = cast("Logs", logs), cast("Handing", None)
    followers = Followers(some_logs, handing, lambda _: [])
    catching_up = CatchingUp(
        cast("Engine", None), some_logs, followers, handing, lambda _: [], Limits()
    )
    follower = followers.follow("f")
    tracker = Tracker(Session("s"))
    tracker.following["f"] = (5, 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(catching_up.read, follower, tracker, Place((5, 0)))
        await trio.testing.wait_all_tasks_blocked()
        followers.arrived("f", (6, 0), (5, 0), list)
        logs.answers[0].set()
        await trio.testing.wait_all_tasks_blocked()
        assert tracker.session in follower.sessions
        assert follower.is_behind


async def test_who_has_begun_anew_is_read_for_by_one_alone() -> None:
    """A reader of before, whose subscription has ended, hands nothing to what came after it."""
    tracker = Tracker(Session("s"))
    followers = Followers(cast("Logs", None), cast("Handing", None), lambda _: [])
    catching_up = CatchingUp(
        cast("Engine", None),
        cast("Logs", None),
        followers,
        cast("Handing", None),
        lambda _: [],
        Limits(),
    )
    follower = followers.follow("f")
    follower.last = (9, 0)
    before = object()
    tracker.tokens["f"] = object()
    tracker.following["f"] = (7, 0)
    # It reads nothing, of a log that is not there.
    await catching_up.read(follower, tracker, Place((5, 0)), before)
    assert follower.sessions == {}
    assert tracker.following["f"] == (7, 0)
