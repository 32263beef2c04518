"""The topics of retained messages as a tree: what is below a level."""

from dataclasses import dataclass

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.broker.operations.forms.pages import PageQuery
from trio_mqtt.broker.operations.forms.subscriptions import check_topic
from trio_mqtt.errors import LocalProtocolError


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class TopicQuery(PageQuery):
    """Where in the tree. Raises LocalProtocolError for what is no beginning of topics."""

    prefix: str = ""
    """The levels above, each with its slash, such as `home/kitchen/`; without it, the first levels
    of all topics but those that begin with `$`."""
    search: str = ""
    """Only topics with this text, whatever its case."""

    def __post_init__(self) -> None:
        PageQuery.__post_init__(self)
        if self.prefix:
            check_topic(self.prefix)
            if not self.prefix.endswith("/"):
                raise LocalProtocolError(f"the prefix {self.prefix!r} has no slash at its end")


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class TopicLevel:
    """One level, and what is below it."""

    level: str
    """The level alone, which may be empty."""
    topic: str
    """All levels down to it."""
    below: int
    """How many topics with a retained message are further below."""
    retained: bool
    """Whether the topic that ends here has one."""


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class TopicPage:
    """Part of the levels below another, by name."""

    items: tuple[TopicLevel, ...]
    """The levels."""
    total: int
    """How many there are on all pages."""
