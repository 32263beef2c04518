"""A client wants its session: what it gets, and who else may have it, in a cluster of brokers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.records import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_mqtt.broker.options import QueuePolicy
    from trio_mqtt.broker.sessions.outlet import Outlet
    from trio_mqtt.broker.sessions.session import Session

NoSession: TypeAlias = tuple[ReasonCode, str]
"""Why a client gets no session, for CONNACK."""

ANOTHERS: NoSession = (
    ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
    "this client identifier is another user's",
)


class Claim(NamedTuple):
    """A session, and whether it was there before (§3.2.2.1.1).

    `replaces_kept`: another one has ended for it that outlived the broker.
    """

    session: Session
    present: bool
    replaces_kept: bool


@record
class Asking:
    """A client that has said CONNECT, and is let in: what its session is to be.

    `is_new` says that its identifier was made for it: nobody has had that before. `user` is the one
    that it has proved to be, if it has. `will` is encoded; `author` says who says it, where rules
    ask again. `outlet` is the way to it.
    """

    client_id: str
    is_new: bool
    mount_point: str
    user: str | None
    address: str
    clean_start: bool
    queue_policy: QueuePolicy
    expiry_interval: int
    will: bytes | None
    author: str | None
    outlet: Outlet


class SessionsElsewhere(Protocol):
    """The brokers of a cluster share their sessions: one at a time has each."""

    async def claim(self, asking: Asking) -> Claim | NoSession | None:
        """The session for a client, wherever it was.

        None if the connection was ended meanwhile. A connection that has the session, at this
        broker or another, is told that it was taken over (MQTT 5.0 §3.1.4).
        """

    def begun(self, session: Session) -> None:
        """CONNECT is accepted: what it says of the session holds, and outlives this broker."""

    def share_what_is_left(self, session: Session, *, ended: bool) -> None:
        """No connection has a session any more, or it has `ended`: what waits for a member of
        shared subscriptions is for others, where no other broker has the session already.
        """

    def left(self, session: Session, *, ended: bool) -> None:
        """No connection has a session any more: it leaves this broker, unless it has `ended`.

        Its will is due from now on, after its delay.
        """

    async def all_left(self) -> None:
        """Wait until nothing is under way for any session whose client has gone."""

    async def references(self) -> Sequence[str]:
        """How the other brokers are reached, of those that say so (§4.11)."""
