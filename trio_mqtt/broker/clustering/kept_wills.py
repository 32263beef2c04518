"""Wills as the engine keeps them (MQTT 5.0 §3.1.2.5): of clients that were connected elsewhere, and
what tells them from others where they are published.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING

from trio_mqtt.broker.restored import permissions_of
from trio_mqtt.broker.sessions.kept_rows import will_bytes, will_of
from trio_mqtt.broker.sessions.session import Session
from trio_mqtt.cluster.logs import Publisher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.clustering.session_holds import Holds
    from trio_mqtt.broker.core import Core
    from trio_mqtt.cluster.kept_session import KeptSession
    from trio_mqtt.protocol.packets import Will

logger = logging.getLogger("trio_mqtt.cluster")


class KeptWills:
    """Publishes them."""

    def __init__(self, core: Core, journal: ClusterJournal, node: str, holds: Holds) -> None:
        self._core = core
        self._journal = journal
        self._holds = holds
        self.node = node
        self._is_publishing = False  # one of a client that was connected elsewhere
        core.wills.known = self._known

    @contextmanager
    def _known(self, session: Session, will: Will) -> Iterator[None]:
        """Within this, what is logged is the will of a client here.

        If this node dies before it has said that, another publishes it again: logs have it once.
        """
        hold = self._holds.get(session.key)
        if self._is_publishing or hold is None:
            yield
            return
        self._journal.author = _known_as(session.key, hold.epoch, hold.will_of, will_bytes(will))
        hold.will_of += 1  # the next connection's is another one, though it is like this
        try:
            yield
        finally:
            self._journal.author = None

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
        self._is_publishing = True
        try:
            self._core.wills.publish(session)
        finally:
            self._journal.author = None
            self._is_publishing = False
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
    return _known_as(kept.key, epoch, kept.will_of, kept.will)


def _known_as(key: str, epoch: bytes, connection: int, will: bytes) -> Publisher:
    digest = blake2b(will, digest_size=9).hexdigest()
    names = [f"{connection}:{digest}"]
    return Publisher(f"{key}\0will", int(epoch), names, is_known=True, kept=connection - 1)
