"""Lists by pages."""

from dataclasses import dataclass

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.broker.operations.forms.form import Form
from trio_mqtt.errors import LocalProtocolError

MOST = 1_000


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class PageQuery(Form):
    """Which part of a list is wanted. Raises LocalProtocolError for what cannot be."""

    offset: int = 0
    """How many that come first are left out."""
    limit: int = 100
    """How many there are at most, up to 1,000."""

    def __post_init__(self) -> None:
        if self.offset < 0:
            raise LocalProtocolError("offset is 0 or more")
        if not 1 <= self.limit <= MOST:
            raise LocalProtocolError(f"limit is between 1 and {MOST}")
