"""The client's connectors: from an address to a byte stream, whatever its scheme."""

from __future__ import annotations

import re
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from anyio.abc import ByteStream

from trio_mqtt.transport.connectors.layers import LowerStream
from trio_mqtt.transport.connectors.proxies import (
    Proxy,
    check_proxies_can_be_used,
    parse_proxy,
    proxy_of_environment,
)
from trio_mqtt.transport.connectors.sockets import connect_tcp, connect_unix
from trio_mqtt.transport.connectors.tls_options import TlsOptions, client_context
from trio_mqtt.transport.urls import Address

# How a byte stream to a broker is opened; it raises ConnectionFailedError where it cannot.
Connector: TypeAlias = Callable[[Address], Awaitable[ByteStream]]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e]*")


@dataclass(slots=True)
class UrlConnector:
    """Opens streams to brokers: the connector of a client that brings none of its own.

    `tls` is for mqtts:// and wss://, made when the first of them is opened if it is None.
    `server_name` is the name to find in the certificate of a broker at one of `hosts`, if that is
    not it. (A broker that the client is sent to has a certificate of its own name.)
    `headers` go with WebSocket's request. They go through `proxy`, or with True through the one
    that the environment names for each address. They come from `bind_address`, if that is given.
    """

    tls: ssl.SSLContext | None = None
    hosts: frozenset[str] = frozenset()
    server_name: str | None = None
    has_certificate: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    proxy: Proxy | bool = False
    bind_address: str | None = None

    async def __call__(self, address: Address) -> ByteStream:
        """A stream to the broker at `address`. Raises ConnectionFailedError."""
        if address.scheme == "unix":
            return await connect_unix(address)
        context = self.tls
        if address.is_tls and context is None:
            context = self.tls = client_context(TlsOptions())
        stream = await self._connect(address)
        if address.is_tls and context is not None:
            # Loaded where it is used: a program that needs no TLS and no WebSocket is not to wait.
            from trio_mqtt.transport.connectors.tls_stream import open_tls

            stream = await open_tls(
                stream,
                address,
                context,
                server_name=self._server_name(address),
                has_certificate=self.has_certificate,
            )
        if address.is_websocket:
            from trio_mqtt.transport.connectors.websocket_stream import open_websocket

            stream = await open_websocket(stream, address, self.headers)
        return stream

    async def _connect(self, address: Address) -> LowerStream:
        proxy = self.proxy
        if isinstance(proxy, bool):
            named = proxy_of_environment(address) if proxy else None
            if named is None:
                return await connect_tcp(address, self.bind_address)
            proxy = named
        from trio_mqtt.transport.connectors.proxied import connect_through

        return await connect_through(proxy, address, self.bind_address)

    def _server_name(self, address: Address) -> str | None:
        if (address.domain or address.host) in self.hosts:
            return self.server_name
        return None


def connector_for(
    address: Address,
    tls: ssl.SSLContext | TlsOptions | None = None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    *,
    others: Sequence[Address] = (),
    proxy: str | bool = False,
    bind_address: str | None = None,
) -> UrlConnector:
    """What opens the streams of a client of the broker at `address`, or at one of `others`.

    `proxy` is the URL of one, or True for what the environment names. Raises ValueError where
    `tls`, `headers`, `proxy` or `bind_address` would go unused or is none, TypeError for one of
    another kind, TlsError for files of certificates that cannot be used, ImportError where proxies
    would need a package.
    """
    through = _proxy_for((address, *others), proxy)
    found = _connector_for(address, tls, headers, others)
    found.proxy = through
    if bind_address is not None:
        if not bind_address:
            raise ValueError("bind_address is empty: it takes an address of this machine.")
        if all(one.scheme == "unix" for one in (address, *others)):
            raise ValueError(
                f"{address.url} is a socket of this machine, without an address to connect from."
            )
        found.bind_address = bind_address
    return found


def _proxy_for(addresses: Sequence[Address], proxy: object) -> Proxy | bool:
    if not isinstance(proxy, str | bool):
        raise TypeError(f"proxy is a URL, or True for the environment's, not {proxy!r}.")
    if proxy is False:
        return False
    if proxy is True:
        if all(proxy_of_environment(one) is None for one in addresses):
            return True  # for those that the client may be sent to
        check_proxies_can_be_used()
        return True
    found = parse_proxy(proxy)
    if all(one.scheme == "unix" for one in addresses):
        raise ValueError(
            f"{addresses[0].url} is a socket of this machine, to which no proxy leads."
        )
    check_proxies_can_be_used()
    return found


def _connector_for(
    address: Address,
    tls: ssl.SSLContext | TlsOptions | None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    others: Sequence[Address],
) -> UrlConnector:
    pairs = checked_headers(headers)
    addresses = (address, *others)
    by_tls = any(one.is_tls for one in addresses)
    if pairs and not any(one.is_websocket for one in addresses):
        raise ValueError(
            f"{address.url} is no WebSocket, so that headers cannot be sent. Write ws:// or wss://."
        )
    if tls is not None and not by_tls:
        raise ValueError(
            f"{address.url} does without TLS, although `tls` is given. Write mqtts:// or wss://."
        )
    match tls:
        case None:
            context = client_context(TlsOptions()) if by_tls else None
            return UrlConnector(context, headers=pairs)
        case TlsOptions():
            return UrlConnector(
                client_context(tls),
                frozenset(one.host for one in addresses),
                tls.server_name,
                tls.certificate is not None,
                pairs,
            )
        case ssl.SSLContext():
            return UrlConnector(tls, headers=pairs)
    raise TypeError(f"`tls` is an ssl.SSLContext or TlsOptions, not {type(tls).__name__}.")


def checked_headers(
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
) -> tuple[tuple[str, str], ...]:
    """Headers for WebSocket's request, if they can be headers. Raises ValueError."""
    given: Iterable[tuple[str, str]] = headers.items() if isinstance(headers, Mapping) else headers  # pyright: ignore[reportAssignmentType]
    pairs = tuple(given)
    for name, value in pairs:
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"{name!r}: {value!r} cannot be a header of HTTP.")
        if name.lower().startswith("sec-websocket-") or name.lower() in _OWN:
            raise ValueError(f"The header {name!r} is not for programs to set.")
    return pairs


_OWN = frozenset({"host", "connection", "upgrade", "content-length", "transfer-encoding"})
