"""Retained messages that nobody seems to look after any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.broker.operations.finding import link_of
from trio_mqtt.broker.sessions.delivery_state import session_key

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.operations.forms.retained import Orphaned
    from trio_mqtt.broker.routing.retained import Retained


class Orphans:
    """Who has left which retained messages, and whether it has come again."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def author_of(self, kept: Retained) -> str | None:
        """The client that has published it; None where nobody knows."""
        if kept.author is not None:
            return kept.author.client.client_id
        return None if kept.client_key is None else kept.client_key.partition("\0")[0]

    def state_of(self, kept: Retained) -> Orphaned:
        """Whether its author has not said it again since it was seen last, and how that was."""
        core, key = self._core, self._key_of(kept)
        if key is None:
            return ""
        session = core.sessions.get(key)
        if session is None:
            # In a cluster it may be at another node.
            return "gone" if core.elsewhere is None else ""
        link = link_of(session)
        if link is None:
            return "gone"
        return "silent" if link.service is not None and kept.stored_at < link.service.since else ""

    def _key_of(self, kept: Retained) -> str | None:
        """The session of its author."""
        if kept.client_key is not None or kept.author is None:
            return kept.client_key
        # It was restored, with what rules know of its author.
        client = kept.author.client
        settings = self._core.listeners.get(client.listener)
        return session_key(client.client_id, "" if settings is None else settings.mount_point)
