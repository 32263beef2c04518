"""Wills of clients that were connected elsewhere (MQTT 5.0 §3.1.2.5), as the engine keeps them."""

from __future__ import annotations

import logging
from hashlib import blake2b
from typing import TYPE_CHECKING

from trio_mqtt.broker.restored import permissions_of
from trio_mqtt.broker.sessions.kept_rows import will_of
from trio_mqtt.broker.sessions.session import Session
from trio_mqtt.cluster.logs import Publisher

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.core import Core
    from trio_mqtt.cluster.kept_session import KeptSession

logger = logging.getLogger("trio_mqtt.cluster")


class KeptWills:
    """Publishes them."""

    def __init__(self, core: Core, journal: ClusterJournal, node: str) -> None:
        self._core = core
        self._journal = journal
        self.node = node

    def is_due(self, kept: KeptSession, now: int, *, ended: bool) -> bool:
        """Whether a will is to be published, for a session that has `ended` or goes on."""
        if kept.will is None or kept.node == self.node:
            return False  # what this node has begun and not ended never was accepted
        if kept.node is None:
            return ended or (kept.will_due is not None and kept.will_due <= now)
        # That node is dead, and its client's connection with it.
        will = will_of(kept.will)
        return ended or (will is not None and "will_delay_interval" not in will.properties)

    async def publish(self, kept: KeptSession, epoch: bytes) -> None:
        """Publish the will of a session that this node has under an epoch; returns once all who are
        to have it are promised it.

        It is in a log once, though a node that had the session for that before was cut off, or died
        before it could say that it is done.
        """
        session = self._author(kept)
        if session is None:
            return
        changes = self._journal.count
        self._journal.author = _publisher(kept, epoch)
        try:
            self._core.wills.publish(session)
        finally:
            self._journal.author = None
        if self._journal.count != changes:
            await self._journal.until_kept()

    def _author(self, kept: KeptSession) -> Session | None:
        """A session that is nothing but the will's author; None where the will is damaged."""
        client_id, _, mount_point = kept.key.partition("\0")
        session = Session(client_id, mount_point)
        session.will = None if kept.will is None else will_of(kept.will)
        try:
            session.permissions = permissions_of(self._core, kept.author)
        except (ValueError, TypeError):
            logger.warning("Whose the will of %r is is damaged: it is not published.", client_id)
            return None
        return None if session.will is None else session


def _publisher(kept: KeptSession, epoch: bytes) -> Publisher | None:
    """How logs know the will of a session; None where that was never said."""
    if kept.will_of is None or kept.will is None:
        return None
    digest = blake2b(kept.will, digest_size=9).hexdigest()
    names = [f"{kept.will_of}:{digest}"]
    return Publisher(f"{kept.key}\0will", int(epoch), names, is_known=True, kept=kept.will_of - 1)
