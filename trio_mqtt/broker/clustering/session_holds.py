"""Which sessions this node has: how they stand in the engine, and what is said there of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.broker.access.authorship import Authorship
from trio_mqtt.broker.sessions.kept_rows import session_row, will_bytes
from trio_mqtt.cluster.claim_answers import Begin

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_mqtt.broker.journal import Journal
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.cluster.session_store import SessionStore


class Hold:
    """A session that this node has under an epoch, and what the engine was told of it.

    `has_begun` says that the engine was told, `is_new` that there was none before. `is_lost` says
    that another node has taken it: nothing is written of it any more. `will_of` tells the will of
    its connection from those that were published here under the same epoch; `known_will_of` is
    what the engine has.
    """

    __slots__ = ("begin", "epoch", "former", "has_begun", "is_lost", "is_new", "known_will_of",
                 "number", "will_of")  # fmt: skip

    def __init__(self, epoch: bytes, begin: Begin, *, has_begun: bool) -> None:
        self.epoch = epoch
        self.begin = begin
        self.has_begun = has_begun
        self.is_new = False
        # By which number the journal keeps it, if it does; and those of the sessions of its key
        # that another has replaced, each with the group of the journal that has its end.
        self.number = 0
        self.former: list[tuple[int, int]] = []
        self.is_lost = False
        self.will_of = self.known_will_of = int(epoch)


class Holds:
    """The sessions that this node has, by key."""

    def __init__(
        self, journal: Journal, store: SessionStore, came: Callable[[Session], None]
    ) -> None:
        """`came` is told of each session that is kept from now on, under its number."""
        self._journal = journal
        self._store = store
        self._came = came
        self._holds: dict[str, Hold] = {}
        self._keys: dict[int, str] = {}  # by the number of a session in the journal

    def __len__(self) -> int:
        return len(self._holds)

    def all(self) -> list[tuple[str, Hold]]:
        """The sessions that this node has now."""
        return list(self._holds.items())

    def get(self, key: str) -> Hold | None:
        """How this node has a session, if it does."""
        return self._holds.get(key)

    def has(self, key: str) -> bool:
        """Whether this node has a session, and no other."""
        hold = self._holds.get(key)
        return hold is not None and not hold.is_lost

    def is_lost(self, key: str) -> bool:
        """Whether another node has a session by now that is here still."""
        hold = self._holds.get(key)
        return hold is not None and hold.is_lost

    def key_of(self, number: int) -> str | None:
        """The key of a session that has this number in the journal."""
        return self._keys.get(number)

    def add(self, key: str, epoch: bytes, begin: Begin, *, has_begun: bool) -> Hold:
        """The node has a session; if it has begun, the engine knows what CONNECT says of it."""
        before = self._holds.get(key)
        if before is not None:  # under a lease that was lost
            self.forget(before)
        hold = self._holds[key] = Hold(epoch, begin, has_begun=has_begun)
        return hold

    def keep(self, session: Session) -> None:
        """The journal keeps a session that this node has."""
        hold = self._holds.get(session.key)
        if hold is None or hold.number == session.number:
            return
        journal = self._journal
        for number, group in hold.former:
            if group <= journal.kept:
                self._forget(number)
        hold.former = [one for one in hold.former if one[1] > journal.kept]
        if hold.number:
            hold.former.append((hold.number, journal.group))
        hold.number = session.number
        self._keys[session.number] = session.key
        self._store.owns(session.number, session.key, hold.epoch, hold.will_of)
        self._came(session)

    def remove(self, key: str) -> Hold | None:
        """The node gives a session up."""
        return self._holds.pop(key, None)

    def forget(self, hold: Hold) -> None:
        """Nothing of a session is on its way to the engine any more."""
        for number, _ in (*hold.former, (hold.number, 0)):
            self._forget(number)

    def _forget(self, number: int) -> None:
        self._keys.pop(number, None)
        self._store.disowns(number)

    def begun(self, session: Session) -> None:
        """What CONNECT says holds: the engine hears of it where it does not know."""
        hold = self._holds.get(session.key)
        if hold is None:
            return
        begin = begin_of(session)
        is_known = begin == hold.begin
        if begin.will is not None and hold.will_of != hold.known_will_of:
            is_known = False  # the engine has that of an earlier connection, which is published
        if session.journal is None:
            if session.expiry_interval:
                session.keep_in(self._journal)
            elif not is_known:
                session.number = self._journal.new_session()
        if session.number:
            self.keep(session)
        if not is_known:
            hold.begin, hold.known_will_of = begin, hold.will_of
            self._store.owns(session.number, session.key, hold.epoch, hold.will_of)
            self._journal.session(session_row(session, self._journal.epoch))


def begin_of(session: Session) -> Begin:
    """What the engine is to know of a session while its client is connected."""
    will, permissions = session.will, session.permissions
    author = None
    if will is not None and permissions is not None:
        author = Authorship.of(permissions).text
    return Begin(
        session.owner,
        session.expiry_interval,
        None if will is None else will_bytes(will),
        author,
    )
