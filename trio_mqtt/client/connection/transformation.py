"""What an attempt to connect goes by, made anew by the program: tokens, signed URLs."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from trio_mqtt.client.arguments import kind_of
from trio_mqtt.client.connection.first_packets import Settings
from trio_mqtt.errors import ConnectionFailedError, InvalidUrlError, MqttError
from trio_mqtt.records import record
from trio_mqtt.transport.connectors.by_url import Connector, UrlConnector, checked_headers
from trio_mqtt.transport.urls import parse_url


@record
class ConnectionAttempt:
    """What the next attempt to connect goes by; `transform` of `open_client` may change it.

    `url` is that of the server which is tried now, without credentials.
    """

    url: str
    username: str | None = None
    password: str | bytes | None = None
    websocket_headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()


Transformed: TypeAlias = ConnectionAttempt | str | None
Transform: TypeAlias = Callable[[ConnectionAttempt], Transformed | Awaitable[Transformed]]


async def transformed(settings: Settings, transform: Transform) -> Settings:
    """What an attempt goes by, as the program wants it this time.

    Raises ConnectionFailedError where `transform` raises, but errors of ours as they are; TypeError
    or InvalidUrlError, a ValueError, for what no attempt can go by.
    """
    address = settings.address
    connector = settings.connector
    given = ConnectionAttempt(
        address.whole_url,
        settings.username,
        settings.password,
        connector.headers if isinstance(connector, UrlConnector) else (),
    )
    try:
        wanted = transform(given)
        if inspect.isawaitable(wanted):
            wanted = await wanted
    except MqttError:
        raise
    except Exception as error:
        said = str(error) or "without a word"
        raise ConnectionFailedError(
            f"{address.url} was not connected to: `transform` raised"
            f" {type(error).__name__} ({said})."
        ) from error
    if wanted is None or wanted == given:
        return settings
    if isinstance(wanted, str):
        wanted = ConnectionAttempt(wanted, given.username, given.password, given.websocket_headers)
    if not isinstance(wanted, ConnectionAttempt):
        raise TypeError(
            "`transform` returns a URL, a ConnectionAttempt or None, not"
            f" {kind_of(wanted)}: {wanted!r}."
        )
    return _with(settings, wanted)


def _with(settings: Settings, wanted: ConnectionAttempt) -> Settings:
    _check("url", wanted.url, str)
    _check("username", wanted.username, str, None)
    _check("password", wanted.password, str, bytes, None)
    address = parse_url(wanted.url)
    if address.is_by_records:
        raise InvalidUrlError(
            f"`transform` returned {address.url!r}: its records are looked up before, where it is"
            " the URL of `open_client`."
        )
    if address.domain != settings.address.domain and address.host == settings.address.host:
        address = replace(address, domain=settings.address.domain)
    password = wanted.password
    if password is None and address.password is not None:
        password = address.password
    return replace(
        settings,
        address=address,
        username=address.username if wanted.username is None else wanted.username,
        password=password.encode() if isinstance(password, str) else password,
        connector=_with_headers(settings.connector, wanted, is_websocket=address.is_websocket),
    )


def _with_headers(
    connector: Connector | None, wanted: ConnectionAttempt, *, is_websocket: bool
) -> Connector | None:
    pairs = checked_headers(wanted.websocket_headers)
    if not isinstance(connector, UrlConnector) or pairs == connector.headers:
        return connector
    if not is_websocket:
        raise ValueError("`transform` returned headers for what is no WebSocket.")
    return replace(connector, headers=pairs)


def _check(name: str, value: object, *kinds: type | None) -> None:
    if not any(value is None if kind is None else isinstance(value, kind) for kind in kinds):
        raise TypeError(f"`transform` returned a {name} that is {kind_of(value)}.")
