"""What nodes say of sessions to the engine, and what they hear."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from trio_mqtt.records import record

if TYPE_CHECKING:
    from trio_mqtt.cluster.engine.calls import Value
    from trio_mqtt.cluster.kept_session import KeptSession


@record
class Begin:
    """What a CONNECT says of the session: it holds from when the session is its node's."""

    user: str | None
    expiry_interval: int
    will: bytes | None
    author: str | None

    @property
    def arguments(self) -> tuple[Value, ...]:
        """What the scripts are given."""
        user = "" if self.user is None else f"={self.user}"
        return user, self.expiry_interval, self.will or b"", self.author or ""


class Claimed(NamedTuple):
    """The session is this node's, under an epoch. `kept` is what there was of it before.

    `has_begun` says that what CONNECT has said holds; else something is left to be done for the
    session as it was, and then `SessionStore.begin`. `now` is the engine's time, in milliseconds.
    """

    epoch: bytes
    now: int
    has_begun: bool
    kept: KeptSession


class OwnedBy(NamedTuple):
    """Another node has the session, and is to give it up first."""

    node: str


class Superseded(NamedTuple):
    """Another connection has claimed the session meanwhile."""


class AnothersSession(NamedTuple):
    """The session is another user's."""


Claim: TypeAlias = Claimed | OwnedBy | Superseded | AnothersSession


class Owner(NamedTuple):
    """By which name, and under which epoch, a session of this node stands in the engine.

    `will_of` tells its connection's will from another's.
    """

    key: str
    epoch: bytes
    will_of: int = 0


class Due(NamedTuple):
    """Sessions for which something may be due; `held` is what `no_longer_due` is to be told.

    `wait` is in how many seconds something else may be; None if there is nothing else.
    """

    keys: list[str]
    held: bytes
    wait: float | None
