"""Who has changed what, in the log: the logger `trio_mqtt.audit`, one line for each."""

from __future__ import annotations

import dataclasses
import json
import logging
from typing import TYPE_CHECKING

from trio_mqtt.broker.events.kinds import ChangeRequested
from trio_mqtt.broker.operations.forms.dynamic import DynamicCommands
from trio_mqtt.web.json_forms import plain

if TYPE_CHECKING:
    from trio_mqtt.web.people import Asker

logger = logging.getLogger("trio_mqtt.audit")

_PAYLOADS = ("payload", "text")
# What is told of commands of dynamic security.
_NAMES = ("command", "username", "groupname", "rolename")
_LOOKS = ("get", "list")  # what commands begin with that change nothing
_LONG = 1_000  # characters of what was asked that are shown


def record(
    asker: Asker, address: str, operation: str, asked: object, outcome: str
) -> ChangeRequested:
    """Somebody has asked for a change; `outcome` is "done", or why it was not. The event of it."""
    details = _shown(asked)
    logger.info(
        "%s at %s asked for %s %s: %s",
        asker.name,
        address,
        operation,
        details,
        outcome,
        extra={
            "event": "audit",
            "username": asker.name,
            "address": address,
            "operation": operation,
            "outcome": outcome,
        },
    )
    return ChangeRequested(asker.name, address, operation, details, outcome)


def is_change(asked: object) -> bool:
    """Whether what was asked changes anything: commands may only look at what there is."""
    return not isinstance(asked, DynamicCommands) or not all(
        isinstance(name := one.get("command"), str) and name.startswith(_LOOKS)
        for one in asked.commands
    )


def record_login(username: str, address: str, outcome: str) -> None:
    """Somebody has tried to log in, or has logged out."""
    level = logging.INFO if outcome in ("logged in", "logged out") else logging.WARNING
    logger.log(
        level,
        "%r at %s: %s",
        username[:64],
        address,
        outcome,
        extra={"event": "audit", "username": username[:64], "address": address, "outcome": outcome},
    )


def _shown(asked: object) -> str:
    """What was asked, on one line; payloads are told by their size."""
    if not dataclasses.is_dataclass(asked):
        return ""
    if isinstance(asked, DynamicCommands):  # which may hold passwords
        told = [{key: one[key] for key in _NAMES if key in one} for one in asked.commands]
        return json.dumps({"commands": told})[:_LONG]
    found = {}
    for field in dataclasses.fields(asked):
        value = getattr(asked, field.name)
        if value in (None, "", (), b""):
            continue
        if field.name in _PAYLOADS:
            size = len(value.encode() if isinstance(value, str) else value)
            found[field.name] = f"{size} bytes"
        else:
            found[field.name] = plain(value)
    return json.dumps(found)[:_LONG]
