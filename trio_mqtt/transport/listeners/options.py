"""How a broker listens at one address."""

from __future__ import annotations

import socket as sockets
from collections.abc import Collection
from dataclasses import KW_ONLY, field
from os import PathLike
from typing import Literal, TypeAlias

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.records import record

Path: TypeAlias = str | PathLike[str]


@with_attribute_docs
@record
class ServerTls:
    """The certificate that a listener shows, and those that it asks its clients for.

    Files are PEM; they are read when the broker begins to listen, and again by its `reload`. Raises
    ConfigurationError for a choice that there is not.
    """

    certificate: Path
    """A file: the chain, the broker's own certificate first, and the key too without `key`."""
    key: Path | None = None
    """A file: the private key, without a passphrase, as nobody is there to type it."""
    _: KW_ONLY
    ca: Path | None = None
    """A file: the authorities whose client certificates count. None: no client is asked for one."""
    client_certificates: Literal["none", "optional", "required"] | None = None
    """Whether a client must show one: "optional" lets in who has none, but no one with a bad one.

    None: "required" with `ca`, "none" without.
    """
    username: Literal["common-name", "subject"] | None = None
    """Takes the user name from the client's certificate, whatever CONNECT says.

    It is the certificate's common name, or its whole subject (RFC 4514, "CN=sensor,O=Example").
    None: the user name is that of CONNECT.
    """

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


class UntriedTls(ServerTls):
    """Certificates that are shown as they are, also those that no client would accept.

    For tests of such clients; they may have expired while a broker ran.
    """


@with_attribute_docs
@record
class Endpoint:
    """Where a broker listens, and how it gets from a socket to the bytes of MQTT.

    Networks are written as "10.0.0.0/8" or single addresses. Raises ConfigurationError for what no
    listener can do, and TypeError for what is of another kind; what its files and networks are is
    looked at when the broker begins to listen.
    """

    url: str
    """Where to listen, and what is spoken there. Port 0 takes a free one: `broker.url` has it."""
    _: KW_ONLY
    tls: ServerTls | None = None
    """The certificates, which mqtts:// and wss:// need, any:// may have, and others must not."""
    origins: Collection[str] | None = None
    """WebSocket: the pages that may connect, by origin ("https://example.org"); "*" for any.

    None: those from the host that they connect to. Programs that are no browsers send none, and are
    not held to this.
    """
    hosts: Collection[str] | None = None
    """WebSocket: by what clients may call the broker, in the Host of their request.

    Names, "*.example.org", addresses, networks; "*" for anything. None: at a listener that only
    this machine reaches, localhost and loopback addresses, unless there are `origins` (a page
    elsewhere could have its own name lead here); else anything.
    """
    trusted_proxies: Collection[str] = ()
    """WebSocket: the networks of proxies whose X-Forwarded-For is believed."""
    proxy_protocol: Collection[str] = ()
    """The networks of proxies that begin each connection by a header of the PROXY protocol.

    Version 1 or 2; "unix" for those that come through a Unix socket. Others speak for themselves.
    """
    mode: int | None = None
    """Unix: the permissions of the socket. None: 0o660, this user and its group."""
    group: str | int | None = None
    """Unix: the group of the socket, by name or number. None: this user's own."""
    reuse_port: bool = False
    """TCP: whether other processes of this user may listen at the same port, so that the kernel
    gives each new client to one of them (SO_REUSEPORT): the nodes of a cluster on one machine."""
    allow_anonymous: bool | None = None
    """Whether clients without a user name may connect here. None: as the broker is set."""
    socket: sockets.socket | None = field(default=None, compare=False)
    """A socket that listens already, such as one inherited from systemd. The broker closes it.

    The URL says what is spoken on it.
    """

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
        if self.reuse_port not in (True, False):
            raise TypeError(f"reuse_port is True or False, not {self.reuse_port!r}.")
        if self.reuse_port and self.url.startswith("unix:"):
            raise ConfigurationError(
                f"reuse_port has no meaning for {self.url}: a Unix socket is one process's alone."
            )
        if self.mode is not None:
            if not isinstance(self.mode, int):
                raise TypeError(f"mode is an int, such as 0o660, not {self.mode!r}.")
            if not 0 <= self.mode <= 0o777:
                raise ConfigurationError(
                    f"The permissions of a socket are from 0 to 0o777, not {self.mode:#o}."
                )
