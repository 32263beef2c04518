"""Dynamic security: its commands, and what they are answered."""

from dataclasses import dataclass
from typing import Any

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.broker.operations.forms.form import Form
from trio_mqtt.errors import LocalProtocolError

MOST = 1_000  # commands at once


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class DynamicCommands(Form):
    """Commands, done one after the other. Raises LocalProtocolError for too many."""

    commands: tuple[dict[str, Any], ...]
    """Each with its `command`, such as createClient, and what that takes."""

    def __post_init__(self) -> None:
        if len(self.commands) > MOST:
            raise LocalProtocolError(f"{MOST:,} commands are done at once, and no more")


@with_attribute_docs
@dataclass(frozen=True, kw_only=True)
class DynamicAnswers(Form):
    """What they are answered."""

    responses: tuple[dict[str, Any], ...]
    """One for each command: its `error` where it could not be done, its `data` if it has any."""
