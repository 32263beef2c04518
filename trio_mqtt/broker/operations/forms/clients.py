"""Clients, connected and away."""

from dataclasses import dataclass
from typing import Literal

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.broker.operations.forms.form import Form
from trio_mqtt.broker.operations.forms.pages import PageQuery
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.reason_codes import ALLOWED

ClientOrder = Literal[
    "client_id", "username", "since", "queued_messages", "in_flight", "dropped", "subscriptions"
]
"""By what a list of clients can be sorted."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class ClientQuery(PageQuery):
    """Which clients are wanted: those for which all holds that is given."""

    search: str = ""
    """Part of the client identifier, the user name or the address, whatever its case."""
    connected: bool | None = None
    """Only those that are connected, or only those that are away."""
    username: str | None = None
    """Of this user."""
    address: str | None = None
    """From this address, without a port."""
    listener: str | None = None
    """Connected by the listener of this URL."""
    slow: bool = False
    """Only those that take less than comes for them: something has found no room since their
    session began, or more than half of what may wait for them does."""
    sort: ClientOrder = "client_id"
    """By what the list is sorted."""
    descending: bool = False
    """Whether the largest comes first."""
    rates: bool = False
    """Whether it is counted, for a minute from now on, what those on the page say and are sent.
    Whoever asks again meanwhile learns the rates in between."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class ClientName(Form):
    """One client."""

    client_id: str
    """Its client identifier."""
    mount_point: str = ""
    """That of the listener by which it came: below each, the same identifier is another client."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class Disconnect(ClientName):
    """A client that is to be disconnected. Raises LocalProtocolError for what cannot be said."""

    reason_code: int = 0x98
    """What DISCONNECT says (MQTT 5.0 §3.14.2.1), by default "administrative action". MQTT 3 clients
    are told nothing."""
    reason: str = ""
    """Why, in words for the client and the log."""
    server_reference: str | None = None
    """Where it is to go (§4.11)."""

    def __post_init__(self) -> None:
        if self.reason_code not in ALLOWED[PacketType.DISCONNECT]:
            raise LocalProtocolError(
                f"DISCONNECT carries no reason code 0x{self.reason_code:02X} (MQTT 5.0 §3.14.2.1)"
            )


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class WillView(Form):
    """The will of a client: what is published when it is found to have gone."""

    topic: str
    """Its topic."""
    size: int
    """Bytes of its payload."""
    qos: int
    """Its QoS."""
    retain: bool
    """Whether it is to be retained."""
    delay: float
    """Seconds until then (§3.1.3.2.2)."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class Rates(Form):
    """What a client says and is sent in a second, over the `seconds` that it was counted."""

    seconds: float
    """For how long it was counted: since it was asked for before, or began."""
    messages_in: float
    """PUBLISH packets that it sends."""
    messages_out: float
    """PUBLISH packets that it is sent."""
    bytes_in: float
    """Bytes that it sends."""
    bytes_out: float
    """Bytes that it is sent."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class ClientView(Form):
    """A client: its session, and its connection if it has one."""

    client_id: str
    """Its client identifier."""
    mount_point: str
    """That of the listener by which it came."""
    connected: bool
    """Whether it is connected."""
    username: str | None
    """Its user name; of one that is away, that which it has proved."""
    address: str | None
    """Where it is: HOST:PORT, or the process that came by a Unix socket."""
    listener: str | None
    """The URL that it came by."""
    protocol: str | None
    """The version of MQTT that it speaks: "3.1", "3.1.1" or "5"."""
    since: float | None
    """Since when it is connected, or away, as far as that is known."""
    keep_alive: int | None
    """How often it says something, in seconds; 0 that nobody expects it."""
    expiry_interval: int
    """For how many seconds its session outlives its connection; 4294967295 is for ever."""
    expires_at: float | None
    """When its session ends, if it stays away until then."""
    will: WillView | None
    """Its will."""
    subscriptions: int
    """How many subscriptions it has."""
    queued_messages: int
    """Messages that wait for it."""
    queued_bytes: int
    """Bytes of them."""
    in_flight: int
    """Messages of QoS 1 and 2 that it was sent and has not acknowledged."""
    dropped: int
    """Messages for which there was no room since its session began at this broker."""
    rates: Rates | None = None
    """What it says and is sent, if that was asked for before."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class ClientPage(Form):
    """Part of a list of clients."""

    items: tuple[ClientView, ...]
    """The clients."""
    total: int
    """How many there are on all pages."""
