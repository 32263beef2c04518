"""The retained messages that a subscription is sent before all else (MQTT 5.0 §3.8.4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trio_mqtt.broker.turns import Turn

if TYPE_CHECKING:
    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.broker.routing.retained_search import RetainedSearch
    from trio_mqtt.broker.sessions.delivery_state import DeliveryState
    from trio_mqtt.broker.sessions.outlet import Outlet


class RetainedFirst:
    """Looks for these messages bit by bit, as they are sent: no more of them wait than that."""

    __slots__ = ("_found", "_search", "_session")

    def __init__(self, session: DeliveryState, search: RetainedSearch) -> None:
        self._session = session
        self._search: RetainedSearch | None = search
        self._found: Batch | None = None  # and not sent yet

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to find or to send."""
        return self._search is None and self._found is None

    def begin(self, outlet: Outlet) -> None:
        """Take the first steps: mostly there are no more."""
        search = self._search
        if search is not None and search.may_begin and search.take_place_nowait(outlet.searches):
            self._look(search, Turn())

    async def go_on(self, outlet: Outlet) -> None:
        """Search for one turn: one subscription at a time, and of each client only few."""
        search = self._search
        if search is None:
            return
        await search.until_it_may()
        if not search.has_place:
            await search.take_place(outlet.searches)
        async with search.turns:
            if self._search is not search:
                search.leave_place()  # it ended while it waited
            elif not outlet.ended:
                self._look(search, Turn())

    def take(self) -> Batch | None:
        """What was found last, to be sent; None if it is still to be looked for."""
        found, self._found = self._found, None
        return found

    def rest(self, *, searched: bool) -> Iterator[Batch]:
        """What was found and not sent; if it is `searched`, also what is still to be found."""
        while self._found is not None or (searched and self._search is not None):
            if self._found is not None:
                self._session.retained_waiting -= self._found.count
                yield self._found
                self._found = None
            elif self._search is not None:
                self._look(self._search, None)

    def pause(self) -> None:
        """Its client has gone: the search goes on with the next connection."""
        if self._search is not None:
            self._search.leave_place()

    def end(self) -> None:
        """Nobody asks for it any more."""
        if self._search is not None:
            self._search.leave_place()
            self._search = None
        if self._found is not None:
            self._session.retained_waiting -= self._found.count
            self._found = None

    def _look(self, search: RetainedSearch, turn: Turn | None) -> None:
        batch = search.go_on(turn)
        if search.is_done:
            search.leave_place()
            self._search = None
        if batch is not None:
            self._found = batch
            self._session.retained_waiting += batch.count
