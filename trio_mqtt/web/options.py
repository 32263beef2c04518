"""Where the HTTP API is served, to whom, and within which bounds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field
from os import PathLike
from typing import Literal, TypeAlias

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.records import record
from trio_mqtt.transport.http_addresses import host_and_port
from trio_mqtt.transport.peers import UNIX, Networks
from trio_mqtt.transport.urls import is_loopback

Path: TypeAlias = str | PathLike[str]

WebRole = Literal["see", "operate", "administrate"]
"""What somebody may do: each role may do what those before it may, and more."""

_SHORTEST = 20  # characters of a token that nobody guesses


@with_attribute_docs
@record(kw_only=True)
class WebToken:
    """A program that uses the HTTP API, as `Authorization: Bearer TOKEN`."""

    token: str = field(repr=False, metadata={"secret": True})
    """What it shows, 20 characters or more that nobody guesses: `openssl rand -hex 32` makes
    them."""
    role: WebRole = "see"
    """What it may do: "see", "operate" or "administrate"."""

    def __post_init__(self) -> None:
        if len(self.token) < _SHORTEST or not self.token.isascii() or not self.token.isprintable():
            raise ConfigurationError(
                f"a token has {_SHORTEST} characters or more, all printable ASCII:"
                " `openssl rand -hex 32` makes one"
            )


@with_attribute_docs
@record(kw_only=True)
class WebOptions:
    """The HTTP API. Raises ConfigurationError for what makes no sense or would be unsafe."""

    listen: str | None = None
    """Where it is served, as HOST:PORT, such as 127.0.0.1:8080; port 0 takes a free one. None:
    nowhere. Elsewhere than on this machine it takes a certificate, or `plain`."""
    roles: Mapping[str, WebRole] = field(default_factory=dict)
    """Users of the broker's password file who may log in, each with a role: "see" (look at all
    there is), "operate" (disconnect, end sessions, publish, remove retained messages) or
    "administrate" (ban, give and take subscriptions)."""
    tokens: Mapping[str, WebToken] = field(default_factory=dict)
    """Programs that may ask, by a name for each."""
    certificate: Path | None = None
    """A file: the certificate for HTTPS, with its chain (PEM)."""
    key: Path | None = None
    """The file of its key. None: it is in the same file."""
    plain: bool = False
    """Whether it may be served elsewhere than on this machine without a certificate, such as behind
    a proxy that speaks HTTPS."""
    trusted_proxies: Collection[str] = ()
    """Networks of proxies, such as 10.0.0.0/8 or a single address, whose word counts of who asks
    (X-Forwarded-For), and whether by HTTPS (X-Forwarded-Proto). Without them all who come through
    a proxy have its address: wrong passwords from one of them hold up the others."""
    socket: bool = False
    """Whether the broker's own user may ask at a Unix socket, admin.sock in the folder of
    storage.path, without logging in. With `listen` it is there in any case, where there is that
    folder."""
    session_time: float = 43_200.0
    """Seconds after which who has logged in has to do so again."""
    idle_time: float = 1_800.0
    """Seconds after which who does nothing has to."""
    failed_logins_per_minute: int = 10
    """Wrong passwords for one user, or from one address (IPv6: one /64), in a minute; beyond, none
    is looked at."""
    maximum_requests: int = 64
    """Requests at one time, those that stream among them; others are answered with 503."""

    def __post_init__(self) -> None:
        for name in ("session_time", "idle_time"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name} is more than 0 seconds")
        for name in ("failed_logins_per_minute", "maximum_requests"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} is 1 or more")
        if isinstance(self.trusted_proxies, str):
            raise ConfigurationError("trusted_proxies is a list of networks, not one text")
        if UNIX in self.trusted_proxies:
            raise ConfigurationError(
                "trusted_proxies are networks: the Unix socket is for the broker's own user"
            )
        Networks(self.trusted_proxies, "the HTTP API")
        if self.key is not None and self.certificate is None:
            raise ConfigurationError("a key is of a certificate, of which there is none")
        if self.listen is None:
            return
        host, _ = self.host_and_port
        if self.certificate is None and not self.plain and not is_loopback(host):
            raise ConfigurationError(
                f"{self.listen} can be reached from other machines, and passwords would go there in"
                " the clear: name a certificate, or say that it is plain, behind a proxy"
            )

    @property
    def host_and_port(self) -> tuple[str, int]:
        """The address in `listen`."""
        return host_and_port(self.listen or "", "the HTTP API is served", "127.0.0.1:8080")
