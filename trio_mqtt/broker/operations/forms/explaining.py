"""Questions: who would get a message, and what a client may do."""

from dataclasses import dataclass
from typing import Literal

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.broker.operations.forms.clients import ClientName
from trio_mqtt.broker.operations.forms.form import Form
from trio_mqtt.broker.operations.forms.pages import PageQuery
from trio_mqtt.broker.operations.forms.subscriptions import check_filter, check_topic


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class WhoQuery(PageQuery):
    """A message that nobody publishes: whom would it reach? Raises LocalProtocolError."""

    topic: str
    """Its topic."""
    client_id: str | None = None
    """Who would publish it; None is the broker itself."""
    qos: int = 0
    """At which QoS."""

    def __post_init__(self) -> None:
        PageQuery.__post_init__(self)
        check_topic(self.topic)


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class Recipient(Form):
    """A client that a message would reach, or that subscribes to it and would not get it."""

    client_id: str
    """Its client identifier."""
    mount_point: str
    """That of the listener by which it came."""
    topic_filter: str
    """The subscription by which it comes."""
    qos: int
    """At which QoS it would be sent."""
    share: str | None
    """The group that shares it: one of its members gets the message."""
    connected: bool
    """Whether it is connected; else the message would wait for it."""
    gets_it: bool
    """Whether it would get the message, or be one of those who may."""
    why_not: str | None
    """Why it would not."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class WhoAnswer(Form):
    """Whom a message would reach."""

    items: tuple[Recipient, ...]
    """Those of this page."""
    total: int
    """How many there are on all pages: one for each subscription that matches."""
    published: bool
    """Whether its author may publish it at all."""
    why_not: str | None
    """Why not."""
    elsewhere: int
    """How many other nodes of a cluster it would be passed on to."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class MayQuery(ClientName):
    """May this client do that? One that there is counts as what it has proved to be.

    Raises LocalProtocolError for what is no topic, or topic filter.
    """

    action: Literal["publish", "subscribe", "receive"]
    """What it would do."""
    topic: str
    """The topic, or the filter that it would subscribe to."""
    username: str | None = None
    """The user that it has proved to be, where there is no such client now."""
    listener: str = ""
    """The URL by which it would come, where there is no such client now."""

    def __post_init__(self) -> None:
        if self.action == "subscribe":
            check_filter(self.topic)
        else:
            check_topic(self.topic)


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class MayAnswer(Form):
    """Whether a client may do something, and what says so."""

    allowed: bool
    """Whether it may."""
    rule: str
    """What decides that: the line of an access file, for example."""
    username: str | None
    """The user name by which the rules were asked."""
    known: bool
    """Whether there is such a client; else it was asked for one that would come."""
    hooks: bool
    """Whether a program's hooks are asked as well, and may refuse or change it."""
