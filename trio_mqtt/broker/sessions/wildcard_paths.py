"""The places of wildcards in the filters of all sessions: whose they are, and who may have more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.broker.routing.filters import FilterPaths

if TYPE_CHECKING:
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.routing.filters import TopicFilter
    from trio_mqtt.broker.sessions.session import Session


class WildcardPaths:
    """Counts the places of each session, of each holder of sessions, and of one broker."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._all = FilterPaths()
        self._held: dict[str, FilterPaths] = {}  # by holder, of those who have any

    def __len__(self) -> int:
        return len(self._all)

    def add(self, session: Session, topic_filter: TopicFilter) -> None:
        """A session has another filter."""
        begun = session.paths.add(topic_filter.places)
        if begun:
            self._all.add(begun)
            self._add_held(session.holder, begun)

    def discard(self, session: Session, topic_filter: TopicFilter) -> None:
        """A session has a filter no more."""
        ended = session.paths.discard(topic_filter.places)
        if ended:
            self._all.discard(ended)
            self._discard_held(session.holder, ended)

    def enter(self, session: Session) -> None:
        """A session has its holder from now on: what it has counts as the holder's."""
        if len(session.paths):
            self._add_held(session.holder, list(session.paths))

    def leave(self, session: Session) -> None:
        """A session is about to have its holder no more."""
        if len(session.paths):
            self._discard_held(session.holder, list(session.paths))

    def problem(self, session: Session, topic_filter: TopicFilter, limits: Limits) -> str | None:
        """Why a session may not have another filter, in words; None if it may.

        `limits` are those of the listener by which its client has come.
        """
        places = topic_filter.places
        if not places:
            return None
        if session.paths.more_with(places) > limits.maximum_wildcard_paths_per_session:
            whose = "this client has"
        elif self._held_with(session.holder, places) > self._limits.maximum_wildcard_paths_per_user:
            whose = "its user or address has"
        elif self._all.more_with(places) > self._limits.maximum_wildcard_paths:
            whose = "this broker has"
        else:
            return None
        return f"{whose} wildcards in too many different places of its filters"

    def _held_with(self, holder: str | None, places: list[str]) -> int:
        held = None if holder is None else self._held.get(holder)
        return len(places) if held is None else held.more_with(places)

    def _add_held(self, holder: str | None, places: list[str]) -> None:
        if holder is not None:
            self._held.setdefault(holder, FilterPaths()).add(places)

    def _discard_held(self, holder: str | None, places: list[str]) -> None:
        if holder is not None:
            held = self._held[holder]
            held.discard(places)
            if not len(held):
                del self._held[holder]
