"""Traces: what one client says and is sent, or what becomes of a topic."""

from dataclasses import dataclass
from typing import Literal

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.broker.operations.forms.form import Form
from trio_mqtt.broker.operations.forms.subscriptions import check_filter
from trio_mqtt.errors import LocalProtocolError

PAYLOAD = 65_536


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class TraceQuery(Form):
    """What is traced: a client, or a topic filter. Raises LocalProtocolError for neither, or both.

    Of a client that is not connected, the trace begins with its next CONNECT.
    """

    client_id: str | None = None
    """The client."""
    mount_point: str = ""
    """That of the listener by which it comes."""
    topic_filter: str | None = None
    """The topics."""
    payload: int = 256
    """Bytes of a payload that are shown, at most 65,536."""
    limit: int = 1_000
    """How much may wait to be taken, at most 10,000; what is more is left out, and counted."""

    def __post_init__(self) -> None:
        if (self.client_id is None) == (self.topic_filter is None):
            raise LocalProtocolError("a trace is of a client_id, or of a topic_filter")
        if self.topic_filter is not None:
            check_filter(self.topic_filter)
        if not 0 <= self.payload <= PAYLOAD:
            raise LocalProtocolError(f"payload is between 0 and {PAYLOAD} bytes")
        if not 1 <= self.limit <= 10_000:
            raise LocalProtocolError("limit is between 1 and 10000")


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class TraceEntry(Form):
    """What was seen: a packet of the client, or what became of a message."""

    at: float
    """When."""
    client_id: str | None
    """Of which client; None is the broker itself."""
    direction: Literal["in", "out"]
    """Whether it came from the client, or was sent to it."""
    kind: str
    """The packet, such as PUBLISH or SUBACK; of a topic also what became of a message: DELIVERED,
    ACKNOWLEDGED, REFUSED."""
    details: dict[str, object]
    """What the packet says, by the standard's names; never a password."""
    payload: bytes | None = None
    """The beginning of its payload."""
    size: int | None = None
    """Bytes of the payload."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class EventQuery(Form):
    """Which events are followed."""

    kinds: tuple[str, ...] = ()
    """Only those of these kinds, by the names in `trio_mqtt.events`, such as ClientConnected. None
    given: all but those of single messages and pings."""
    limit: int = 1_000
    """How many may wait to be taken, at most 10,000; what is more is left out, and counted."""

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= 10_000:
            raise LocalProtocolError("limit is between 1 and 10000")
