"""Messages: published, and sent to one client."""

from dataclasses import dataclass, field

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.broker.operations.forms.clients import ClientName
from trio_mqtt.broker.operations.forms.form import Form
from trio_mqtt.broker.operations.forms.subscriptions import check_topic
from trio_mqtt.errors import LocalProtocolError


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class NewMessage(Form):
    """A message. Raises LocalProtocolError for what cannot be published."""

    topic: str
    """Its topic."""
    payload: bytes = b""
    """What it says."""
    text: str | None = None
    """The same as text, in place of `payload`."""
    qos: int = 0
    """At which QoS."""
    retain: bool = False
    """Whether it is retained."""
    expiry_interval: int | None = None
    """Seconds after which nobody is sent it any more (§3.3.2.3.3)."""
    content_type: str | None = None
    """Of what kind the payload is (§3.3.2.3.9)."""
    user_properties: tuple[tuple[str, str], ...] = field(default_factory=tuple)
    """Names and values that travel with it (§3.3.2.3.7)."""

    @property
    def content(self) -> bytes:
        """What it says, however that was given."""
        return self.payload if self.text is None else self.text.encode()

    def __post_init__(self) -> None:
        if self.payload and self.text is not None:
            raise LocalProtocolError("a message has a payload, or a text")
        check_topic(self.topic)
        if self.qos not in (0, 1, 2):
            raise LocalProtocolError(f"there is no QoS {self.qos}")
        if self.expiry_interval is not None and not 0 <= self.expiry_interval < 2**32:
            raise LocalProtocolError("expiry_interval is between 0 and 4294967295 seconds")


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class ClientMessage(NewMessage, ClientName):
    """A message for one client alone, whatever it has subscribed to.

    Its topic is by the broker's name. It is sent through one of the client's subscriptions, and
    waits there while it is away; to a client that has none it can go at QoS 0 alone.
    """


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class Done(Form):
    """It was done."""

    client_id: str | None = None
    """For which client."""
