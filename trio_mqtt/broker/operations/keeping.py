"""Whoever has something changed is told so once it is kept, where there is a storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.sessions.session import Session


def changes_of(core: Core) -> int:
    """How many changes there were that must outlive the broker."""
    return 0 if core.journal is None else core.journal.count


async def until_kept(core: Core, since: int) -> None:
    """Wait until what has changed `since` so many is kept. Raises StoreError."""
    journal = core.journal
    if journal is not None and journal.count != since:
        await journal.until_kept()


async def until_known(core: Core, session: Session) -> None:
    """Wait until all brokers of a cluster know what a session was given."""
    known = None if core.elsewhere is None else core.elsewhere.known(session)
    if known is not None:
        await known.wait()
