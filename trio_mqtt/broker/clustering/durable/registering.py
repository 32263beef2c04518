"""Has the cluster know which logs are followed here, and by whom a filter is held."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, TypeVar

import trio

from trio_mqtt.broker.promises import Awaited
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.cluster.changes import QOS_0
from trio_mqtt.cluster.engine.calls import (
    EngineFencedError,
    EngineGoneError,
    EngineRefusedError,
    as_sentence,
)
from trio_mqtt.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from trio_mqtt.broker.clustering.durable.followers import Follower, Followers
    from trio_mqtt.broker.clustering.durable.log_writer import LogWriter
    from trio_mqtt.broker.clustering.interests import Interests
    from trio_mqtt.cluster.durable_filters import DurableFilters
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.logs import Logs
    from trio_mqtt.cluster.positions import EntryId

_T = TypeVar("_T")
_TELLS_AGAIN = 60.0  # seconds until it is told again that the engine refuses something

logger = logging.getLogger("trio_mqtt.cluster")


class Over:
    """Follows something that is awaited, for a task of this node's own."""

    def __init__(self) -> None:
        self.event = trio.Event()

    def go_on(self) -> None:
        self.event.set()


async def over(awaited: Awaited | None) -> None:
    """Wait until something that others do is over."""
    if awaited is None or awaited.is_over:
        await trio.lowlevel.checkpoint()
        return
    follower = Over()
    awaited.follow(follower)
    try:
        await follower.event.wait()
    finally:
        awaited.forget(follower)


class Registering:
    """Who holds a filter, and who follows its log.

    The first session here that follows a log has all nodes know that its filter is durable, and
    that this node wants copies of what is added; all later ones find that so.
    """

    def __init__(
        self,
        engine: Engine,
        logs: Logs,
        filters: DurableFilters,
        interests: Interests,
        followers: Followers,
        writer: LogWriter,
    ) -> None:
        self._engine = engine
        self._logs = logs
        self._filters = filters
        self._interests = interests
        self._followers = followers
        self._writer = writer
        # How many sessions follow each log, and what is over once all nodes know that some do.
        self._counts: dict[str, int] = {}
        self._known: dict[str, Awaited] = {}
        self.shared: Callable[..., None] = lambda _text, *, is_logged: None
        """Is told of filters that are shared by a log, `is_logged`, or no more."""
        # What is to be told, and of what has been told that it is wanted here.
        self._new: list[tuple[str, Awaited]] = []
        self._wanted: set[str] = set()
        # Filters that nobody holds, which whoever let go of them last has not said.
        self._unheld: set[str] = set()
        self._to_say: list[str] = []
        self._wake = trio.Event()
        # The change that made a filter durable, as far as this node has heard.
        self.numbers: dict[str, int] = {}
        self._tells_at = -math.inf

    def is_durable(self, topic_filter: str, number: int) -> None:
        """A filter is durable by a change of this number, which may have come already."""
        if number > self.numbers.get(topic_filter, 0):
            self.numbers[topic_filter] = number
            self._writer.want(topic_filter)
            if TopicFilter(topic_filter).share:
                self.shared(topic_filter, is_logged=True)

    def is_not_durable(self, topic_filter: str, number: int) -> None:
        """A filter is durable no more, if nobody has said later that it is."""
        if number > self.numbers.get(topic_filter, 0):
            self.numbers.pop(topic_filter, None)
            self._no_longer(topic_filter)

    def _no_longer(self, topic_filter: str) -> None:
        self._writer.no_longer(topic_filter)
        if TopicFilter(topic_filter).share:
            self.shared(topic_filter, is_logged=False)

    def load(self, known: Mapping[str, int]) -> None:
        """These filters are durable, by changes of these numbers, and no others."""
        for topic_filter in self._writer.all():
            if topic_filter not in known:
                self.numbers.pop(topic_filter, None)
                self._no_longer(topic_filter)
        for topic_filter, number in known.items():
            self.is_durable(topic_filter, number)

    async def hold(self, topic_filter: str, key: str, epoch: int) -> EntryId:
        """A session has a filter, wherever it is; the last entry of the log so far."""
        last, _ = await self._again(lambda: self._logs.hold(topic_filter, key, epoch))
        return last

    async def release(self, topic_filter: str, keys: Mapping[str, int]) -> None:
        """Sessions have a filter no more. Without any, it is no longer durable."""
        number = self.numbers.get(topic_filter)
        left = await self._again(lambda: self._logs.release(topic_filter, keys))
        if not left and number is not None and topic_filter not in self._counts:
            await self._again(lambda: self._filters.no_longer(topic_filter, number))

    def is_unheld(self, topic_filter: str) -> None:
        """Nobody held a filter just now that is durable still: let go of it, unless one does now.

        The node that let go of it for its last session has died before it said so.
        """
        if topic_filter not in self._unheld:
            self._unheld.add(topic_filter)
            self._to_say.append(topic_filter)
            self._wake.set()

    async def _say_unheld(self, topic_filter: str) -> None:
        try:
            await self.release(topic_filter, {})
        finally:
            self._unheld.discard(topic_filter)

    async def follow(self, topic_filter: str) -> Follower:
        """Another session here follows a log, and holds its filter: from now on copies come.

        Cancelled, it is as if it had not been asked.
        """
        self._counts[topic_filter] = self._counts.get(topic_filter, 0) + 1
        follower = self._followers.follow(topic_filter)
        known = self._known.get(topic_filter)
        if known is None:
            known = self._known[topic_filter] = Awaited()
            self._new.append((topic_filter, known))
            self._wake.set()
        try:
            await over(known)
        except trio.Cancelled:
            self.no_longer_follows(topic_filter)
            raise
        return follower

    async def share(self, shared_filter: str, join: Callable[[], None]) -> None:
        """A durable session shares a filter: all nodes know, when this returns.

        It is to `join` the others in between: all nodes write to the log before they hear of it.
        """
        await self._again(lambda: self._logs.share(shared_filter))
        number, _ = await self._again(lambda: self._filters.say(shared_filter))
        self.is_durable(shared_filter, number)
        join()
        # A change of what is wanted comes later in the same order.
        marker = TopicFilter(QOS_0 + "\0" + shared_filter)
        self._interests.add(marker)
        await over(self._interests.known())
        self._interests.discard(marker)

    async def run(self) -> None:
        """Have the cluster know what is followed here, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                new, self._new = self._new, []
                for topic_filter, known in new:
                    nursery.start_soon(self._say, topic_filter, known)
                unheld, self._to_say = self._to_say, []
                for topic_filter in unheld:
                    nursery.start_soon(self._say_unheld, topic_filter)
                self._wake = trio.Event()
                await self._wake.wait()

    async def _say(self, topic_filter: str, known: Awaited) -> None:
        number, _ = await self._again(lambda: self._filters.say(topic_filter))
        self.is_durable(topic_filter, number)
        if self._known.get(topic_filter) is known and topic_filter not in self._wanted:
            self._wanted.add(topic_filter)
            self._interests.add(TopicFilter(QOS_0 + topic_filter))
        await over(self._interests.known())
        known.end()

    def no_longer_follows(self, topic_filter: str) -> None:
        """One session less follows a log here."""
        count = self._counts[topic_filter] - 1
        if count:
            self._counts[topic_filter] = count
            return
        del self._counts[topic_filter]
        self._known.pop(topic_filter, None)
        self._followers.forget(topic_filter)
        if topic_filter in self._wanted:
            self._wanted.remove(topic_filter)
            self._interests.discard(TopicFilter(QOS_0 + topic_filter))

    async def _again(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """What the engine answers, however long it takes until it can."""
        while True:
            try:
                return await call()
            except EngineGoneError:
                await self._engine.wait_returned()
            except (EngineRefusedError, StoreError) as error:
                now = trio.current_time()
                if not isinstance(error, EngineFencedError) and now >= self._tells_at:
                    self._tells_at = now + _TELLS_AGAIN
                    why = as_sentence(error)
                    logger.error("Durable sessions wait for what they subscribe to: %s", why)  # noqa: TRY400
                # Its lease has ended: what this node is to hold, it loses; until it has another.
                await trio.sleep(0.1)
