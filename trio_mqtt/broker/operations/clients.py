"""Clients: who is connected or away, and having one disconnected."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from trio_mqtt.broker.operations.finding import link_of, session_of, time_of_day
from trio_mqtt.broker.operations.forms.clients import (
    ClientName,
    ClientPage,
    ClientQuery,
    ClientView,
    Disconnect,
    Rates,
    WillView,
)
from trio_mqtt.broker.operations.forms.messages import Done
from trio_mqtt.broker.operations.turns import chosen, made, ordered
from trio_mqtt.broker.options import check_reference
from trio_mqtt.broker.sessions.session import NEVER
from trio_mqtt.errors import NotFoundError
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.transport.peers import host_of

if TYPE_CHECKING:
    from trio_mqtt.broker.connections.link import Link
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.sessions.session import Session

_METERED = 60.0  # seconds for which it is counted what a client does that somebody looks at


class Clients:
    """The clients of one broker."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def clients(self, asked: ClientQuery) -> ClientPage:
        found = await chosen(self._core.sessions.all(), self._wanted(asked))
        some = await ordered(found, _ORDERS[asked.sort], asked, descending=asked.descending)
        view = partial(self._view, rates=asked.rates)
        return ClientPage(items=await made(some, view), total=len(found))

    async def client(self, asked: ClientName) -> ClientView:
        await trio.lowlevel.checkpoint()
        return self._view(session_of(self._core, asked), rates=True)

    async def disconnect(self, asked: Disconnect) -> Done:
        await trio.lowlevel.checkpoint()
        properties = NO_PROPERTIES
        if asked.server_reference is not None:
            check_reference(asked.server_reference)
            properties = Properties(server_reference=asked.server_reference)
        link = link_of(session_of(self._core, asked))
        if link is None:
            raise NotFoundError(f"The client {asked.client_id!r} is not connected.")
        link.end(ReasonCode(asked.reason_code), asked.reason, properties)
        return Done(client_id=asked.client_id)

    def _wanted(self, asked: ClientQuery) -> Callable[[Session], bool]:
        search, limits = asked.search.casefold(), self._core.limits

        def is_wanted(session: Session) -> bool:
            link = link_of(session)
            if asked.connected is not None and asked.connected is not (link is not None):
                return False
            username = session.owner if link is None else link.username
            peer = "" if link is None else link.stream.peer
            if search and not (
                search in session.client_id.casefold()
                or search in (username or "").casefold()
                or search in peer
            ):
                return False
            return (
                (asked.username is None or username == asked.username)
                and (asked.address is None or host_of(peer) == asked.address)
                and (asked.listener is None or _listener(link) == asked.listener)
                and (
                    not asked.slow
                    or session.dropped > 0
                    or session.queued_messages * 2 > limits.maximum_queued_messages
                    or session.queued_bytes * 2 > limits.maximum_queued_bytes
                )
            )

        return is_wanted

    def _view(self, session: Session, *, rates: bool) -> ClientView:
        link = link_of(session)
        ends, interval = session.expires_at, session.expiry_interval
        since = None if ends is None or interval == NEVER else time_of_day(ends - interval)
        return ClientView(
            client_id=session.client_id,
            mount_point=session.mount_point,
            connected=link is not None,
            username=session.owner if link is None else link.username,
            address=None if link is None else link.stream.peer,
            listener=None if link is None else _listener(link),
            protocol=_protocol(link),
            since=since if link is None else time_of_day(_accepted_at(link)),
            keep_alive=None if link is None or link.service is None else link.service.keep_alive,
            expiry_interval=interval,
            expires_at=None if ends is None else time_of_day(ends),
            will=_will(session),
            subscriptions=len(session.subscriptions),
            queued_messages=session.queued_messages,
            queued_bytes=session.queued_bytes,
            in_flight=len(session.sender.in_flight),
            dropped=session.dropped,
            rates=_rates(link) if rates and link is not None else None,
        )


def _protocol(link: Link | None) -> str | None:
    version = None if link is None else link.protocol.version
    return None if version is None else version.text


def _listener(link: Link | None) -> str | None:
    listen = None if link is None else link.stream.origin.listener
    return None if listen is None else listen.url


def _will(session: Session) -> WillView | None:
    will = session.will
    if will is None:
        return None
    return WillView(
        topic=will.topic,
        size=len(will.payload),
        qos=will.qos,
        retain=will.retain,
        delay=float(will.properties.get("will_delay_interval", 0)),
    )


def _rates(link: Link) -> Rates | None:
    """The rates since somebody has asked for them before; from now on they are counted anew."""
    observation = link.meter(_METERED)
    seconds = trio.current_time() - observation.since
    if seconds <= 0:
        return None
    rates = Rates(
        seconds=seconds,
        messages_in=observation.messages_received / seconds,
        messages_out=observation.messages_sent / seconds,
        bytes_in=observation.bytes_received / seconds,
        bytes_out=observation.bytes_sent / seconds,
    )
    observation.begin_anew(trio.current_time())
    return rates


def _accepted_at(link: Link) -> float:
    return link.last_received if link.service is None else link.service.since


def _since(session: Session) -> float:
    link = link_of(session)
    if link is not None:
        return _accepted_at(link)
    return (session.expires_at or 0.0) - session.expiry_interval


def _username(session: Session) -> str:
    link = link_of(session)
    return (session.owner if link is None else link.username) or ""


_ORDERS: dict[str, Callable[[Session], Any]] = {
    "client_id": lambda session: session.key,
    "username": _username,
    "since": _since,
    "queued_messages": lambda session: session.queued_messages,
    "in_flight": lambda session: len(session.sender),
    "dropped": lambda session: session.dropped,
    "subscriptions": lambda session: len(session.subscriptions),
}
