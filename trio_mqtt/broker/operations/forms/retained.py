"""Retained messages: listed, shown and deleted."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.broker.operations.forms.form import Form
from trio_mqtt.broker.operations.forms.pages import PageQuery
from trio_mqtt.broker.operations.forms.subscriptions import check_filter, check_topic

Orphaned: TypeAlias = Literal["", "gone", "silent"]


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class RetainedChoice(Form):
    """Which retained messages are meant: those for which all holds that is given.

    Raises LocalProtocolError for what is no topic filter.
    """

    topic_filter: str = "#"
    """Whose topics match; `#` does not match topics that begin with `$`."""
    search: str = ""
    """Part of the topic, whatever its case."""
    author: str | None = None
    """Which this client has published."""
    older_than: float = 0.0
    """Which have lain there for so many seconds."""
    orphaned: Orphaned = ""
    """Which were not published again since their author was seen: "gone" is one that is not
    connected, "silent" one that has connected later and published this no more."""

    def __post_init__(self) -> None:
        check_filter(self.topic_filter)


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class RetainedQuery(RetainedChoice, PageQuery):
    """Which retained messages are wanted."""

    sort: Literal["", "topic", "stored_at", "size"] = ""
    """By what the list is sorted; by default it is in the order of the broker's tree."""
    descending: bool = False
    """Whether the largest, or the newest, comes first."""

    def __post_init__(self) -> None:
        RetainedChoice.__post_init__(self)
        PageQuery.__post_init__(self)


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class DeleteRetained(RetainedChoice):
    """Which retained messages are to be removed. The filter has to be said: `#` is no default."""

    topic_filter: str = field()  # the default of the base is none here
    """Whose topics match."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class RetainedName(Form):
    """The retained message of one topic. Raises LocalProtocolError for what is no topic."""

    topic: str
    """Its topic."""

    def __post_init__(self) -> None:
        check_topic(self.topic)


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class RetainedView(Form):
    """A retained message."""

    topic: str
    """Its topic."""
    size: int
    """Bytes of its payload."""
    qos: int
    """The QoS at which it was published."""
    stored_at: float
    """Since when it lies there."""
    expires_at: float | None
    """When it is removed."""
    author: str | None
    """The client that has published it; None where that was the program, or nobody knows."""
    orphaned: Orphaned
    """Whether it was not published again since its author was seen: "gone" where that is not
    connected, "silent" where it has connected later; empty where nobody knows its author, too."""
    username: str | None
    """Its user, where access rules have asked for it."""
    address: str | None
    """From where it was published, where access rules have asked for it."""
    payload: bytes | None = None
    """What it says; left out in lists."""
    content_type: str | None = None
    """Of what kind its payload is said to be (§3.3.2.3.9)."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class RetainedPage(Form):
    """Part of a list of retained messages."""

    items: tuple[RetainedView, ...]
    """The messages, without their payloads."""
    total: int
    """How many there are on all pages."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class Removed(Form):
    """What was removed."""

    count: int
    """How many."""
