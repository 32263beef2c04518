"""Room for sessions: who holds how many, and whose goes first where there is none left."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from trio_mqtt.broker.sessions.will_room import size_of_will
from trio_mqtt.broker.sources import source_of

if TYPE_CHECKING:
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.options import BrokerOptions
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.broker.sessions.wildcard_paths import WildcardPaths
    from trio_mqtt.broker.sessions.will_room import WillRoom


def holder_of(user: str | None, peer: str) -> str:
    """Whose a session counts as: its user's or, where nobody has proved a name, its address's."""
    return _address(source_of(peer)) if user is None else f"user {user}"


# One text for all sessions of an address: each of them keeps it.
@lru_cache(maxsize=1_024)
def _address(source: str) -> str:
    return f"address {source}"


class SessionRoom:
    """Counts the sessions of a broker by who holds them, and knows which client is away longest."""

    def __init__(
        self, limits: Limits, options: BrokerOptions, paths: WildcardPaths, wills: WillRoom
    ) -> None:
        self._limits = limits
        self._paths = paths
        self._wills = wills
        self._options = options
        self._count = 0
        self._held: Counter[str] = Counter()
        # Those without a connection, who is away longest first: all, and those of each holder.
        self._absent: dict[Session, None] = {}
        self._absent_of: dict[str, dict[Session, None]] = {}

    def enter(self, session: Session, holder: str) -> None:
        """A session begins, or goes on with another holder."""
        self.leave(session)
        session.holder = holder
        self._count += 1
        self._held[holder] += 1
        self._paths.enter(session)
        session.will_room = self._wills
        self._wills.add(holder, size_of_will(session.will))

    def leave(self, session: Session) -> None:
        """A session ends; nothing happens where it is not counted."""
        holder = session.holder
        if holder is None:
            return
        self.present(session)
        self._paths.leave(session)
        self._wills.add(holder, -size_of_will(session.will))
        session.holder = session.will_room = None
        self._count -= 1
        self._held[holder] -= 1
        if not self._held[holder]:
            del self._held[holder]

    def absent(self, session: Session) -> None:
        """A session is kept, and its client has gone."""
        if session.holder is not None:
            self._absent[session] = None
            self._absent_of.setdefault(session.holder, {})[session] = None

    def present(self, session: Session) -> None:
        """A session's client is back."""
        if session.holder is not None and session in self._absent:
            del self._absent[session]
            of_holder = self._absent_of[session.holder]
            del of_holder[session]
            if not of_holder:
                del self._absent_of[session.holder]

    def too_many_connected(self, holder: str) -> str | None:
        """Why another client of a holder cannot be connected, in words; None if it can."""
        most = self._limits.maximum_connections_per_user
        connected = self._held[holder] - len(self._absent_of.get(holder, ()))
        if connected < most or not _is_user(holder):
            return None
        return f"its user has {most} connections, as many as one may have"

    def problem_beside(self, absent: int, held: int, holder: str) -> str | None:
        """Why a holder cannot have a new session where so many are kept elsewhere, `held` of them
        its own; None if it can.
        """
        most = self._limits.maximum_sessions_per_user
        if self._held[holder] + held >= most:
            return f"{_whose(holder)} has {most} sessions, as many as one may have"
        if self._count + absent >= self._limits.maximum_sessions:
            return "this cluster keeps no more sessions"
        return None

    def find(self, holder: str) -> tuple[list[Session], str | None]:
        """What a new session of a holder takes: the sessions that go for it, or why it cannot be.

        A holder that has as many as it may have makes room itself.
        """
        own, most = self._held[holder], self._limits.maximum_sessions_per_user
        makes_room = self._options.oldest_absent_session_ends
        if own >= most:
            # More than one where the bound was another when they were stored.
            going = list(self._absent_of.get(holder, ()))[: (own - most + 1) * makes_room]
            if own - len(going) >= most:
                return [], f"{_whose(holder)} has {most} sessions, as many as one may have"
        else:
            going = []
        missing = self._count - len(going) - self._limits.maximum_sessions + 1
        if missing > 0:
            if not makes_room or len(self._absent) - len(going) < missing:
                return [], "this broker keeps no more sessions"
            for session in self._absent:
                if session not in going:
                    going.append(session)
                    missing -= 1
                if not missing:
                    break
        return going, None


def _whose(holder: str) -> str:
    return "its user" if _is_user(holder) else "its address"


def _is_user(holder: str) -> bool:
    return holder.startswith("user ")
