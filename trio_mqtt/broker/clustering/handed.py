"""What is being handed to sessions out of one entry of a shared log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.cluster.given import mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_mqtt.broker.clustering.tracker import Tracker
    from trio_mqtt.cluster.logs import Entry
    from trio_mqtt.protocol.packets import Publish


class Handed:
    """Who has which messages of an entry: of those that are to keep them, the keys and places.

    `messages` are all of the entry, in their order; `node` has taken it.
    """

    def __init__(
        self, shared_filter: str, entry: Entry, messages: Sequence[Publish], node: str
    ) -> None:
        self.shared_filter = shared_filter
        self.node = node
        self.entry = entry
        self.mark = mark(shared_filter, entry.entry)
        self.sessions: dict[int, tuple[str, list[int]]] = {}
        """By number."""
        self._messages = messages  # they live while they are told apart by what they are
        self._places = {id(message): at for at, message in enumerate(messages)}

    def take(self, tracker: Tracker, messages: Sequence[Publish]) -> None:
        """A session is to keep messages; what hooks have put in their place is not looked for."""
        session = tracker.session
        _, indexes = self.sessions.setdefault(session.number, (session.key, []))
        places = self._places
        indexes += [places[id(one)] for one in messages if id(one) in places]
