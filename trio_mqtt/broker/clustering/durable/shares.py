"""Shared subscriptions of which durable sessions are members: their messages wait in a log.

Each entry is taken by one node that has members connected, and handed to these as ever. With a
durable session it is kept, as what is in no log is; then it leaves the log. What a node has taken
and not handed on when it dies, another takes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.clustering.handed import Handed
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.cluster.changes import QOS_0
from trio_mqtt.cluster.engine.calls import EngineGoneError, EngineRefusedError
from trio_mqtt.cluster.entries import EntryError
from trio_mqtt.cluster.given import Given, keys_of
from trio_mqtt.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence, Set

    from trio_mqtt.broker.clustering.durable.handing import EntryPart
    from trio_mqtt.broker.clustering.interests import Interests
    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.routing.subscription_index import SubscriptionIndex
    from trio_mqtt.broker.routing.target import Recipient
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.logs import Entry, Logs

    _Taken = tuple[Entry, Sequence[str]]  # and the keys of the sessions that have it

_AT_ONCE = 16  # entries that one node takes
_ROOM = 64, 256 * 1024  # messages and bytes for which each member must have room
_LOOKS = 1.0  # seconds until a node looks again for what it was not told of
_PAUSE = 0.05  # seconds until it looks again whether members have room


class Shares:
    """What this node has to do with the logs that are shared. `node` is what it takes things as."""

    def __init__(
        self,
        engine: Engine,
        logs: Logs,
        index: SubscriptionIndex,
        journal: ClusterJournal,
        interests: Interests,
        unpack: Callable[[bytes | memoryview], list[EntryPart]],
    ) -> None:
        self._engine = engine
        self._logs = logs
        self._given = Given(engine)
        self._index = index
        self._journal = journal
        self._interests = interests
        self._unpack = unpack
        self.node = ""
        self.is_lost: Callable[[int], bool] = lambda _number: False
        """Whether something of a session was not kept, as it is another node's by now."""
        # Members here, by filter; and the filters that are shared by a log.
        self._members: dict[str, set[Recipient]] = {}
        self._logged: set[str] = set()
        # Those that are served from here, and what wakes who does that.
        self._serving: dict[str, trio.CancelScope] = {}
        self._wakes: dict[str, trio.Event] = {}
        # Whoever has begun to take entries hands them on, though it serves no more: who comes after
        # it takes none before that, as it would find those again.
        self._taking: dict[str, trio.Lock] = {}
        # Entries that sessions here have, of which their logs do not know that yet.
        self._untold: dict[str, Sequence[_Taken]] = {}
        # Nodes that are dead, by the filter of a log of which they may have entries.
        self._dead: dict[str, dict[str, None]] = {}
        self.is_alive: Callable[[str], Awaitable[bool]] = _lives
        """Whether a node is none that is dead for good. Raises EngineGoneError."""
        self._nursery: trio.Nursery | None = None

    def placed(self, member: Recipient) -> None:
        """A member of a group is here."""
        text = member.topic_filter.text
        self._members.setdefault(text, set()).add(member)
        self._look(text)
        self.wake(text)

    def displaced(self, member: Recipient) -> None:
        """It is not any more."""
        text = member.topic_filter.text
        members = self._members.get(text, set())
        members.discard(member)
        if not members:
            self._members.pop(text, None)
        self._look(text)

    def is_logged(self, text: str, *, is_logged: bool) -> None:
        """A filter is shared by a log from now on, or no more."""
        if is_logged:
            self._logged.add(text)
        else:
            self._logged.discard(text)
        to_log = partial(self._to_log, text) if is_logged else None
        self._index.share_by_log(TopicFilter(text), to_log)
        self._look(text)

    def _to_log(self, text: str, batch: Batch) -> None:
        """What a member has left behind waits in the log again."""
        messages = [one for one in batch.messages if one.qos]
        if messages:
            again = Batch(messages, is_v5=batch.is_v5, received_at=batch.received_at)
            self._journal.log((text,), again)

    def wake(self, text: str) -> None:
        """There may be something in a shared log."""
        wake = self._wakes.get(text)
        if wake is not None:
            wake.set()

    def serves(self, text: str) -> bool:
        """Whether a shared log is served from here."""
        return text in self._serving

    def _look(self, text: str) -> None:
        """Begin to serve a log, or cease to."""
        wanted = text in self._logged and text in self._members
        if wanted and text not in self._serving and self._nursery is not None:
            self._serving[text] = scope = trio.CancelScope()
            self._interests.add(TopicFilter(QOS_0 + text))
            self._nursery.start_soon(self._serve, text, scope)
        elif not wanted and text in self._serving:
            self._serving.pop(text).cancel()
            self._dead.pop(text, None)
            self._interests.discard(TopicFilter(QOS_0 + text))

    async def run(self) -> None:
        """Serve what is shared, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            for text in list(self._members):
                self._look(text)
            await trio.sleep_forever()

    async def _serve(self, text: str, scope: trio.CancelScope) -> None:
        shared_filter = TopicFilter(text)
        taking = self._taking.setdefault(text, trio.Lock())
        with scope:
            while True:
                wake = self._wakes[text] = trio.Event()
                try:
                    async with taking:
                        pause = await self._serve_some(shared_filter)
                except EngineGoneError:
                    await self._engine.wait_returned()
                    continue
                except (EngineRefusedError, StoreError):
                    pause = _LOOKS  # no node for now, or about to end
                if pause:
                    with trio.move_on_after(pause):
                        await wake.wait()
        if text not in self._serving and not taking.locked():
            self._taking.pop(text, None)

    async def _serve_some(self, shared_filter: TopicFilter) -> float:
        """Take some entries and hand them on; how long to wait before the next."""
        group = self._index.group(shared_filter)
        if group is None or not group.anybody_is_connected() or not self.node:
            return _LOOKS
        if not group.has_room_for(*_ROOM):
            return _PAUSE
        text = shared_filter.text
        if text in self._untold:
            return _LOOKS  # it would find that again
        node = self.node
        # Whoever has no members any more still hands on what is taken, once that has begun.
        with trio.CancelScope(shield=True):
            dead = self._dead.get(text, {})
            entries, others = await self._logs.take(text, node, count=_AT_ONCE, dead=dead)
            if not entries:
                self._dead.pop(text, None)
                return await self._look_at(text, others)
            # What another node had written with sessions before it died is theirs.
            held = {
                one.entry: await self._given.held(text, one.entry, one.given)
                for one in entries
                if one.given
            }
            handed = [
                (entry, self._hand(shared_filter, entry, held.get(entry.entry, frozenset()), node))
                for entry in entries
            ]
            await self._journal.until_kept()
            # What a session that is lost was to have is left to be taken again.
            taken = [
                (entry, [*keys_of(entry.given), *(key for key, _ in to.sessions.values())])
                for entry, to in handed
                if not any(map(self.is_lost, to.sessions))
            ]
            if taken:
                try:
                    await self._taken(text, taken)
                except EngineGoneError:
                    self._untold[text] = taken
                    if self._nursery is not None:
                        self._nursery.start_soon(self._tell, text)
        return 0.0 if taken else _PAUSE

    async def _taken(self, text: str, taken: Sequence[_Taken]) -> None:
        """Entries leave a log, and then the marks at the sessions that have them."""
        await self._logs.taken(text, [entry for entry, _ in taken])
        await self._given.forget(
            text, [(entry.entry, key) for entry, keys in taken for key in keys]
        )

    async def _tell(self, text: str) -> None:
        """Say until it is heard what was taken: nobody is to have it as well."""
        while True:
            await self._engine.wait_returned()
            try:
                await self._taken(text, self._untold[text])
            except EngineGoneError:
                continue
            del self._untold[text]
            self.wake(text)
            return

    async def _look_at(self, text: str, others: Sequence[str]) -> float:
        """See which of those are dead that have taken something; how long to wait after that."""
        dead = [node for node in others if not await self.is_alive(node)]
        if not dead:
            return _LOOKS
        self._dead.setdefault(text, {}).update(dict.fromkeys(dead))
        return 0.0

    def is_dead(self, node: str) -> None:
        """A node is dead: what it had taken, and not given to anybody, is for others at once.

        Nothing that it does any more counts; what one that lives has taken stays with that.
        """
        for text in self._serving:
            self._dead.setdefault(text, {})[node] = None
            self.wake(text)

    def _hand(self, shared_filter: TopicFilter, entry: Entry, held: Set[int], node: str) -> Handed:
        """Hand an entry to members here, but for the messages that are `held` already.

        Where all have gone meanwhile, it goes back to the log, for others.
        """
        text = shared_filter.text
        group = self._index.group(shared_filter)
        is_anybody_here = group is not None and group.anybody_is_connected()
        try:
            batches = [part.batch for part in self._unpack(entry.data)]
        except EntryError:
            return Handed(text, entry, (), node)
        messages = [message for batch in batches for message in batch.messages]
        handed = self._journal.handed = Handed(text, entry, messages, node)
        at = 0
        try:
            for batch in batches:
                indexes = range(at, at + batch.count)
                at += batch.count
                if not held.isdisjoint(indexes):
                    batch = batch.part([messages[one] for one in indexes if one not in held])
                if not batch.count:
                    continue
                if group is not None and is_anybody_here:
                    group.deliver_here(batch)
                else:
                    self._to_log(text, batch)
        finally:
            self._journal.handed = None
        self._journal.given(handed)
        return handed


async def _lives(_node: str) -> bool:
    return True
