"""What was kept of topics, as it is answered."""

from dataclasses import dataclass

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.history.queries import HistoryPage, Point


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


def view_of(page: HistoryPage) -> HistoryView:
    """A page as it is answered."""
    return HistoryView(
        messages=tuple(
            KeptView(
                topic=one.topic,
                payload=one.payload,
                at=one.at,
                qos=one.qos,
                retain=one.retain,
                content_type=one.properties.get("content_type"),
            )
            for one in page.messages
        ),
        points=page.points,
        next=page.next,
    )
