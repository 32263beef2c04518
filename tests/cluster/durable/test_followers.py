"""Reading what a node was not told of, without an engine: nothing is taken for gone that is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import trio
import trio.testing

from trio_mqtt.broker.clustering.durable.followers import Followers
from trio_mqtt.broker.clustering.durable.handing import Handing
from trio_mqtt.broker.clustering.tracker import Tracker
from trio_mqtt.broker.sessions.session import Session
from trio_mqtt.cluster.logs import Entry, Logs
from trio_mqtt.cluster.positions import EntryId, Place


class SlowLogs:
    """A log whose answers come late, as it was when it was asked."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.answer = trio.Event()

    async def read(self, _filter: str, place: Place, *, count: int) -> Sequence[Entry]:
        found = [entry for entry in self.entries if entry.entry > place.entry]
        await self.answer.wait()
        return found


class Handed:
    def __init__(self) -> None:
        self.entries: list[EntryId] = []

    def hand(
        self, topic_filter: str, entry: EntryId, _parts: object, trackers: dict[Session, Tracker]
    ) -> None:
        self.entries.append(entry)
        for tracker in trackers.values():
            tracker.following[topic_filter] = entry


async def test_what_is_told_while_it_reads_is_read_then() -> None:
    logs, handed = SlowLogs(), Handed()
    followers = Followers(cast("Logs", logs), cast("Handing", handed), lambda _: [])
    follower = followers.follow("f")
    follower.last = (1, 0)
    session = Session("s")
    follower.sessions[session] = tracker = Tracker(session)
    tracker.following["f"] = (1, 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(followers.run)
        followers.look()
        await trio.testing.wait_all_tasks_blocked()
        # The log was read when this was not in it, and the answer comes after the copy of it.
        logs.entries.append(Entry((2, 0), (1, 0), b""))
        followers.arrived("f", (2, 0), (1, 0), list)
        logs.answer.set()
        await trio.testing.wait_all_tasks_blocked()
        assert handed.entries == [(2, 0)]
        assert followers.missed == 0
        followers.arrived("f", (3, 0), (2, 0), list)
        assert handed.entries == [(2, 0), (3, 0)]
        nursery.cancel_scope.cancel()
