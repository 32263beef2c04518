"""Shared subscriptions (MQTT 5.0 §4.8.2): each message goes to one member of a group."""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from trio_mqtt.broker.options import BrokerOptions, SharedStrategy
from trio_mqtt.broker.routing.distant_members import DistantMembers

if TYPE_CHECKING:
    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.broker.routing.distant_members import Nearness
    from trio_mqtt.broker.routing.filters import TopicFilter
    from trio_mqtt.broker.routing.target import Distant, Recipient
    from trio_mqtt.protocol.packets import Publish


class _Ring:
    """Members in turn; no step and no change takes longer for there being many."""

    __slots__ = ("_places", "_turn", "members")

    def __init__(self) -> None:
        self.members: list[Recipient] = []
        self._places: dict[Recipient, int] = {}
        self._turn = 0

    def add(self, member: Recipient) -> None:
        if member not in self._places:
            self._places[member] = len(self.members)
            self.members.append(member)

    def discard(self, member: Recipient) -> None:
        place = self._places.pop(member, None)
        if place is None:
            return
        last = self.members.pop()
        if last is not member:
            self.members[place] = last
            self._places[last] = place
            if place == self._turn - 1:
                self._turn = place  # who took its place has not had its turn

    def has(self, member: Recipient) -> bool:
        return member in self._places

    def next(self) -> Recipient:
        turn = self._turn % len(self.members)
        self._turn = turn + 1
        return self.members[turn]

    def skip(self, turns: int) -> None:
        self._turn += turns


class SharedGroup:
    """The members of one `$share/NAME/FILTER`.

    Those that have gone are noticed when it is their turn, those that come back say so.
    """

    __slots__ = ("_away", "_distant", "_favourite", "_options", "_present", "to_log")

    def __init__(
        self, options: BrokerOptions, to_log: Callable[[Batch], None] | None = None
    ) -> None:
        self._options = options
        # Takes what is of QoS 1 and 2 where that comes by a log, from which members everywhere are
        # served; None where it does not.
        self.to_log = to_log
        self._present = _Ring()
        self._away = _Ring()
        self._favourite: Recipient | None = None  # of the sticky strategy
        # Members elsewhere; None where there are none.
        self._distant: DistantMembers | None = None

    def __bool__(self) -> bool:
        return bool(self._present.members or self._away.members or self._distant)

    def set_distant(
        self, shared_filter: TopicFilter, distant: Distant, count: int, nearness: Nearness
    ) -> None:
        """From now on there are so many members where `distant` passes messages on."""
        if self._distant is None:
            self._distant = DistantMembers(shared_filter, nearness)
        self._distant.set(distant, count)
        self._distant = self._distant or None

    @property
    def must_be_kept(self) -> bool:
        """Whether any member outlives the broker, or is elsewhere."""
        members = chain(self._present.members, self._away.members)
        return self._distant is not None or any(
            member.session.journal is not None for member in members
        )

    def add(self, member: Recipient) -> None:
        """From now on `member` may get messages."""
        if member.session.outlet is None:
            self._away.add(member)
        else:
            self._away.discard(member)
            self._present.add(member)

    def is_back(self, member: Recipient) -> None:
        """A client has come back, or is new; who has not been added yet is no member by that."""
        if self._away.has(member):
            self.add(member)

    def discard(self, member: Recipient) -> None:
        """`member` gets no more messages."""
        self._present.discard(member)
        self._away.discard(member)
        if self._favourite is member:
            self._favourite = None

    def anybody_is_connected(self) -> bool:
        """Whether there is a member that can be sent messages now."""
        members = self._present.members
        while members and members[-1].session.outlet is None:
            self._gone(members[-1])
        return bool(members)

    @property
    def members(self) -> list[Recipient]:
        """Those of this broker, those that are away last."""
        return [*self._present.members, *self._away.members]

    def takes_over(self, count: int, size: int) -> bool:
        """Whether what one member leaves behind waits for others, and none has to drop any."""
        return self.to_log is not None or self.has_room_for(count, size)

    def has_room_for(self, count: int, size: int) -> bool:
        """Whether somebody is connected, and each who is can take so much without dropping any."""
        if not self.anybody_is_connected():
            return self._distant is not None
        return all(
            member.has_room_for(count, size)
            for member in self._present.members
            if member.session.outlet is not None
        )

    def deliver(self, batch: Batch) -> None:
        """Hand each message of `batch` to one member, if there is any."""
        above = batch.above_qos_0
        if self.to_log is not None and above:
            # It waits there for whoever has room, and is lost with no node.
            self.to_log(batch)
            if above == batch.count:
                return
            batch = batch.part([one for one in batch.messages if not one.qos])
        self.deliver_anywhere(batch)

    def deliver_anywhere(self, batch: Batch) -> None:
        """Hand each message to one member at once, though others of the group come by a log."""
        distant = self._distant
        if distant is None:
            self.deliver_here(batch)
            return
        is_here = self.anybody_is_connected()
        if is_here and distant.nearness.prefers_here:
            self.deliver_here(batch)
            return
        here = len(self._present.members) if is_here else 0
        for place, share in distant.shares(batch, here, self._options.shared_strategy):
            if place is None:
                self.deliver_here(share)
            else:
                place.share(distant.shared_filter, share)

    @property
    def is_here(self) -> bool:
        """Whether this broker has any member."""
        return bool(self._present.members or self._away.members)

    def deliver_here(self, batch: Batch) -> None:
        """Hand each message of `batch` to one member of this broker, if there is any."""
        if not self.is_here:
            return
        if batch.count == 1 or self._options.shared_strategy in (
            SharedStrategy.HASH,
            SharedStrategy.STICKY,
        ):
            member = self._one(batch)
            member.offer(member.target, batch)
            return
        for member, share in self._shares(batch):
            member.offer(member.target, batch.part(share))

    def _gone(self, member: Recipient) -> None:
        self._present.discard(member)
        self._away.add(member)

    def _one(self, batch: Batch) -> Recipient:
        """The member for a whole batch."""
        ring = self._present
        while ring.members:
            member = self._pick(ring, batch)
            if member.session.outlet is not None:
                return member
            self._gone(member)
        return self._pick(self._away, batch)

    def _pick(self, ring: _Ring, batch: Batch) -> Recipient:
        strategy = self._options.shared_strategy
        if strategy is SharedStrategy.ROUND_ROBIN:
            return ring.next()
        if strategy is SharedStrategy.LEAST_LOADED:
            return min(ring.members, key=_load)
        if strategy is SharedStrategy.HASH:
            client_id = "" if batch.sender is None else batch.sender.client_id
            return ring.members[zlib.crc32(client_id.encode()) % len(ring.members)]
        favourite = self._favourite
        if favourite is None or favourite.session.outlet is None:
            self._favourite = favourite = ring.next()
        return favourite

    def _shares(self, batch: Batch) -> Iterator[tuple[Recipient, Sequence[Publish]]]:
        """The members for the messages of a batch, each with its share in order."""
        messages = batch.messages
        count = len(messages)
        if self._options.shared_strategy is SharedStrategy.ROUND_ROBIN:
            ring = self._present if self.anybody_is_connected() else self._away
            turns = min(count, len(ring.members))
            members = list(dict.fromkeys(self._one(batch) for _ in range(turns)))
            ring.skip(count - turns)
            for index, member in enumerate(members):
                yield member, messages[index :: len(members)]
            return
        for member in [m for m in self._present.members if m.session.outlet is None]:
            self._gone(member)
        ring = self._present if self._present.members else self._away
        loads = [(_load(member), place) for place, member in enumerate(ring.members)]
        heapq.heapify(loads)
        shares: dict[Recipient, list[Publish]] = {}
        for message in messages:
            load, place = loads[0]
            heapq.heapreplace(loads, (load + 1, place))
            shares.setdefault(ring.members[place], []).append(message)
        yield from shares.items()


def _load(member: Recipient) -> int:
    session = member.session
    return session.queued_messages + len(session.sender)
