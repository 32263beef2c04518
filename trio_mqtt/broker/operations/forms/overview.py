"""The broker as a whole."""

from dataclasses import dataclass

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.broker.operations.forms.form import Form


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class OverviewQuery(Form):
    """How is the broker?"""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class Overview(Form):
    """How the broker is at a moment. Whoever asks twice makes rates of `totals`."""

    version: str
    """That of trio-mqtt."""
    at: float
    """When this was so."""
    uptime: float
    """For how many seconds it has run."""
    listeners: tuple[str, ...]
    """The URLs where it listens."""
    problems: tuple[str, ...]
    """Why it does not serve clients as it should, each in a sentence."""
    connections: int
    """Connections, also of clients that are not accepted yet."""
    clients: int
    """Clients that are connected."""
    sessions: int
    """Sessions, of clients connected or away."""
    subscriptions: int
    """Subscriptions of all sessions."""
    queued_messages: int
    """Messages that wait for clients."""
    queued_bytes: int
    """Bytes of them."""
    in_flight: int
    """Messages that were sent and are not acknowledged."""
    retained: int
    """Retained messages."""
    retained_bytes: int
    """Bytes of them, with their topics."""
    bans: int
    """Bans in force."""
    loop_lag: float
    """Seconds by which the broker was late when it last looked."""
    memory: int
    """Bytes that its process occupied then."""
    totals: dict[str, int]
    """What was counted since it began, by the names of `trio_mqtt.Statistics`."""
