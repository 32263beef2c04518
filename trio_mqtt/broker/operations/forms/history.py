"""What was kept of topics, as it is answered; what goes of it, and what went."""

from dataclasses import dataclass
from typing import Literal

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.broker.operations.forms.form import Form
from trio_mqtt.broker.operations.forms.pages import PageQuery
from trio_mqtt.history.queries import HistoryQuery, KeptMessage, Point, Removal


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class KeptView:
    """A message that was kept."""

    topic: str
    """Its topic."""
    payload: bytes
    """Its payload."""
    at: float
    """When it came, in seconds since 1970."""
    qos: int
    """As it was published."""
    retain: bool
    """Whether it was to be retained."""
    content_type: str | None
    """Of what kind its payload is said to be (§3.3.2.3.9)."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class HistoryView:
    """A page of what was kept."""

    messages: tuple[KeptView, ...]
    """Messages, in the order of their time."""
    points: tuple[Point, ...]
    """Points in the order of their time, where these are asked for."""
    next: str
    """What the query for the next page has as its `after`; empty: this was the last. A page may
    have nothing, and yet not be the last: where there was much to look through."""


def view_of(kept: KeptMessage) -> KeptView:
    """A message as it is answered."""
    return KeptView(
        topic=kept.topic,
        payload=kept.payload,
        at=kept.at,
        qos=kept.qos,
        retain=kept.retain,
        content_type=kept.properties.get("content_type"),
    )


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class DeleteHistory(Form):
    """What is to be removed of a history. Raises LocalProtocolError for what is no topic filter."""

    topic_filter: str
    """Whose topics match."""
    until: float | None = None
    """Seconds since 1970: what came before that. None: all of it."""

    def __post_init__(self) -> None:
        HistoryQuery(topic_filter=self.topic_filter, until=self.until)  # which checks them


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class RemovalQuery(PageQuery):
    """Which removals are wanted: the latest come first."""

    reason: Literal["", "age", "size", "messages", "asked", "lost", "topics"] = ""
    """Only those for this reason."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class RemovalPage(Form):
    """Part of the record of what was removed, or never kept."""

    items: tuple[Removal, ...]
    """What went, by day, reason and filter."""
    total: int
    """How many there are on all pages."""
