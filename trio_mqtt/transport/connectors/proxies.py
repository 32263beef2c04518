"""Which proxy a connection goes through, as a URL or the environment says it."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from trio_mqtt.errors import InvalidUrlError
from trio_mqtt.optional import proxies_are_missing
from trio_mqtt.records import record
from trio_mqtt.transport.urls import Address

# The port, if none is given, and as what the library knows it; SOCKS 4 asks it for names itself.
_KINDS = {
    "socks5": (1080, "socks5"),
    "socks5h": (1080, "socks5"),
    "socks": (1080, "socks5"),
    "socks4": (1080, "socks4"),
    "socks4a": (1080, "socks4"),
    "http": (80, "http"),
    "https": (443, "http"),
}
_PASSWORD = re.compile(r"(//[^/@:]*:).*@")


@record
class Proxy:
    """A proxy by SOCKS or by CONNECT of HTTP."""

    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str | None = None

    @property
    def url(self) -> str:
        """Its URL, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def kind(self) -> str:
        """What it speaks: "socks5", "socks4" or "http"."""
        return _KINDS[self.scheme][1]

    @property
    def is_asked_for_names(self) -> bool:
        """Whether it looks up the names of servers, as nearly all do."""
        return self.scheme != "socks4"


def parse_proxy(url: str) -> Proxy:
    """The proxy that a URL names. Raises InvalidUrlError, whose text shows a right one."""
    hint = "A proxy reads socks5://HOST:1080 or http://HOST:8080."
    shown = _PASSWORD.sub(r"\1…@", url)
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidUrlError(f"{shown!r} is no proxy: {error}. {hint}") from error
    if parts.scheme in _KINDS and not host:
        raise InvalidUrlError(f"{shown!r} is no proxy: it names no host. {hint}")
    if parts.scheme not in _KINDS or not host:
        known = ", ".join(f"{scheme}://" for scheme in _KINDS)
        raise InvalidUrlError(f"{shown!r} is no proxy: it does not begin with {known}. {hint}")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InvalidUrlError(f"{shown!r} is no proxy: it has more than a host and a port. {hint}")
    return Proxy(
        parts.scheme,
        host,
        _KINDS[parts.scheme][0] if port is None else port,
        None if parts.username is None else unquote(parts.username),
        None if parts.password is None else unquote(parts.password),
    )


def proxy_of_environment(address: Address) -> Proxy | None:
    """The proxy that the usual variables name for an address; None where they name none.

    They are ALL_PROXY, for WebSocket first HTTP_PROXY and HTTPS_PROXY, and NO_PROXY with the hosts
    that need none; in small letters as well. Raises InvalidUrlError.
    """
    # Loaded where it is used: it is large.
    import urllib.request as library

    bypass: Callable[[str, dict[str, str]], bool] = vars(library)["proxy_bypass_environment"]
    proxies = library.getproxies_environment()
    own = {"ws": "http", "wss": "https"}.get(address.scheme, "all")
    url = proxies.get(own) or proxies.get("all")
    place = f"{address.host}:{address.port}"
    if not url or address.scheme == "unix" or bypass(place, proxies):
        return None
    return parse_proxy(url)


def check_proxies_can_be_used() -> None:
    """Raise ImportError, whose text says what to install, where the library is missing."""
    try:
        import python_socks.async_.anyio.v2  # noqa: F401 # few need it
    except ImportError as error:
        raise ImportError(proxies_are_missing()) from error
