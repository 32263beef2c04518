"""Bans: who may not connect, for a time or until it is lifted."""

from dataclasses import dataclass

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.broker.access.bans import Ban, BanKind
from trio_mqtt.broker.operations.forms.form import Form
from trio_mqtt.broker.operations.forms.pages import PageQuery
from trio_mqtt.errors import LocalProtocolError


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class NewBan(Form):
    """Who may not connect any more. Raises LocalProtocolError for what cannot be banned."""

    kind: BanKind
    """What tells who it is: a client identifier, a user name, or an address."""
    value: str
    """The identifier, name, or address; that may be a network, such as 192.0.2.0/24."""
    seconds: float | None = None
    """For how long; None until it is lifted."""
    reason: str = ""
    """Why, for those who look at it later."""
    by: str = ""
    """Who says so."""
    disconnect: bool = True
    """Whether those that are connected are disconnected."""

    def __post_init__(self) -> None:
        if self.seconds is not None and not 0 < self.seconds < 1e10:
            raise LocalProtocolError("a ban is for more than 0 seconds, and for 300 years at most")


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class BanName(Form):
    """A ban that is to be lifted."""

    kind: BanKind
    """What it goes by."""
    value: str
    """Who is banned by that."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class BanQuery(PageQuery):
    """Which bans are wanted."""

    kind: BanKind | None = None
    """Only those that go by this."""
    search: str = ""
    """Part of who is banned, or of the reason, whatever its case."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class BanPage(Form):
    """Part of the list of bans."""

    items: tuple[Ban, ...]
    """The bans."""
    total: int
    """How many there are on all pages."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class Banned(Form):
    """A ban that holds, and how many clients were disconnected for it."""

    ban: Ban
    """The ban."""
    disconnected: int
    """How many clients were connected whom it holds for."""
