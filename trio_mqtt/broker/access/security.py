"""Who may connect and what they may do, as `open_broker` is told; and whom that leaves out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from functools import lru_cache
from typing import TYPE_CHECKING

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.records import record
from trio_mqtt.transport.listeners.options import Endpoint
from trio_mqtt.transport.urls import is_loopback, parse_url

if TYPE_CHECKING:
    from trio_mqtt.broker.access.files.tokens import TokenVerifier
    from trio_mqtt.broker.access.protocols import (
        AccessControl,
        AccessRules,
        Authenticator,
        PasswordCheck,
    )


@with_attribute_docs
@record(kw_only=True)
class Security:
    """Who may connect to a broker, and what they may do there.

    `Broker.reload` reads all its files again.

        Security(passwords="passwords", access="access.acl")
    """

    passwords: PasswordCheck | str | os.PathLike[str] | None = None
    """A password file (which `tmqtt passwd` makes, or Mosquitto's), or a program's own check."""

    access: AccessRules | str | os.PathLike[str] | None = None
    """An access file (Mosquitto's format, or TOML), or a program's own rules."""

    dynamic: str | os.PathLike[str] | None = None
    """A file of users, groups and roles that change while the broker runs, by commands to
    `$CONTROL/dynamic-security/v1`: that of Mosquitto's plugin, which `mosquitto_ctrl dynsec init`
    makes. Of a broker, not of a listener."""

    tokens: TokenVerifier | None = None
    """What verifies JSON Web Tokens that clients send as their password."""

    authenticators: Mapping[str, Authenticator] = field(default_factory=dict, hash=False)
    """By their names, the authentication methods that clients may use (MQTT 5.0 §4.12).

    Such as {"SCRAM-SHA-256": ScramAuthenticator(...)}.
    """

    authentication_required: bool = False
    """Whether clients that name none of these methods are refused, all of MQTT 3 among them."""

    hooks: AccessControl | None = None
    """A program's own decisions, which come last."""

    allow_anonymous: bool | None = None
    """Whether clients that prove nothing are let in.

    By default they may come from this machine only, and only where there are no passwords and no
    tokens.
    """


@with_attribute_docs
@record
class WaysIn:
    """By what clients can connect at one listener."""

    local: bool
    """Whether they can come from this machine only."""

    anonymous: bool
    """Whether clients that prove nothing are let in."""

    passwords: bool
    """Whether they can show a user name and a password."""

    tokens: bool
    """Whether they can show a JSON Web Token in place of a password."""

    certificates: bool
    """Whether they can show a certificate."""

    methods: tuple[str, ...]
    """The methods of enhanced authentication that they can name (MQTT 5.0 §4.12)."""

    hooks: bool
    """Whether the program decides about them by a hook."""


def is_local(endpoint: Endpoint) -> bool:
    """Whether only this machine can reach a listener."""
    return _is_local(endpoint.url)


@lru_cache(maxsize=64)  # asked for each client that connects
def _is_local(url: str) -> bool:
    address = parse_url(url, listening=True)
    return address.scheme == "unix" or is_loopback(address.host)


def asks_for_certificates(endpoint: Endpoint) -> bool:
    """Whether clients can prove by a certificate that they may connect."""
    tls = endpoint.tls
    return tls is not None and tls.ca is not None and tls.client_certificates != "none"
