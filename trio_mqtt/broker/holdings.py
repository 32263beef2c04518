"""What a broker holds that outlives connections, in figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core


class Holdings(NamedTuple):
    """How much a broker holds that outlives connections, and with a storage the broker too.

    `sessions` are those that outlive their connection. `messages` are those on their way to a
    session, once for each: waiting, or sent and not acknowledged. `retained` are the retained
    messages.
    """

    sessions: int = 0
    messages: int = 0
    retained: int = 0


def holdings_of(core: Core) -> Holdings:
    """What a broker of these parts holds now."""
    sessions = [session for session in core.sessions.all() if session.expiry_interval]
    messages = sum(session.queued_messages + len(session.sender.in_flight) for session in sessions)
    return Holdings(len(sessions), messages, len(core.retained))
