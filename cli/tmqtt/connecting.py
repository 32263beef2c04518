"""The options that `pub` and `sub` share, and the connection that they ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import trio_mqtt
from tmqtt.running import CommandError

if TYPE_CHECKING:
    from tmqtt.running import Terminal

_VERSIONS = {
    None: None,
    "3.1": trio_mqtt.ProtocolVersion.V31,
    "3.1.1": trio_mqtt.ProtocolVersion.V311,
    "5": trio_mqtt.ProtocolVersion.V5,
}

# MQTT 3.1.1 §3.2.2.3: how MQTT 3 says the same. Who asks for MQTT 3 gets its codes.
_RETURN_CODES = {
    trio_mqtt.ReasonCode.UNSUPPORTED_PROTOCOL_VERSION: 1,
    trio_mqtt.ReasonCode.CLIENT_IDENTIFIER_NOT_VALID: 2,
    trio_mqtt.ReasonCode.SERVER_UNAVAILABLE: 3,
    trio_mqtt.ReasonCode.BAD_USER_NAME_OR_PASSWORD: 4,
    trio_mqtt.ReasonCode.NOT_AUTHORIZED: 5,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """Where to connect and as whom. `protocol_version` is "3.1", "3.1.1", "5" or None: the best."""

    broker: str
    client_id: str
    username: str | None
    password: str | None
    protocol_version: str | None
    wait: bool


@asynccontextmanager
async def open_connection(
    options: ConnectionOptions, terminal: Terminal, *, reconnect: bool
) -> AsyncIterator[trio_mqtt.Client]:
    """A client as the options say; what becomes of its connection is told to the person.

    Raises CommandError where there is no broker, or it refuses.
    """
    teller = _Teller(terminal)
    version = _VERSIONS[options.protocol_version]
    try:
        async with trio_mqtt.open_client(
            options.broker,
            client_id=options.client_id,
            username=options.username,
            password=options.password,
            protocol_version=version,
            reconnect=reconnect,
            wait_for_broker=options.wait,
            on_event=teller.tell,
        ) as client:
            yield client
    except trio_mqtt.ConnectionRefusedByBrokerError as error:
        code = int(error.reason_code)
        if version is not None and version < trio_mqtt.ProtocolVersion.V5:
            code = _RETURN_CODES.get(error.reason_code, code)
        raise CommandError(str(error), code) from error
    except trio_mqtt.ConnectionFailedError as error:
        if isinstance(error.__cause__, ConnectionRefusedError):
            raise CommandError(
                f"No broker answers at {_public(options.broker)} (connection refused):"
                " start one with `tmqtt broker`, or name another with --broker."
            ) from error
        raise


def _public(url: str) -> str:
    """The URL without credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class _Teller:
    """Says once that the connection is gone, and once that it is back."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._lost = False

    def tell(self, event: trio_mqtt.ConnectionEvent) -> None:
        match event:
            case trio_mqtt.ConnectionLost(reason):
                if not self._lost:
                    self._lost = True
                    self._terminal.say(f"{reason} Trying again.")
            case trio_mqtt.Connected(url):
                if self._lost:
                    self._lost = False
                    self._terminal.say(f"Connected to {url}.")
            case trio_mqtt.Reconnecting():
                pass
