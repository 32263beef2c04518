"""The engine as the storage of a node's journal: a group of changes is a pipeline or two."""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import trio

from trio_mqtt.cluster.engine.calls import EngineGoneError, EngineRefusedError, as_sentence
from trio_mqtt.cluster.entries import ITEM, encode_entry
from trio_mqtt.cluster.given import Given, Giving
from trio_mqtt.cluster.inbox import Inboxes
from trio_mqtt.cluster.items import SOURCE, encode_numbered
from trio_mqtt.cluster.retained_store import RetainedStore
from trio_mqtt.cluster.session_store import SessionStore
from trio_mqtt.errors import EngineError, StoreError
from trio_mqtt.storage.gathered import Gathered
from trio_mqtt.storage.rows import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from trio_mqtt.cluster import changes as stream
    from trio_mqtt.cluster.additions import Added, Addition, Additions
    from trio_mqtt.cluster.engine.calls import Reply
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.logs import Appended
    from trio_mqtt.cluster.positions import EntryId
    from trio_mqtt.storage.rows import Changes, Progress

logger = logging.getLogger("trio_mqtt.cluster")

ENTRY = 256 * 1024  # bytes of an entry, from which on the next is begun


_LOST = 10_000  # sessions that were others' when they were to be written, as far as is remembered


class Forward(NamedTuple):
    """An entry for a node's inbox, with so many messages."""

    node: str
    entry: bytes
    messages: int


class ClusterChanges(Gathered):
    """What has changed since the last group, and what is promised to other nodes.

    `forwards` are the items for each node, `additions` what is to be in logs; once they are on
    their way, they are `entries` and `added`, the same each time that is tried. `fields` are those
    of sessions, by their numbers, that are in no rows; None is gone. `done` has up to where
    sessions need logs no more, once this is kept: by number, the key, and entries by filter.
    `given` has to whom entries of shared logs are given. `left_behind` are the filters and keys of
    which logs say what sessions have left, until this is kept, with the sessions' numbers.
    """

    __slots__ = ("added", "additions", "are_added", "done", "entries", "expired", "fields",
                 "forwards", "given", "left_behind", "retained_at")  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.forwards: dict[str, list[tuple[int, bytes, int]]] = {}
        self.entries: list[Forward] | None = None
        # Topics whose retained message has come to the end of its time.
        self.expired: dict[str, None] = {}
        # When retained messages have changed, by the engine's clock.
        self.retained_at: dict[str, float] = {}
        self.additions: list[Addition] = []
        self.added: Sequence[Added] = ()
        self.are_added = False
        self.fields: dict[int, dict[bytes, bytes | None]] = {}
        self.given: list[Giving] = []
        self.left_behind: dict[tuple[str, str], int] = {}
        self.done: dict[int, tuple[str, Mapping[str, EntryId]]] = {}

    def __bool__(self) -> bool:
        promised = self.forwards or self.additions or self.fields or self.expired
        return bool(promised) or super().__bool__()

    def forget_what_came_from(self, senders: Collection[str], left_by: Collection[int]) -> None:
        """Nothing of what sessions of these keys have published is appended, nor what those of
        these numbers have left for others; entries with what others have, are.
        """
        going = {
            id(one.batch)
            for one in self.additions
            if one.left is not None and one.left.number in left_by
        }

        def is_left(batch: object) -> bool:
            sender = getattr(getattr(batch, "sender", None), "key", None)
            return sender not in senders and id(batch) not in going

        self.additions = [one for one in self.additions if is_left(one.batch)]
        self.added = [one for one in self.added if any(is_left(part[2]) for part in one.parts)]

    def forward(self, node: str, kind: int, data: bytes, count: int) -> None:
        """An item with so many messages is for a node."""
        self.forwards.setdefault(node, []).append((kind, data, count))


class ClusterStorage:
    """Keeps in the engine what outlives a node. Its parts of a pipeline are in rooms of their own.

    `dropped` is told of a node whose inbox is full, and how many messages it did not get; `added`
    of what was to be in logs, and what came of it; `lost` of a session that another node
    has by now, by its number; `kept` of a group that is kept; `retained_sent` of the topics whose
    retained messages change, once that is on its way; `retained_overtaken` of one that another node
    has changed later, and what it is. `retained_lasts` says for how many seconds
    one lasts that has no expiry interval. `waits_until` says until when an engine that is gone
    is waited for.
    """

    def __init__(self, engine: Engine, changes: stream.Changes) -> None:
        self._engine = engine
        self._node = ""
        self._since = -math.inf  # since when it has a lease, by the engine's clock
        self.retained = RetainedStore(engine, changes)
        self._inboxes = Inboxes(engine)
        self._given = Given(engine)
        self.sessions = SessionStore(engine, "")
        self._numbers: dict[str, int] = {}  # of the last entry that was promised to each node
        self.additions: Additions | None = None
        self.added: Callable[[Added, Appended], None] = lambda *_: None
        self.dropped: Callable[[str, int], None] = lambda _node, _count: None
        self.lost: Callable[[int], None] = lambda _number: None
        self._lost: dict[int, None] = {}
        self.kept: Callable[[ClusterChanges], None] = lambda _changes: None
        self.retained_sent: Callable[[Iterable[str]], None] = lambda _topics: None
        self.retained_overtaken: Callable[[str, bytes], None] = lambda _topic, _value: None
        self.retained_lasts: Callable[[], float] = lambda: math.inf
        self.waits_until: Callable[[], float] = lambda: -math.inf
        self._appending: ClusterChanges | None = None
        self._waiting = trio.CancelScope()
        self._gives_up = False

    def be(self, node: str) -> None:
        """From now on this process is this node."""
        self._node = node
        self.has_lease_again()
        self._numbers.clear()
        if self.additions is not None:
            self.additions.node = node

    def has_lease_again(self) -> None:
        """Until now it had none: what has changed here, may have changed elsewhere since."""
        self._since = self._engine.deadline_ms / 1000 - self._engine.settings.lease

    @property
    def lease(self) -> float:
        """Seconds of a node's lease."""
        return self._engine.settings.lease

    def is_lost(self, number: int) -> bool:
        """Whether something of a session was not written: it was another node's by then."""
        return number in self._lost

    def epoch_of(self, number: int) -> int | None:
        """The epoch under which this node has a session; None if it has it no more."""
        owner = self.sessions.owner_of(number)
        return None if owner is None else int(owner.epoch)

    async def load(self, progress: Progress | None = None) -> Kept:
        """What all nodes have in memory."""
        return Kept([], [], [], [], [], [])

    async def append(self, changes: Changes) -> None:
        """Keep the changes; raises StoreError where that cannot be done now."""
        if not isinstance(changes, ClusterChanges):
            raise TypeError("a group of a journal that belongs to no cluster")
        self._appending = changes
        if changes.entries is None:
            changes.entries = self._entries(changes)
            if changes.additions and self.additions is not None:
                changes.added = self.additions.entries(changes.additions)
            self.retained_sent(changes.retained)
        while True:
            try:
                if not changes.are_added:
                    await self._forward(changes.entries, changes)
                # After the messages that they are about: what a client was told of is in logs.
                await self._save_sessions(changes)
            except EngineGoneError as error:
                if not await self._is_back():
                    raise StoreError(str(error)) from error
            except EngineError as error:
                why = f"The engine refuses what clients are promised: {as_sentence(error)}"
                raise StoreError(why) from error
            else:
                self._appending = None
                self.kept(changes)
                if changes.left_behind:
                    await self._forget_left(changes)
                return

    def forget_what_came_from(
        self, senders: Collection[str], left_by: Collection[int], gathered: ClusterChanges
    ) -> None:
        """Clients of sessions with these keys have been let go before they were acknowledged what
        they had published: they send it again elsewhere, and perhaps have had answers to what they
        sent after it. Nothing of it is appended any more, of what was gathered or waits to be; nor
        are their wills, which others publish. Nor is what sessions of these numbers have left for
        others: the engine has it with them still.
        """
        for changes in (self._appending, gathered):
            if changes is not None:
                changes.forget_what_came_from(senders, left_by)

    async def _is_back(self) -> bool:
        """Wait for an engine that is gone, at most as long as this node stays who it is."""
        await trio.lowlevel.checkpoint()
        with trio.move_on_at(self.waits_until()) as self._waiting:
            if not self._gives_up:
                await self._engine.wait_returned()
        return not self._engine.is_gone

    def give_up(self) -> None:
        """From now on an engine that is gone is not waited for: the broker ends."""
        self._gives_up = True
        self._waiting.cancel()

    async def _forward(self, entries: Sequence[Forward], changes: ClusterChanges) -> None:
        """Have messages in logs and in the inboxes of those who were promised them, and write what
        all have in memory.
        """
        additions, adds = self.additions, changes.added
        calls = [] if additions is None else additions.calls(adds)
        calls += [self._inboxes.call(one.node, one.entry, is_promised=True) for one in entries]
        late = self._late(changes)
        on_time = {topic: row for topic, row in changes.retained.items() if topic not in late}
        if on_time:
            calls += self.retained.calls(self._node, on_time)
        if changes.expired:
            calls += self.retained.expire(changes.expired, self.retained_lasts())
        for topic, at in late.items():
            row = changes.retained[topic]
            calls.append(self.retained.late_call(self._node, topic, row, at))
        calls += [self._given.call(one) for one in changes.given]
        replies = await self._engine.all(calls)
        if any(isinstance(reply, EngineRefusedError) for reply in replies):
            replies = await self._as_far_as_it_goes(adds, entries, replies)
        changes.are_added = True
        if changes.given:
            end = len(replies) - len(changes.given)
            replies, noted = replies[:end], replies[end:]
            for giving, reply in zip(changes.given, noted, strict=True):
                if reply == 0:
                    self._is_not_given(giving, changes)
        for topic, reply in zip(late, replies[len(replies) - len(late) :], strict=True):
            if isinstance(reply, bytes):
                self.retained_overtaken(topic, reply)
        if additions is not None:
            for added, reply in zip(adds, replies, strict=False):
                self.added(added, additions.added(reply))
        for one, reply in zip(entries, replies[len(adds) :], strict=False):
            if reply == 0:
                self.dropped(one.node, one.messages)

    async def _as_far_as_it_goes(
        self, adds: Sequence[Added], entries: Sequence[Forward], replies: list[Reply]
    ) -> list[Reply]:
        """What came of a group where the engine has refused some of it: raises that, but for what
        somebody else has written over. Logs begin anew; a node whose inbox that is gets nothing
        of this, and hears so itself.
        """
        count = len(adds)
        if self.additions is not None and count:
            replies[:count] = await self.additions.mended(adds, replies[:count])
        for at, reply in enumerate(replies):
            if isinstance(reply, EngineRefusedError):
                if not count <= at < count + len(entries) or not reply.is_wrong_kind:
                    raise reply
                replies[at] = 0
        return replies

    def _late(self, changes: ClusterChanges) -> dict[str, float]:
        """The topics whose retained messages have changed before this process had this lease, and
        when: others may have changed them since, and were told that this is kept.
        """
        changed_at, since = changes.retained_at, self._since
        return {
            topic: changed_at[topic]
            for topic in changes.retained
            if changed_at.get(topic, math.inf) < since
        }

    async def _save_sessions(self, changes: ClusterChanges) -> None:
        """Write what has changed of sessions that this node has."""
        calls = self.sessions.saves(changes, changes.fields)
        for number, reply in zip(calls, await self._engine.all([*calls.values()]), strict=True):
            if isinstance(reply, EngineRefusedError):
                if not reply.is_wrong_kind:
                    raise reply
                owner = self.sessions.owner_of(number)
                key = None if owner is None else owner.key
                logger.error("What the engine has as the session of %r is none: it is lost.", key)
            if reply == 0 or isinstance(reply, EngineRefusedError):
                self._is_lost(number)
                self.lost(number)
        for number, fields in changes.fields.items():
            if fields and number not in calls:  # it has been given up as lost already
                self._is_lost(number)

    async def _forget_left(self, changes: ClusterChanges) -> None:
        """Sessions say themselves what they have left for others: logs need not."""
        additions, left = self.additions, changes.left_behind
        said = [one for one, number in left.items() if number not in self._lost]
        if additions is not None and said:
            with suppress(EngineError):  # then logs say it for a day
                await self._engine.all(additions.forget_left(said))

    def _is_not_given(self, giving: Giving, changes: ClusterChanges) -> None:
        """Another node has taken an entry since, as this one was dead: so are its sessions gone."""
        for number in giving.sessions:
            changes.fields.pop(number, None)
            self._is_lost(number)
            self.lost(number)

    def _is_lost(self, number: int) -> None:
        self._lost[number] = None
        if len(self._lost) > _LOST:
            del self._lost[next(iter(self._lost))]

    async def close(self) -> None:
        """Nothing is left to be done: the engine is its opener's."""

    def _entries(self, changes: ClusterChanges) -> list[Forward]:
        """What is promised to other nodes, in entries of theirs."""
        entries: list[Forward] = []
        for node, items in changes.forwards.items():
            together: list[tuple[int, bytes]] = []
            size = count = 0
            for at, (kind, data, messages) in enumerate(items, 1):
                together.append((kind, data))
                size += len(data) + ITEM.size
                count += messages
                if size >= ENTRY or at == len(items):
                    number = self._numbers[node] = self._numbers.get(node, 0) + 1
                    source = SOURCE, encode_numbered(self._node, number)
                    entries.append(Forward(node, encode_entry([source, *together]), count))
                    together, size, count = [], 0, 0
        return entries
