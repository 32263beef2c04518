"""Addresses of brokers: `mqtt://HOST:PORT`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from trio_mqtt.errors import InvalidUrlError

DEFAULT_PORTS = {"mqtt": 1883}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a broker listens or is found, as its URL says."""

    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str | None = None

    @property
    def url(self) -> str:
        """The address as a URL, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_url(url: str) -> Address:
    """The address that `url` names; a port left out is the scheme's (1883).

    Raises InvalidUrlError, whose text says what is wrong and shows a right one.
    """
    hint = "An address reads mqtt://HOST or mqtt://HOST:PORT, for example mqtt://localhost:1883."
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidUrlError(f"{url!r} is not an address: {error}. {hint}") from error
    if parts.scheme not in DEFAULT_PORTS or not parts.netloc:
        known = ", ".join(f"{scheme}://" for scheme in DEFAULT_PORTS)
        raise InvalidUrlError(f"{url!r} does not start with {known}. {hint}")
    if not host:
        raise InvalidUrlError(f"{url!r} names no host. {hint}")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InvalidUrlError(f"{url!r} has more than a host and a port. {hint}")
    return Address(
        parts.scheme,
        host,
        DEFAULT_PORTS[parts.scheme] if port is None else port,
        None if parts.username is None else unquote(parts.username),
        None if parts.password is None else unquote(parts.password),
    )
