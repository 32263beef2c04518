"""The options of `open_client`: those of the wrong kind are refused before anything else."""

from __future__ import annotations

from dataclasses import replace

from trio_mqtt.client.arguments import (
    check_property_kinds,
    check_qos,
    check_topic,
    kind_of,
    payload_bytes,
)
from trio_mqtt.client.backoff import Backoff
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.packets import Will


def check_options(**options: object) -> None:
    """Raise TypeError or LocalProtocolError, a ValueError, for what no connection can have."""
    for name in ("url", "client_id"):
        _check(name, options[name], str)
    _check("username", options["username"], str, None)
    _check("password", options["password"], str, bytes, None)
    _check("keep_alive", options["keep_alive"], int)
    _check("session_expiry_interval", options["session_expiry_interval"], int, None)
    _check("reconnect", options["reconnect"], bool, Backoff)
    timeout = options["connect_timeout"]
    _check("connect_timeout", timeout, int, float)
    if isinstance(timeout, int | float) and not timeout > 0:
        raise LocalProtocolError(f"A connect_timeout of {timeout} s leaves no time to connect.")
    if options["properties"] is not None:
        check_property_kinds(options["properties"])


def checked_will(will: object) -> Will | None:
    """The will with its payload as bytes. Raises TypeError or LocalProtocolError."""
    if will is None:
        return None
    if not isinstance(will, Will):
        raise TypeError(f"A will is a trio_mqtt.Will, not {kind_of(will)}.")
    check_topic(will.topic)
    check_qos(will.qos)
    check_property_kinds(will.properties)
    payload = payload_bytes(will.payload)
    return will if payload is will.payload else replace(will, payload=payload)


def _check(name: str, value: object, *kinds: type | None) -> None:
    if not any(value is None if kind is None else isinstance(value, kind) for kind in kinds):
        wanted = " or ".join("None" if kind is None else kind.__name__ for kind in kinds)
        raise TypeError(f"{name} is {wanted}, not {kind_of(value)}.")
