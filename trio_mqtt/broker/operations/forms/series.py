"""How the broker was in the last hour."""

from dataclasses import dataclass

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.broker.operations.forms.form import Form


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class SeriesQuery(Form):
    """How was the broker?"""

    since: float = 0.0
    """Only what is later than this."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class Series(Form):
    """How the broker was in the last hour, each ten seconds: for each figure a value for each time.

    Totals are counted since it began: whoever takes one from the next has rates.
    """

    at: tuple[float, ...]
    """When it was so, in order."""
    clients: tuple[int, ...]
    """Clients that were connected."""
    sessions: tuple[int, ...]
    """Sessions, of clients connected or away."""
    subscriptions: tuple[int, ...]
    """Subscriptions of all sessions."""
    queued_bytes: tuple[int, ...]
    """Bytes of messages that waited for clients."""
    retained: tuple[int, ...]
    """Retained messages."""
    loop_lag: tuple[float, ...]
    """Seconds by which the broker was late at most, since the time before."""
    memory: tuple[int, ...]
    """Bytes that its process occupied."""
    messages_received: tuple[int, ...]
    """Messages that clients had published until then."""
    messages_sent: tuple[int, ...]
    """Messages that were sent to clients."""
    messages_dropped: tuple[int, ...]
    """Messages that were lost, as `Statistics.messages_dropped` counts them."""
    bytes_received: tuple[int, ...]
    """Bytes that clients had sent."""
    bytes_sent: tuple[int, ...]
    """Bytes that were sent to clients."""
