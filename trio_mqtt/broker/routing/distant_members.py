"""Members of a shared subscription elsewhere, such as at other nodes of a cluster.

Who of them gets a message is decided in two steps: here, where it goes, and there, which member it
is. So this knows only how many there are, and by that each place has its share.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from trio_mqtt.broker.options import SharedStrategy

if TYPE_CHECKING:
    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.broker.routing.filters import TopicFilter
    from trio_mqtt.broker.routing.target import Distant
    from trio_mqtt.protocol.packets import Publish


class Nearness:
    """What holds for all shared subscriptions of a broker that has others beside it."""

    __slots__ = ("name", "prefers_here")

    def __init__(self) -> None:
        # Whether members here come before all others.
        self.prefers_here = True
        # What sorts this broker among the others, which know themselves by such a name.
        self.name = ""


class DistantMembers:
    """How many members there are elsewhere, by who passes messages on to them."""

    __slots__ = ("_counts", "_turn", "nearness", "shared_filter")

    def __init__(self, shared_filter: TopicFilter, nearness: Nearness) -> None:
        self.shared_filter = shared_filter
        self.nearness = nearness
        self._counts: dict[Distant, int] = {}
        self._turn = 0

    def __bool__(self) -> bool:
        return bool(self._counts)

    def set(self, distant: Distant, count: int) -> None:
        """So many are there from now on."""
        self._counts.pop(distant, None)
        if count:
            self._counts[distant] = count

    def shares(
        self, batch: Batch, here: int, strategy: SharedStrategy
    ) -> Iterator[tuple[Distant | None, Batch]]:
        """Where a batch goes, or parts of it: to others, or to the `here` members of this broker.

        `None` stands for those.
        """
        if strategy is SharedStrategy.STICKY:
            yield self._first(here), batch
            return
        places = self._places(here)
        if strategy is SharedStrategy.HASH:
            client_id = "" if batch.sender is None else batch.sender.client_id
            yield places[zlib.crc32(client_id.encode()) % len(places)], batch
            return
        # How much waits for members elsewhere, nobody knows here: so each has its turn.
        turn, self._turn = self._turn, self._turn + batch.count
        if batch.count == 1 or len(self._counts) + bool(here) == 1:
            yield places[turn % len(places)], batch
            return
        yield from self._by_turns(batch, places, turn)

    def _places(self, here: int) -> Sequence[Distant | None]:
        """All members, in an order that is the same while they stay."""
        places: list[Distant | None] = [None] * here
        for distant in sorted(self._counts, key=_name):
            places += [distant] * self._counts[distant]
        return places

    def _first(self, here: int) -> Distant | None:
        """Where all go: the same for all brokers that know of the same members."""
        first = min(self._counts, key=_name)
        return None if here and self.nearness.name <= _name(first) else first

    @staticmethod
    def _by_turns(
        batch: Batch, places: Sequence[Distant | None], turn: int
    ) -> Iterator[tuple[Distant | None, Batch]]:
        found: dict[Distant | None, list[Publish]] = {}
        for number, message in enumerate(batch.messages, turn):
            found.setdefault(places[number % len(places)], []).append(message)
        for place, messages in found.items():
            yield place, batch.part(messages)


def _name(distant: Distant) -> str:
    return distant.session.client_id
