"""Sessions, and what waits in them."""

from dataclasses import dataclass
from typing import Literal

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.broker.operations.forms.clients import ClientName
from trio_mqtt.broker.operations.forms.form import Form
from trio_mqtt.broker.operations.forms.pages import PageQuery


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class QueueQuery(ClientName, PageQuery):
    """Whose queue is looked at."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class QueuedView(Form):
    """A message on its way to a client."""

    topic: str
    """Its topic, by the broker's name."""
    size: int
    """Bytes of its payload."""
    payload: bytes
    """The beginning of its payload, up to 256 bytes."""
    qos: int
    """The QoS at which it is sent."""
    retain: bool
    """Whether it was published to be retained."""
    received_at: float
    """When it came."""
    state: Literal["waiting", "in flight"]
    """Whether it was sent already, and is not acknowledged."""
    topic_filter: str | None
    """The subscription that it waits in."""
    packet_id: int | None
    """By which packet identifier it is in flight."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class QueuePage(Form):
    """Part of what is on its way to a client: what is in flight first, then what waits."""

    items: tuple[QueuedView, ...]
    """The messages."""
    total: int
    """How many there are on all pages."""
