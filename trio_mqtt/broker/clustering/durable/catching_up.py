"""What one session has not had of its logs, read for it until it has all that its node has."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import trio

from trio_mqtt.cluster.engine.calls import EngineGoneError, EngineRefusedError, as_sentence
from trio_mqtt.cluster.entries import EntryError
from trio_mqtt.cluster.logs import fits, follows
from trio_mqtt.cluster.positions import Place, before
from trio_mqtt.errors import EngineError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_mqtt.broker.clustering.durable.followers import Follower, Followers
    from trio_mqtt.broker.clustering.durable.handing import EntryPart, Handing
    from trio_mqtt.broker.clustering.tracker import Tracker
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.logs import Logs

logger = logging.getLogger("trio_mqtt.cluster")

_UNABLE = (EngineGoneError, EngineRefusedError, StoreError)
_AGAIN = 1.0  # seconds until a log that cannot be read is tried again
_TELLS_AGAIN = 60.0  # seconds until that is told again


class CatchingUp:
    """Reads for sessions, a bounded piece at a time, as fast as their clients take it."""

    def __init__(
        self,
        engine: Engine,
        logs: Logs,
        followers: Followers,
        handing: Handing,
        unpack: Callable[[bytes | memoryview], list[EntryPart]],
        limits: Limits,
    ) -> None:
        self._engine = engine
        self._logs = logs
        self._followers = followers
        self._handing = handing
        self._unpack = unpack
        self._limits = limits
        self._tells_at = -math.inf
        self.cut_off = 0  # sessions that had not had something that a log had to let go of

    async def read(
        self, follower: Follower, tracker: Tracker, place: Place, token: object = None
    ) -> None:
        """Hand a session what comes after a place, and have it follow its log from then on.

        `token` is what it was given for that: it may have another by now, and follow anew.
        """
        topic_filter = follower.topic_filter
        if not _follows(tracker, topic_filter, token):
            return
        tracker.following[topic_filter] = (
            place.entry if place.messages == -1 else before(place.entry)
        )
        count = 0
        while _follows(tracker, topic_filter, token):
            if follower.last is None:
                try:
                    last = await self._logs.last(topic_filter)
                except _UNABLE as error:
                    await self._until_able(topic_filter, error)
                    continue
                # Another session may have found it meanwhile, and got what came since.
                follower.last = follower.last or last
                if follower.newest > follower.last:
                    # Its copy came before that was known, and was passed over.
                    self._followers.look([topic_filter])
                continue
            if tracker.following[topic_filter] >= follower.last:
                follower.sessions[tracker.session] = tracker
                return
            last = follower.last
            try:
                entries = await self._logs.read(topic_filter, place, count=count)
            except _UNABLE as error:
                await self._until_able(topic_filter, error)
                continue
            if not _follows(tracker, topic_filter, token):
                return
            if not entries:
                # All is gone that there was up to where the node was; it may be further by now.
                self.cut_off += 1
                tracker.following[topic_filter] = last
                continue
            if not follows(entries[0], place):
                self.cut_off += 1
            for entry in entries:
                try:
                    self._handing.hand(
                        topic_filter,
                        entry.entry,
                        self._unpack(entry.data),
                        {tracker.session: tracker},
                    )
                except EntryError as error:
                    self._followers.is_damaged(error)
                    tracker.following[topic_filter] = entry.entry
                await self._until_taken(tracker)
                if not _follows(tracker, topic_filter, token):
                    return
            place = Place(entries[-1].entry)
            count = fits(entries)

    async def _until_able(self, topic_filter: str, error: EngineError | StoreError) -> None:
        """Wait until a log that could not be read perhaps can."""
        if isinstance(error, EngineGoneError):
            await self._engine.wait_returned()
            return
        now = trio.current_time()
        if now >= self._tells_at:
            self._tells_at = now + _TELLS_AGAIN
            logger.error("The log of %r cannot be read: %s", topic_filter, as_sentence(error))
        await trio.sleep(_AGAIN)

    async def _until_taken(self, tracker: Tracker) -> None:
        """Wait until little waits for a client: what does not wait here is safe where it is."""
        session, limits = tracker.session, self._limits
        await trio.lowlevel.checkpoint()
        while (
            session.outlet is not None
            and tracker.following
            and (
                session.queued_messages * 4 > limits.maximum_queued_messages
                or session.queued_bytes * 4 > limits.maximum_queued_bytes
            )
        ):
            # Several may read for it, each from a log of its own.
            if tracker.taken is None or tracker.taken.is_set():
                tracker.taken = trio.Event()
            await tracker.taken.wait()


def _follows(tracker: Tracker, topic_filter: str, token: object) -> bool:
    return topic_filter in tracker.following and tracker.tokens.get(topic_filter) is token
