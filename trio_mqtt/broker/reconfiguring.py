"""Other settings for a broker that runs: prepared first, then put in force in one step, or not.

Who is connected is then held to them, in turns: who would not be let in now has to go.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.settings import LimitsInForce, Settings
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.access.in_force import AccessInForce
    from trio_mqtt.broker.access.security import Security
    from trio_mqtt.broker.connections.link import Link
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.listen import Listen
    from trio_mqtt.broker.listeners import Listeners
    from trio_mqtt.broker.looking_back import LookingBack
    from trio_mqtt.broker.options import BrokerOptions
    from trio_mqtt.history.settings import HistorySettings

logger = logging.getLogger("trio_mqtt.broker")


class Reconfiguring:
    """Gives one broker other settings, one change after the other."""

    def __init__(
        self, core: Core, listeners: Listeners, looking_back: LookingBack | None = None
    ) -> None:
        self._core = core
        self._looking_back = looking_back
        self._connections = listeners.connections
        self._listeners = listeners
        self._turn = trio.Lock()
        # Called when the broker has another access, before anybody else has a turn.
        self.access_changed: Callable[[], None] = lambda: None

    async def reconfigure(
        self,
        listens: Sequence[Listen] | None = None,
        *,
        limits: Limits | None = None,
        options: BrokerOptions | None = None,
        security: Security | None = None,
        history: HistorySettings | None = None,
        in_force: Callable[[], None] | None = None,
    ) -> None:
        """See `Broker.reconfigure`."""
        looking_back = self._looking_back
        if history is not None and (looking_back is None or not looking_back.has_place_of(history)):
            raise ConfigurationError(
                "Whether there is a history, and its file, hold from the start of a broker."
            )
        async with self._turn:
            access = self._core.access
            gone = await self._reconfigure(
                [one.asked for one in self._listeners.open] if listens is None else listens,
                self._core.settings.limits.plain() if limits is None else limits,
                self._core.settings.options if options is None else options,
                access.beside(access.security if security is None else security),
            )
            # Whoever gives up from here on gives up no more than to wait.
            checks = chain(self._check_clients(gone), self._check_sessions())
            checked = self._core.checks.add(checks)
            if history is not None and looking_back is not None:
                looking_back.keep_to(history)
            if in_force is not None:
                in_force()
        await checked.wait()

    async def change_dynamic(self, change: Callable[[], Awaitable[bool]]) -> trio.Event | None:
        """Do `change`, while nothing else changes the settings.

        Where it says that dynamic security has changed, who is connected is held to what is in
        force: what is returned tells when that is done.
        """
        async with self._turn:
            if not await change():
                return None
            return self._core.checks.add(chain(self._check_clients(()), self._check_sessions()))

    async def check_sessions(self) -> None:
        """Have sessions keep to what is in force."""
        await self._core.checks.add(self._check_sessions()).wait()

    async def _reconfigure(
        self,
        listens: Sequence[Listen],
        limits: Limits,
        options: BrokerOptions,
        access: AccessInForce,
    ) -> Sequence[Settings]:
        """Prepare these settings and put them in force; those of listeners that are gone."""
        await access.prepare()
        whole = Settings(LimitsInForce.of(limits), options, access)
        wanted = [whole.at(listen) for listen in listens]
        for listen, settings in zip(listens, wanted, strict=True):
            if settings.access is not access:
                await settings.access.prepare()
            settings.access.check_exposure(listen)
        change = await self._listeners.prepare(wanted)
        # From here on nothing fails, and nobody else has a turn before all of it is in force.
        core = self._core
        core.keep_to(whole)
        core.access.become(access)
        self.access_changed()
        return self._listeners.put_in_force(change, access)

    def _check_clients(self, gone: Sequence[Settings]) -> Iterator[None]:
        """End the connections that would not be there now, each in a step."""
        for link in self._connections.all():
            yield
            if not self._connections.has(link):
                continue  # it has gone while others were looked at
            try:
                if link.outlet.ended:
                    continue
                if link.settings in gone:
                    link.end(ReasonCode.ADMINISTRATIVE_ACTION, "this listener is no longer open")
                else:
                    self._check(link)
                    self._connections.count_anew(link)
            except Exception:
                link.failed()  # the others are to be looked at

    def _check(self, link: Link) -> None:
        """End a connection that would not be let in now; hold the others to the rules in force."""
        identity, session = link.identity, link.session
        if identity is None:
            return  # it is about to be found out
        no_longer = link.access.why_no_longer(identity, link.stream.origin)
        if no_longer is not None:
            link.no_longer_allowed(no_longer)
        elif session is not None and session.outlet is link.outlet:
            permissions, access = session.permissions, link.access
            if permissions is None or permissions.in_force is not access.rules:
                client = replace(identity.client, client_id=session.client_id)
                session.permissions = access.permissions(client, identity.rules)
            session.keep_to(link.options.queue_policy)

    def _check_sessions(self) -> Iterator[None]:
        """Have sessions keep to what is in force, and each subscription in a step.

        Subscriptions rest that are no longer allowed; messages are checked in any case. A session
        that cannot be held to what is in force ends.
        """
        core = self._core
        for session in core.sessions.all():
            yield
            try:
                permissions = session.permissions
                if permissions is not None:
                    rules = core.rules_at(permissions.client.listener)
                    if permissions.in_force is not rules:  # of one whose client is away
                        session.permissions = permissions.under(rules)
                if session.outlet is None:
                    session.keep_to(core.options.queue_policy)
                for subscription in session.subscriptions.values():
                    subscription.limits_changed()
                yield from core.subscriptions.check_each(session)
            except Exception:
                logger.exception(
                    "What %r may do could not be checked anew: its session ends", session.client_id
                )
                try:
                    core.sessions.fail(session)
                except Exception:  # the others are to be looked at
                    logger.exception("The session of %r did not end", session.client_id)
