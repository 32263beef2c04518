"""How a broker listens at one address, and what a connection accepted there has shown of itself."""

from __future__ import annotations

import socket as sockets
from collections.abc import Collection
from dataclasses import KW_ONLY, dataclass, field
from os import PathLike
from typing import Literal, TypeAlias

from trio_mqtt.errors import ConfigurationError

Path: TypeAlias = "str | PathLike[str]"


@dataclass(frozen=True, slots=True)
class ServerTls:
    """The certificate that a listener shows, and those that it asks its clients for.

    Files are PEM. `certificate` holds the chain, the broker's own first, and the key too where
    `key` is not given. `ca` are the authorities whose client certificates count; with it, they are
    required unless `client_certificates` says "optional" (who has one must show a good one) or
    "none". `username` takes the user name from the certificate: its common name, or its whole
    subject (RFC 4514, "CN=sensor,O=Example").
    """

    certificate: Path
    key: Path | None = None
    _: KW_ONLY
    ca: Path | None = None
    client_certificates: Literal["none", "optional", "required"] | None = None
    username: Literal["common-name", "subject"] | None = None

    def __post_init__(self) -> None:
        asked, username = self.client_certificates, self.username
        if asked not in (None, "none", "optional", "required"):
            raise ConfigurationError(
                f"Client certificates are 'none', 'optional' or 'required', not {asked!r}."
            )
        if username not in (None, "common-name", "subject"):
            raise ConfigurationError(
                f"A user name is a certificate's 'common-name' or 'subject', not {username!r}."
            )


@dataclass(frozen=True, slots=True)
class Listen:
    """One listener of a broker: its address as a URL, and what holds for it alone.

    Addresses are `mqtt://HOST:PORT`, `mqtts://` (TLS), `ws://` and `wss://` (WebSocket),
    `unix:///PATH`, and `any://HOST:PORT`, which serves MQTT, WebSocket, and both within TLS if it
    has a certificate, on one port. Networks are written as "10.0.0.0/8" or single addresses.

        Listen("mqtts://0.0.0.0:8883", tls=ServerTls("server.pem", "server.key"))

    Raises ConfigurationError for what no listener can do, and TypeError for what is of another
    kind; what its files and networks are is looked at when the broker begins to listen.
    """

    url: str
    _: KW_ONLY
    tls: ServerTls | None = None
    # WebSocket: the pages that may connect, by their origin ("https://example.org"), "*" for any.
    # None: those from the host that they connect to. Programs that are no browsers send none.
    origins: Collection[str] | None = None
    # WebSocket: by what clients may call the broker, in the Host of their request: names,
    # "*.example.org", addresses, networks; "*" for anything. None: at a listener that only this
    # machine reaches, localhost and loopback addresses, unless there are `origins`; else anything.
    hosts: Collection[str] | None = None
    # WebSocket: the networks of proxies whose X-Forwarded-For is believed.
    trusted_proxies: Collection[str] = ()
    # The networks of proxies that begin each connection by a header of the PROXY protocol (version
    # 1 or 2), "unix" for those that come through a Unix socket. Others speak for themselves.
    proxy_protocol: Collection[str] = ()
    # Unix: the permissions and the group of the socket.
    mode: int | None = None
    group: str | int | None = None
    # Whether clients without a user name may connect here. None: as the broker is set.
    allow_anonymous: bool | None = None
    # A socket that listens already, such as one inherited from systemd; the URL says what is
    # spoken on it. The broker closes it.
    socket: sockets.socket | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.tls is not None and not isinstance(self.tls, ServerTls):
            raise TypeError(f"tls is a trio_mqtt.ServerTls, not {self.tls!r}.")
        for name in ("origins", "hosts", "trusted_proxies", "proxy_protocol"):
            value = getattr(self, name)
            if isinstance(value, str | bytes):
                # Else each of its characters would count as one.
                raise TypeError(f"{name} is a collection, such as [{value!r}], not {value!r}.")
        for origin in self.origins or ():
            if origin not in ("*", "null") and "://" not in origin:
                raise ConfigurationError(
                    f"The origin {origin!r} is none of a page: it reads https://HOST, or *."
                )
        if self.allow_anonymous not in (None, True, False):
            raise TypeError(
                f"allow_anonymous is True, False or None, not {self.allow_anonymous!r}."
            )
        if self.mode is not None:
            if not isinstance(self.mode, int):
                raise TypeError(f"mode is an int, such as 0o660, not {self.mode!r}.")
            if not 0 <= self.mode <= 0o777:
                raise ConfigurationError(
                    f"The permissions of a socket are from 0 to 0o777, not {self.mode:#o}."
                )


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What a client's certificate says; an authority that the listener trusts has signed it."""

    # None where there is no common name, or more than one: then it names nobody.
    common_name: str | None
    # As RFC 4514 writes it: "CN=sensor,O=Example".
    subject: str
    serial_number: str
    # Seconds since 1970 at which it expires.
    expires: float


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection comes from."""

    # What accepted it; None for streams that the program itself hands to the broker.
    listener: Listen | None
    # The client's address, behind the proxies that the listener trusts.
    peer: str
    certificate: ClientCertificate | None = None
    # Whether the bytes came through TLS.
    is_encrypted: bool = False

    @property
    def is_behind_proxies(self) -> bool:
        """Whether the client's address may be one that a proxy tells, and is not known at once."""
        listener = self.listener
        return listener is not None and bool(listener.trusted_proxies or listener.proxy_protocol)

    @property
    def asks_for_certificate_name(self) -> bool:
        """Whether the listener takes user names from certificates."""
        tls = None if self.listener is None else self.listener.tls
        return tls is not None and tls.username is not None

    @property
    def username(self) -> str | None:
        """The user name that the certificate gives, where the listener takes it from there."""
        if self.certificate is None or self.listener is None or self.listener.tls is None:
            return None
        kind = self.listener.tls.username
        if kind == "common-name":
            return self.certificate.common_name
        return self.certificate.subject if kind == "subject" else None
