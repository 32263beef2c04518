"""Where a broker listens: its listeners, opened, changed and closed, also while it runs."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trio_mqtt.broker.connections.connection import Connection
from trio_mqtt.errors import ListenError
from trio_mqtt.transport.listeners.listener import Listener, open_listener
from trio_mqtt.transport.urls import parse_url

if TYPE_CHECKING:
    import trio

    from trio_mqtt.broker.access.in_force import AccessInForce
    from trio_mqtt.broker.connections.registry import Connections
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.listen import Listen
    from trio_mqtt.broker.settings import Settings
    from trio_mqtt.transport.listeners.streams import ByteStream

logger = logging.getLogger("trio_mqtt.broker")


@dataclass(slots=True, eq=False)
class Opened:
    """A listener: what was asked for, what listens there, and what holds for its clients."""

    asked: Listen
    listener: Listener
    settings: Settings

    def is_at(self, listen: Listen) -> bool:
        """Whether it is the one that is asked for, by its address; what is spoken may differ."""
        place = _place(listen.url)
        return place in (_place(self.asked.url), _place(self.listener.url))


def _place(url: str) -> tuple[str, int, str]:
    address = parse_url(url, listening=True)
    return address.host, address.port, address.path if address.scheme == "unix" else ""


@dataclass(slots=True, eq=False)
class Kept:
    """A listener that stays, and how it is to be from then on."""

    opened: Opened
    settings: Settings
    put_in_force: Callable[[], None]


@dataclass(slots=True, eq=False)
class Change:
    """Other listeners than there are: prepared, and put in force or given up as a whole."""

    kept: list[Kept]
    new: list[Opened]
    all: list[Opened]  # in the order in which they are named

    def give_up(self) -> None:
        """Nothing comes of it."""
        for opened in self.new:
            opened.listener.close()


class Listeners:
    """The listeners of one broker."""

    def __init__(self, core: Core, connections: Connections) -> None:
        self._core = core
        self.connections = connections
        self.open: list[Opened] = []
        # For the tasks that accept, once the broker runs.
        self._tasks: trio.Nursery | None = None
        self._is_closed = False

    def all(self) -> tuple[Listen, ...]:
        """What they are, with the ports that they got."""
        return tuple(replace(one.asked, url=one.listener.url) for one in self.open)

    def begin(self, tasks: trio.Nursery) -> None:
        """Accept clients, in tasks of this nursery."""
        self._tasks = tasks
        for one in self.open:
            self._accept(one, tasks)

    def close(self) -> None:
        """Listen nowhere any more, whatever is asked for."""
        self._tasks = None
        self._is_closed = True
        for one in self.open:
            one.listener.close()

    async def prepare(self, wanted: Sequence[Settings]) -> Change:
        """Open those that are new, and read anew what the others need. Nothing changes yet.

        `wanted` are the settings of each that there is to be. Raises what `open_listener` raises.
        """
        left = list(self.open)
        known: dict[Settings, Opened] = {}
        for settings in wanted:
            one = next((one for one in left if one.is_at(_listen(settings))), None)
            if one is not None:
                left.remove(one)
                known[settings] = one
        change = Change([], [], [])
        try:
            for settings in wanted:
                listen, one = _listen(settings), known.get(settings)
                if one is None:
                    one = Opened(listen, await _open(listen, left), settings)
                    change.new.append(one)
                else:
                    put_in_force = await one.listener.prepare(listen)
                    change.kept.append(Kept(one, settings, put_in_force))
                change.all.append(one)
        except BaseException:
            change.give_up()
            raise
        return change

    def put_in_force(self, change: Change, prepared: AccessInForce) -> list[Settings]:
        """Listen as was prepared, and nowhere else; the settings of those that are gone.

        `prepared` is the access that the broker's has become.
        """
        access = self._core.access
        for kept in change.kept:
            kept.put_in_force()
            now, to_be = kept.opened.settings, kept.settings
            now.become(to_be)
            if to_be.access is prepared:
                now.access = access
            elif now.access is access:
                now.access = to_be.access
            else:
                now.access.become(to_be.access)
            if now.listen is not None:
                kept.opened.asked = now.listen
        for opened in change.new:
            if opened.settings.access is prepared:
                opened.settings.access = access
        gone = [one for one in self.open if one not in change.all]
        self.open = change.all
        self._core.listeners = {one.listener.url: one.settings for one in self.open}
        for one in gone:
            one.listener.close()
            logger.info("No longer listening at %s", one.listener.url)
        if self._is_closed:
            change.give_up()
        elif self._tasks is not None:
            for one in change.new:
                self._accept(one, self._tasks)
        return [one.settings for one in gone]

    def _accept(self, one: Opened, tasks: trio.Nursery) -> None:
        def serve(stream: ByteStream) -> Awaitable[None]:
            return Connection(self._core, one.settings, self.connections, stream).run()

        tasks.start_soon(one.listener.serve, serve)
        logger.info("Listening at %s", one.listener.url)


def _listen(settings: Settings) -> Listen:
    """What is listened at by whom these settings are for."""
    if settings.listen is None:
        raise AssertionError("these are no listener's")
    return settings.listen


async def _open(listen: Listen, going: Sequence[Opened]) -> Listener:
    """Listen at a new address; those that are `going` listen still."""
    try:
        return await open_listener(listen)
    except ListenError as error:
        port = parse_url(listen.url, listening=True).port
        holder = next((one for one in going if _place(one.listener.url)[1] == port), None)
        if holder is None:
            raise
        raise ListenError(
            f"The broker itself listens at the port of {listen.url}, by {holder.listener.url}."
            " Another address at the same port needs a start."
        ) from error
