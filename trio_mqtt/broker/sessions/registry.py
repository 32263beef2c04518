"""Who has which session: from CONNECT to the end of its expiry interval (MQTT 5.0 §4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.events.kinds import (
    NOT_CHECKED,
    ROOM_NEEDED,
    SESSION_EXPIRED,
    SessionEnded,
)
from trio_mqtt.broker.sessions.claims import ANOTHERS, Claim
from trio_mqtt.broker.sessions.delivery_state import kept_among, session_key
from trio_mqtt.broker.sessions.kept_rows import session_row, will_of
from trio_mqtt.broker.sessions.leaving import share_what_is_left
from trio_mqtt.broker.sessions.room import SessionRoom, holder_of
from trio_mqtt.broker.sessions.session import NEVER, Session
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.access.permissions import Permissions
    from trio_mqtt.broker.events.fan_out import EventStreams
    from trio_mqtt.broker.journal import Journal
    from trio_mqtt.broker.options import BrokerOptions, QueuePolicy
    from trio_mqtt.broker.routing.subscription_index import SubscriptionIndex
    from trio_mqtt.broker.sessions.claims import NoSession, SessionsElsewhere
    from trio_mqtt.broker.sessions.outlet import Outlet
    from trio_mqtt.broker.sessions.subscriptions import Subscriptions
    from trio_mqtt.broker.sessions.wills import Wills
    from trio_mqtt.broker.statistics import Statistics
    from trio_mqtt.broker.timers import Timers
    from trio_mqtt.storage.rows import SessionRow


class Sessions:
    """All sessions of a broker, by client identifier and mount point.

    In a cluster these are the sessions of clients that are connected here, and of no others.
    """

    def __init__(
        self,
        statistics: Statistics,
        timers: Timers,
        index: SubscriptionIndex,
        subscriptions: Subscriptions,
        wills: Wills,
        room: SessionRoom,
        journal: Journal | None,
        event_streams: EventStreams,
        options: BrokerOptions,
    ) -> None:
        self._statistics = statistics
        self._timers = timers
        self._index = index
        self._subscriptions = subscriptions
        self._wills = wills
        self._room = room
        self._journal = journal
        self._event_streams = event_streams
        self._options = options
        self._sessions: dict[str, Session] = {}
        # The broker ends, and with it all connections: what they leave stays with their sessions.
        self.closing = False
        # The other brokers that may have them, in a cluster.
        self.elsewhere: SessionsElsewhere | None = None

    def __len__(self) -> int:
        return len(self._sessions)

    def all(self) -> list[Session]:
        """The sessions that there are now."""
        return list(self._sessions.values())

    def outlet_of(self, client_id: str, mount_point: str = "") -> Outlet | None:
        """The way to a client, if it is connected."""
        session = self._sessions.get(session_key(client_id, mount_point))
        return None if session is None else session.outlet

    def has_waiting(self, client_id: str, mount_point: str) -> bool:
        """Whether messages wait for a client."""
        session = self._sessions.get(session_key(client_id, mount_point))
        return session is not None and session.queued_messages > 0

    # -- CONNECT --------------------------------------------------------------------------------

    def claim(
        self,
        client_id: str,
        mount_point: str,
        *,
        user: str | None,
        address: str,
        clean_start: bool,
        queue_policy: QueuePolicy,
    ) -> Claim | NoSession:
        """The session for a client that says CONNECT (§3.1.4); or why there is none, for CONNACK.

        `mount_point` is that of the listener by which it came. `user` is the one that the client
        has proved to be, if it has. `queue_policy` is what holds for its session from now on.
        Another connection may have the session still: see `Session.attach`.
        """
        key = session_key(client_id, mount_point)
        session = self._sessions.get(key)
        if session is not None and session.owner not in (None, user):
            return ANOTHERS
        holder = holder_of(user, address)
        problem = None
        if session is None or not session.is_connected:
            problem = self._room.too_many_connected(holder)
            self._statistics.connections_refused += problem is not None
        elif self._options.takeover_refused:
            return self.refuse_takeover()
        if session is None and problem is None:
            problem = self._make_room(holder)
            self._statistics.sessions_refused += problem is not None
        if problem is not None:
            return ReasonCode.QUOTA_EXCEEDED, problem
        replaces_kept = False
        if session is not None and (clean_start or session.expiry_interval == 0):
            # A session that ends with its connection ends when another takes its place.
            replaces_kept = session.journal is not None
            self._discard(session)
            session = None
        present = session is not None
        if session is None:
            session = self._begin(client_id, mount_point)
        self._give(session, user, holder, queue_policy)
        return Claim(session, present, replaces_kept)

    def _give(
        self, session: Session, user: str | None, holder: str, queue_policy: QueuePolicy
    ) -> None:
        """A client is to have a session."""
        session.keep_to(queue_policy)
        session.owner = user
        if session.holder != holder:
            self._room.enter(session, holder)
        self._room.present(session)

    def refuse_takeover(self) -> NoSession:
        """Why a client is refused whose session another connection has, where that one stays."""
        self._statistics.takeovers_refused += 1
        return ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, "this client identifier is connected"

    def arrive(
        self,
        client_id: str,
        mount_point: str,
        *,
        user: str | None,
        address: str,
        queue_policy: QueuePolicy,
    ) -> Session | NoSession:
        """The session of a client whose session was at no broker, or another; nothing is in it."""
        holder = holder_of(user, address)
        problem = self._room.too_many_connected(holder)
        self._statistics.connections_refused += problem is not None
        if problem is None:
            problem = self._make_room(holder)
            self._statistics.sessions_refused += problem is not None
        if problem is not None:
            return ReasonCode.QUOTA_EXCEEDED, problem
        session = self._begin(client_id, mount_point)
        self._give(session, user, holder, queue_policy)
        return session

    def no_room_beside(self, absent: int, held: int, holder: str) -> str | None:
        """Why there is no room for a new session where so many are kept elsewhere, `held` of them
        its holder's; None if there is.
        """
        return self._room.problem_beside(absent, held, holder)

    def depart(self, session: Session) -> None:
        """Let go of a session as it is: it goes on elsewhere, and is not known here any more."""
        if self._sessions.get(session.key) is not session:
            return
        del self._sessions[session.key]
        self._room.leave(session)
        self._statistics.sessions -= 1
        session.cancel_timer()
        session.order = None
        self._subscriptions.depart(session)

    def get(self, key: str) -> Session | None:
        """The session of this key, if there is one."""
        return self._sessions.get(key)

    def _begin(self, client_id: str, mount_point: str) -> Session:
        session = Session(client_id, mount_point)
        self._sessions[session.key] = session
        session.keep_to(self._options.queue_policy)
        self._statistics.sessions += 1
        return session

    def _make_room(self, holder: str) -> str | None:
        """Make room for a new session; why that cannot be, if it cannot."""
        going, problem = self._room.find(holder)
        for session in going:
            self._expire(session, ROOM_NEEDED)
        return problem

    def cannot_keep(self, client_id: str, mount_point: str, expiry_interval: int) -> bool:
        """Whether a session, or its end, would have to be kept, while the storage keeps nothing."""
        if self._journal is None or self._journal.failure is None:
            return False
        session = self._sessions.get(session_key(client_id, mount_point))
        return bool(expiry_interval) or (session is not None and session.journal is not None)

    def keep(self, session: Session) -> None:
        """Have the journal hear how a session is now, if it is to outlive the broker."""
        journal = self._journal
        if journal is None or self._sessions.get(session.key) is not session:
            return
        if session.journal is None:
            if not session.expiry_interval:
                return
            session.keep_in(journal)
        journal.session(session_row(session, journal.epoch))

    # -- the end of a connection and of a session -----------------------------------------------

    def release(self, outlet: Outlet, session: Session) -> None:
        """A connection's tasks have ended: its will is due, its session begins to expire."""
        if not session.detach(outlet):
            if session.outlet is None and not session.is_claimed:
                # It was to take over, and has gone before.
                if self.elsewhere is None:
                    self._room.absent(session)
                elif self._sessions.get(session.key) is session:
                    self.elsewhere.left(session, ended=False)
            return
        ended = self._sessions.get(session.key) is not session
        if self.elsewhere is not None and not ended and not session.is_claimed:
            self._leave(session, self.elsewhere)
            return
        will = session.will
        expiry = session.expiry_interval
        delay = 0 if will is None else will.properties.get("will_delay_interval", 0)
        if will is not None and (ended or expiry == 0 or delay == 0):
            self._wills.publish(session)
        if ended:
            return
        if expiry and not session.is_claimed and not self.closing:
            share_what_is_left(session, self._index)
        if expiry < NEVER:
            session.expires_at = trio.current_time() + expiry
        if expiry and not session.is_claimed:
            self._room.absent(session)
        if expiry == 0:
            self._discard(session)
            if self.elsewhere is not None:  # and who waited for it gets none
                self.elsewhere.left(session, ended=True)
            return
        if session.will is not None and delay < expiry:
            session.will_due_at = trio.current_time() + delay
            session.set_timer(
                self._timers.after(delay, lambda: self._will_due(session, expiry - delay))
            )
        elif expiry < NEVER:
            session.set_timer(self._timers.after(expiry, lambda: self._expire(session)))
        self.keep(session)

    def _leave(self, session: Session, elsewhere: SessionsElsewhere) -> None:
        """In a cluster, a session waits elsewhere for its client; there its will is due, too."""
        if session.expiry_interval:
            if not self.closing:
                elsewhere.share_what_is_left(session, ended=False)
            elsewhere.left(session, ended=False)
            return
        will, session.will = session.will, None
        self._discard(session)
        session.will = will
        elsewhere.left(session, ended=True)

    def _will_due(self, session: Session, expiry: float) -> None:
        """The will delay interval has passed without the client coming back (§3.1.3.2.2)."""
        self.publish_will(session)
        if session.expiry_interval < NEVER:
            session.set_timer(self._timers.after(expiry, lambda: self._expire(session)))

    def publish_will(self, session: Session) -> None:
        """Publish a session's will, if it has one; it is not published again by another broker."""
        if session.will is not None:
            self._wills.publish(session)
            self.keep(session)

    def publish_last_wills(self) -> None:
        """The broker ends, and wills with it; but one that waits goes on in the storage."""
        self.closing = True
        if self.elsewhere is not None:
            return  # they go with their sessions
        for session in self.all():
            will = session.will
            if will is not None and not (
                session.journal is not None and will.properties.get("will_delay_interval")
            ):
                self.publish_will(session)

    def _expire(self, session: Session, reason: str = SESSION_EXPIRED) -> None:
        """The session was not taken up again in time (§3.1.2.11.2)."""
        self._statistics.sessions_expired += 1
        self._end(session, reason)

    def end(self, session: Session, reason: str) -> None:
        """Somebody wants a session to end: its client is disconnected, and nothing waits for it.

        Its will is published, as where its time is over.
        """
        session.end(ReasonCode.ADMINISTRATIVE_ACTION, reason)
        if self._sessions.get(session.key) is session:
            self._end(session, reason)

    def fail(self, session: Session) -> None:
        """What a session may do is not known, for a defect: it ends, and its connection with it.

        It would go on by rules that hold no more. Its will is not published, by the same token.
        """
        if self._sessions.get(session.key) is session:
            session.will = None
            session.fail()
            self._end(session, NOT_CHECKED)

    def _end(self, session: Session, reason: str) -> None:
        if SessionEnded in self._event_streams.wanted:
            self._event_streams.tell(SessionEnded(session.client_id, reason))
        self._discard(session)
        if self.elsewhere is not None:
            self.elsewhere.left(session, ended=True)

    def _discard(self, session: Session) -> None:
        """The session ends: nothing of it is left but a connection that is being ended."""
        del self._sessions[session.key]
        self._room.leave(session)
        self._statistics.sessions -= 1
        for subscription in session.subscriptions.values():
            if subscription.shared_filter is not None:
                self._subscriptions.displace(subscription)
        if self.elsewhere is None:
            share_what_is_left(session, self._index, ended=True)
        else:
            self.elsewhere.share_what_is_left(session, ended=True)
        for topic_filter in list(session.subscriptions):
            self._subscriptions.remove(session, topic_filter, ends=True)
        # At once, so that it is kept with the end of the session; who loses it says nothing more.
        self._wills.publish(session)
        session.cancel_timer()
        session.order = None
        self._forget(session)
        session.disown()

    def _forget(self, session: Session) -> None:
        """Nothing of a session is kept any more."""
        journal = session.journal
        if journal is None:
            return
        session.journal = None
        sender = session.sender
        in_flight = [(packet_id, item) for packet_id, (_, item) in sender.in_flight.items()]
        journal.delivered(session.number, kept_among(in_flight))
        journal.completed(session.number, kept_among(sender.released.items()))
        journal.session_ended(session.number)

    def restore(
        self, row: SessionRow, journal: Journal, permissions: Permissions | None
    ) -> Session:
        """A session that has outlived an earlier broker.

        `permissions` are those of its client, as far as its will needs them.
        """
        owner = row.owner
        client_id, _, mount_point = row.client_id.partition("\0")
        session = self._begin(client_id, mount_point)
        session.journal, session.number = journal, row.number
        session.owner = owner
        session.permissions = permissions
        # Where its client was is not known any more.
        self._room.enter(session, holder_of(owner, "elsewhere"))
        self._room.absent(session)
        session.expiry_interval = row.expiry_interval
        now = trio.current_time()
        left = float(row.expiry_interval)  # for who was connected: that has ended just now
        if row.expires_at is not None:
            # Not more than it ever had, where the time of day is an earlier one than it was.
            left = min(left, max(0.0, row.expires_at - journal.epoch - now))
        if row.expiry_interval < NEVER:
            session.expires_at = now + left
        session.will = None if row.will is None else will_of(row.will)
        if session.will is not None:
            delay = float(session.will.properties.get("will_delay_interval", 0))
            if row.will_due_at is not None:
                delay = min(delay, max(0.0, row.will_due_at - journal.epoch - now))
            if delay < left:
                session.will_due_at = now + delay
                session.set_timer(
                    self._timers.after(delay, lambda: self._will_due(session, left - delay))
                )
        if session.will_due_at is None and row.expiry_interval < NEVER:
            session.set_timer(self._timers.after(left, lambda: self._expire(session)))
        has_begun = row.expires_at is not None or row.will_due_at is not None
        if not has_begun and (session.expires_at, session.will_due_at) != (None, None):
            self.keep(session)  # its time goes on from now, however many brokers end meanwhile
        return session
