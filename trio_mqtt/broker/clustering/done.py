"""Up to where sessions need their logs no more, as the engine says it: told to the logs later."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_mqtt.cluster.positions import EntryId


class Done:
    """What logs may let go of, for all that sessions of this node need of them."""

    def __init__(self) -> None:
        self._done: dict[str, dict[str, EntryId]] = {}

    def add(self, topic_filter: str, key: str, entry: EntryId) -> None:
        """A session is done with a log up to an entry, and the engine says so."""
        of_log = self._done.setdefault(topic_filter, {})
        of_log[key] = max(entry, of_log.get(key, entry))

    def take(self) -> dict[str, dict[str, EntryId]]:
        """What has been added since this was asked, by filter and session's key."""
        done, self._done = self._done, {}
        return done
