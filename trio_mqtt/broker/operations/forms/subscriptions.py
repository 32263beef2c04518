"""Subscriptions: listed, given and taken."""

from dataclasses import dataclass

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.broker.operations.forms.clients import ClientName
from trio_mqtt.broker.operations.forms.form import Form
from trio_mqtt.broker.operations.forms.pages import PageQuery
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.topics import topic_filter_problem, topic_name_problem


def check_filter(topic_filter: str) -> None:
    """Raise LocalProtocolError for what is no topic filter."""
    problem = topic_filter_problem(topic_filter)
    if problem:
        raise LocalProtocolError(f"The topic filter {topic_filter!r} {problem}.")


def check_topic(topic: str) -> None:
    """Raise LocalProtocolError for what is no topic name."""
    problem = topic_name_problem(topic)
    if problem:
        raise LocalProtocolError(f"The topic {topic!r} {problem}.")


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class SubscriptionQuery(PageQuery):
    """Which subscriptions are wanted: those for which all holds that is given."""

    client_id: str | None = None
    """Of this client."""
    mount_point: str | None = None
    """Of clients that came by a listener with this mount point."""
    topic_filter: str | None = None
    """To exactly this filter."""
    topic: str | None = None
    """That match this topic."""
    search: str = ""
    """Part of the filter, whatever its case."""
    shared: bool | None = None
    """Only those that are shared, or only those that are not."""

    def __post_init__(self) -> None:
        PageQuery.__post_init__(self)
        if self.topic is not None:
            check_topic(self.topic)


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class SubscriptionView(Form):
    """A subscription of a client."""

    client_id: str
    """Whose it is."""
    mount_point: str
    """That of the listener by which it came."""
    topic_filter: str
    """To what, by the broker's name; `$share/NAME/FILTER` if it is shared."""
    qos: int
    """The QoS that was granted."""
    no_local: bool
    """Whether what the client itself publishes is left out (§3.8.3.1)."""
    retain_as_published: bool
    """Whether messages keep their RETAIN flag."""
    identifier: int | None
    """Its subscription identifier."""
    queued: int
    """Batches of messages that wait in it."""
    resting: bool
    """Whether the client may not have it any more, and gets nothing by it."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class SubscriptionPage(Form):
    """Part of a list of subscriptions."""

    items: tuple[SubscriptionView, ...]
    """The subscriptions."""
    total: int
    """How many there are on all pages."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class GiveSubscription(ClientName):
    """A subscription that a client is to have, as if it had asked for it.

    Its access rules are asked as well. Raises LocalProtocolError for what is no topic filter.
    """

    topic_filter: str
    """To what, by the broker's name."""
    qos: int = 0
    """At which QoS."""
    no_local: bool = False
    """Whether what the client itself publishes is left out."""
    retain_as_published: bool = False
    """Whether messages keep their RETAIN flag."""
    retained: bool = True
    """Whether it is sent the retained messages."""

    def __post_init__(self) -> None:
        check_filter(self.topic_filter)
        if self.qos not in (0, 1, 2):
            raise LocalProtocolError(f"there is no QoS {self.qos}")


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class TakeSubscription(ClientName):
    """A subscription that a client is to lose."""

    topic_filter: str
    """To what, by the broker's name."""
