"""How a broker fares now, in figures that nobody keeps: they are counted when somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import trio

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.elsewhere import ClusterView

_AT_ONCE = 1_000  # sessions, a turn of less than a millisecond


class Readings(NamedTuple):
    """How a broker fares at a moment."""

    connections: int = 0
    """Connections that there are, also of clients that are not accepted yet."""
    queued_messages: int = 0
    """Messages that wait in the queues of all sessions."""
    in_flight: int = 0
    """Messages of QoS 1 and 2 that were sent and not acknowledged."""
    retained: int = 0
    """Retained messages."""
    retained_bytes: int = 0
    """Bytes of them, with their topics."""
    has_storage: bool = False
    """Whether there is a storage."""
    storage_failure: str | None = None
    """Why the storage keeps nothing now; None while it does."""
    is_closing: bool = False
    """Whether the broker ends, and takes no more clients."""
    is_overloaded: bool = False
    """Whether it does not keep up, or has no memory left: new clients are turned away."""
    is_listening: bool = True
    """Whether all its listeners are open."""
    is_draining: bool = False
    """Whether it gives up its clients, or has, and takes no more (`Broker.drain`)."""
    cluster: ClusterView | None = None
    """The cluster that it belongs to, as it looks from here."""

    @property
    def problems(self) -> list[str]:
        """Why it is not ready to serve clients, each in a sentence; none if it is."""
        found = []
        if self.is_closing:
            found.append("The broker is shutting down.")
        elif self.is_draining:
            found.append("The broker is drained: it takes no more clients.")
        elif not self.is_listening:
            found.append("The broker does not listen any more.")
        if self.is_overloaded:
            found.append("The broker does not keep up, or has no memory left.")
        if self.storage_failure is not None:
            found.append(f"The storage keeps nothing: {self.storage_failure}")
        return found


async def readings_of(core: Core, connections: int, *, is_listening: bool) -> Readings:
    """How a broker of these parts fares. Sessions are counted in turns: others have theirs."""
    queued = in_flight = 0
    for number, session in enumerate(core.sessions.all(), 1):
        queued += session.queued_messages
        in_flight += len(session.sender.in_flight)
        if not number % _AT_ONCE:
            await trio.lowlevel.checkpoint()
    journal = core.journal
    failure = None if journal is None else journal.failure
    return Readings(
        connections,
        queued,
        in_flight,
        len(core.retained),
        core.retained.bytes,
        journal is not None,
        None if failure is None else str(failure),
        core.sessions.closing,
        core.load.reason is not None,
        is_listening,
        core.successors.is_draining,
        None if core.elsewhere is None else core.elsewhere.view(),
    )
