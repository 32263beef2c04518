"""Finding a client: its session, and its connection if it has one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.connections.link import Link
from trio_mqtt.broker.sessions.delivery_state import session_key
from trio_mqtt.errors import NotFoundError

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.operations.forms.clients import ClientName
    from trio_mqtt.broker.sessions.session import Session


def session_of(core: Core, name: ClientName) -> Session:
    """The session of a client. Raises NotFoundError where there is none."""
    session = core.sessions.get(session_key(name.client_id, name.mount_point))
    if session is None:
        raise NotFoundError(f"This broker knows no client {name.client_id!r}.")
    return session


def link_of(session: Session) -> Link | None:
    """The connection of a client, if it is connected."""
    outlet = session.outlet
    if outlet is None or outlet.ended or not isinstance(outlet.owner, Link):
        return None
    return outlet.owner


def time_of_day(at: float) -> float:
    """A time on the broker's clock in seconds since 1970."""
    return at + time.time() - trio.current_time()
