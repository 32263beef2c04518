"""The connection that the options ask for, and what becomes of it in sentences."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import trio_mqtt
from tmqtt.sentences import CommandError
from tmqtt.settings import ConnectionOptions, WillOptions


class Teller(Protocol):
    """Whom to tell what the person should know."""

    def say(self, sentence: str) -> None:
        """Tell it."""


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


@asynccontextmanager
async def open_connection(
    options: ConnectionOptions, terminal: Teller, *, reconnect: bool
) -> AsyncIterator[trio_mqtt.Client]:
    """A client as the options say; what becomes of its connection is told to the person.

    Raises CommandError where there is no broker, or it refuses.
    """
    teller = _Teller(terminal)
    version = _VERSIONS[options.protocol_version]
    try:
        async with trio_mqtt.open_client(
            options.broker,
            **arguments(options),
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
                f"No broker answers at {public_url(options.broker)} (connection refused):"
                " start one with `tmqtt broker`, or name another with --broker."
            ) from error
        raise


def arguments(options: ConnectionOptions) -> dict[str, Any]:
    """What `trio_mqtt.open_client` takes for these options. Raises CommandError."""
    return {
        "client_id": options.client_id,
        "username": None if options.scram else options.username,
        "password": None if options.scram else options.password,
        "protocol_version": _VERSIONS[options.protocol_version],
        "clean_start": options.clean_start,
        "session_expiry_interval": options.session_expiry_interval,
        "keep_alive": options.keep_alive,
        "will": _will(options.will),
        "connect_timeout": options.connect_timeout,
        "properties": options.properties,
        "authentication": _authentication(options),
        "tls": None if options.tls is None else trio_mqtt.TlsOptions(**options.tls),
    }


def _will(will: WillOptions | None) -> trio_mqtt.Will | None:
    if will is None:
        return None
    problem = trio_mqtt.topic_name_problem(will.topic)
    if problem is not None:
        raise CommandError(f"The topic of the will {will.topic!r} {problem}.")
    properties = cast(trio_mqtt.Properties, will.properties)
    return trio_mqtt.Will(will.topic, will.payload, will.qos, will.retain, properties)


def _authentication(options: ConnectionOptions) -> trio_mqtt.ClientAuthentication | None:
    if not options.scram:
        return None
    if options.username is None or options.password is None:
        raise CommandError("SCRAM needs a user name and a password: give -u and -P, or a file.", 2)
    try:
        return trio_mqtt.ScramClient(options.username, options.password.decode())
    except ImportError as error:
        raise CommandError(str(error)) from None
    except UnicodeDecodeError:
        raise CommandError("SCRAM takes no password that is not UTF-8.") from None


def public_url(url: str) -> str:
    """The URL without credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class _Teller:
    """Says once that the connection is gone, and once that it is back."""

    def __init__(self, terminal: Teller) -> None:
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
