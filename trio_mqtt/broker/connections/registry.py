"""Who is connected to one broker: how many there may be, in all and of one address."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.connections.connack import redirection
from trio_mqtt.broker.events.kinds import ConnectionOpened
from trio_mqtt.broker.holding_off import HeldOff
from trio_mqtt.broker.sources import source_of
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_mqtt.broker.connections.link import Link
    from trio_mqtt.broker.core import Core

logger = logging.getLogger("trio_mqtt.connections")

_AT_ONCE = 100  # clients that are sent away before others have their turn
_TOLD = 10  # connections of one address beyond its bound that stay until they can be told


class Connections:
    """All connections of a broker."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._links: dict[Link, None] = {}
        # How many connections each address has, where that is bounded.
        self._of_address: Counter[str] = Counter()
        self._all_gone = trio.Event()
        self._has_left: trio.Event | None = None  # set with the next that ends, for all who wait

    def __len__(self) -> int:
        return len(self._links)

    def all(self) -> list[Link]:
        """The connections that there are now."""
        return list(self._links)

    def has(self, link: Link) -> bool:
        """Whether this connection is still there."""
        return link in self._links

    def enter(self, link: Link) -> bool:
        """A connection begins; whether there is room for it."""
        core = self._core
        core.statistics.connections_accepted += 1
        if core.sessions.closing:
            return False
        settings = link.settings
        in_all = core.limits.maximum_connections
        here = settings.limits.maximum_connections
        if len(self._links) >= in_all or settings.connections >= here:
            if not settings.is_full:
                is_in_all = len(self._links) >= in_all
                listen = link.stream.origin.listener
                logger.warning(
                    "Turned %s away, and whoever comes until there is room: no more connections"
                    " than %d may be at one time%s (limits.maximum_connections)",
                    link.stream.peer,
                    in_all if is_in_all else here,
                    "" if is_in_all or listen is None else f" at {listen.url}",
                    extra={"event": "turned_away", "address": link.stream.peer},
                )
            settings.is_full = True
            core.statistics.connections_refused += 1
            return False
        settings.is_full = False
        settings.connections += 1
        self._links[link] = None
        if ConnectionOpened in core.event_streams.wanted:
            listen = link.stream.origin.listener
            core.event_streams.tell(
                ConnectionOpened(link.stream.peer, "" if listen is None else listen.url)
            )
        return True

    def count_address(self, link: Link) -> bool:
        """Count a connection for its address, once that is known; whether it may go on.

        Some that are too many may: they are told so once they have said CONNECT.
        """
        held_off = link.turned_away = self._core.holding_off.connecting(link.stream.peer)
        if held_off is not None and not held_off.is_told:
            return False
        if not self._counts_addresses:
            return True
        limit = self._core.limits.maximum_connections_per_address
        count = self._count(link)
        if count <= limit:
            return True
        self._core.statistics.connections_refused += 1
        link.turned_away = HeldOff(
            ReasonCode.QUOTA_EXCEEDED,
            "its address has as many connections as one may have",
            is_told=count <= limit + _TOLD,
        )
        return link.turned_away.is_told

    @property
    def _counts_addresses(self) -> bool:
        limits = self._core.limits
        return limits.maximum_connections_per_address < limits.maximum_connections

    def _count(self, link: Link) -> int:
        """Count a connection for its address; how many that has now."""
        source = link.source = source_of(link.stream.peer)
        count = self._of_address[source] = self._of_address[source] + 1
        return count

    def count_anew(self, link: Link) -> None:
        """The bound of one address may be another: who was not counted counts from now on."""
        if self._counts_addresses and link.source is None and link.identity is not None:
            self._count(link)

    def leave(self, link: Link) -> None:
        """Everything of a connection has ended."""
        del self._links[link]
        if self._has_left is not None:
            self._has_left.set()
        link.settings.connections -= 1
        source = link.source
        if source is not None:
            self._of_address[source] -= 1
            if not self._of_address[source]:
                del self._of_address[source]
        if not self._links:
            self._all_gone.set()

    async def close(self) -> None:
        """End in order: wills are published, what waits is sent and acknowledged, clients told.

        Takes no longer than the limits allow for that, and for a goodbye. What clients go on to
        publish meanwhile is sent too, but not waited for.
        """
        core = self._core
        if core.options.successor is not None:
            core.successors.become([core.options.successor])
        elif not core.successors.is_draining and core.sessions.elsewhere is not None:
            core.successors.become(await core.sessions.elsewhere.references())
        core.sessions.publish_last_wills()
        await self._until_sent()
        self._all_gone = trio.Event()
        for link in self.all():
            self._send_away(link, "the broker is shutting down")
        if self._links:
            await self._all_gone.wait()

    async def _until_sent(self) -> None:
        """Wait until clients have what has come for them until now, or it takes too long."""
        core = self._core
        now = trio.current_time()
        with trio.move_on_after(core.limits.drain_timeout):
            # No message pays for telling that it was the last: looking now and then is enough.
            while any(session.is_owed(now) for session in core.sessions.all()):  # noqa: ASYNC110
                await trio.sleep(0.01)

    def _send_away(self, link: Link, why: str) -> None:
        """End a connection, and tell its client where to go, if that is known."""
        successors = self._core.successors
        reference = successors.next()
        if reference is None:
            link.end(ReasonCode.SERVER_SHUTTING_DOWN, why)
        else:
            link.end(
                redirection(successors.has_moved),
                f"{why}: it is sent to {reference}",
                {"server_reference": reference},
            )

    async def drain(self) -> None:
        """Send all clients away, some at a time, and those that come from now on as well.

        Returns when all have gone.
        """
        self._core.successors.is_draining = True
        await self._until_sent()
        # Those that are not let in yet are about to be told.
        while links := [one for one in self.all() if one.identity and not one.outlet.ended]:
            some = links[:_AT_ONCE]
            for link in some:
                self._send_away(link, "the broker gives up its clients")
            await self._until_gone(some)
        await self._until_gone([one for one in self.all() if one.is_accepted])

    async def _until_gone(self, links: Sequence[Link]) -> None:
        """Wait until these connections have ended."""
        left = set(links)
        while left.intersection(self._links):
            if self._has_left is None or self._has_left.is_set():
                self._has_left = trio.Event()
            await self._has_left.wait()
