"""Addresses of brokers: `mqtt://HOST:PORT`, and the same for TLS, WebSocket and Unix sockets."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from trio_mqtt.errors import InvalidUrlError
from trio_mqtt.records import record

# Those that a client can connect to. `any` is for listening alone: plain, TLS and WebSocket on one
# port.
DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
LISTENING_PORTS = DEFAULT_PORTS | {"any": 1883}
WEBSOCKET_PATH = "/mqtt"

# What others write for the same, and a client understands.
_OTHER_NAMES = {"tcp": "mqtt", "ssl": "mqtts", "tls": "mqtts", "mqtt+unix": "unix"}
# Those of a domain whose SRV records name the servers (RFC 2782).
_BY_RECORDS = {"mqtt+srv": "mqtt", "mqtts+srv": "mqtts"}
_CLIENT_ID = "clientId"  # in a query, as MQTT.js has it

# What people write for an address, or nearly.
_PORT = re.compile(r"[0-9]{1,5}")
_HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:]+\]|[a-zA-Z0-9][a-zA-Z0-9.-]*)(:[0-9]{1,5})?")
_WRONG_SLASHES = re.compile(r"(mqtts?|wss?)[:/]+(?![0-9]+$)(.+)")

# What nobody should read over a shoulder, or in a log.
_PASSWORD = re.compile(r"(//[^/@:]*:).*@")

_TLS = frozenset({"mqtts", "wss"})
_WEBSOCKET = frozenset({"ws", "wss"})


@record
class Address:
    """Where a broker listens or is found, as its URL says.

    A Unix socket has a path and neither host nor port; WebSocket has all three, and may have a
    query, which goes with its request. `client_id` is the client identifier that the URL names.
    `domain` is the domain whose SRV records name the server; where that has not been asked for yet,
    it is the host as well, and the port 0.
    """

    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str | None = None
    path: str = ""
    query: str = ""
    client_id: str = ""
    domain: str = ""

    @property
    def url(self) -> str:
        """The address as a URL, without credentials; nor the query, which may be some."""
        if self.scheme == "unix":
            return f"unix://{quote(self.path)}"
        if self.is_by_records:
            return f"{self.scheme}+srv://{self.domain}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def to_look_up(self) -> str | bytes:
        """The host for `getaddrinfo`: of text, Python loads its tables of names in all scripts."""
        return self.host.encode() if self.host.isascii() else self.host

    @property
    def whole_url(self) -> str:
        """The URL with its query, still without credentials."""
        return f"{self.url}?{self.query}" if self.query else self.url

    @property
    def is_by_records(self) -> bool:
        """Whether SRV records are to be asked for the host and the port."""
        return bool(self.domain) and not self.port

    @property
    def is_tls(self) -> bool:
        """Whether the bytes go through TLS; at `any://` they may or may not."""
        return self.scheme in _TLS

    @property
    def is_websocket(self) -> bool:
        """Whether the bytes go through WebSocket; at `any://` they may or may not."""
        return self.scheme in _WEBSOCKET


def parse_url(url: str, *, listening: bool = False) -> Address:
    """The address that `url` names; a port left out is the scheme's (1883, 8883, 80, 443).

    `listening` allows `any://` as well, and a client what others write: `tcp://` for `mqtt://`,
    `ssl://` and `tls://` for `mqtts://`, `mqtt+unix://` for `unix://`, and `?clientId=` behind
    them; and `mqtt+srv://` or `mqtts+srv://` before a domain with SRV records. WebSocket's path is
    `/mqtt` unless the URL says another.
    Raises InvalidUrlError, whose text says what is wrong and shows a right one.
    """
    hint = "An address reads mqtt://HOST or mqtt://HOST:PORT, for example mqtt://localhost:1883."
    shown = _PASSWORD.sub(r"\1…@", url)
    ports = LISTENING_PORTS if listening else DEFAULT_PORTS
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        is_port = str(error).startswith("Port")
        why = "its port is no number from 0 to 65535" if is_port else str(error)
        raise InvalidUrlError(f"{shown!r} is not an address: {why}. {hint}") from error
    if not listening:
        parts = parts._replace(scheme=_OTHER_NAMES.get(parts.scheme, parts.scheme))
    client_id = "" if listening else _client_id(shown, parts, hint)
    if parts.scheme == "unix":
        return _unix(shown, parts, client_id)
    domain = ""
    if not listening and parts.scheme in _BY_RECORDS:
        if port is not None:
            raise InvalidUrlError(f"{shown!r} has a port, which its SRV records say. {hint}")
        parts = parts._replace(scheme=_BY_RECORDS[parts.scheme])
        domain = host or ""
    if parts.scheme not in ports or not url.partition(":")[2].startswith("//"):
        known = ", ".join(f"{scheme}://" for scheme in (*ports, "unix"))
        raise InvalidUrlError(f"{shown!r} does not start with {known}. {hint}{_meant(url)}")
    if not host:
        raise InvalidUrlError(f"{shown!r} names no host. {hint}")
    websocket = parts.scheme in _WEBSOCKET
    query = "" if client_id and not websocket else parts.query
    more = query and (listening or not websocket)
    if (parts.path not in ("", "/") and not websocket) or more or parts.fragment:
        raise InvalidUrlError(f"{shown!r} has more than a host and a port. {hint}")
    path = (parts.path or WEBSOCKET_PATH) if websocket else ""
    return Address(
        parts.scheme,
        host,
        0 if domain else ports[parts.scheme] if port is None else port,
        *_credentials(parts),
        path,
        query,
        client_id,
        domain,
    )


def _client_id(shown: str, parts: SplitResult, hint: str) -> str:
    """The client identifier that a query names; beside it, only that of a WebSocket has more."""
    if _CLIENT_ID not in parts.query:
        return ""
    names = parse_qsl(parts.query, keep_blank_values=True)
    found = [value for name, value in names if name == _CLIENT_ID]
    is_all = len(names) == 1 or parts.scheme in _WEBSOCKET
    if len(found) != 1 or not found[0] or not is_all:
        raise InvalidUrlError(f"{shown!r} has more than a host, a port and one clientId. {hint}")
    return found[0]


def _meant(url: str) -> str:
    """A question whether this was meant, where it is clear what may have been; else nothing."""
    if _PORT.fullmatch(url):
        meant = f"mqtt://localhost:{url}"
    elif (found := _WRONG_SLASHES.fullmatch(url)) and _HOST_AND_PORT.fullmatch(found[2]):
        meant = f"{found[1]}://{found[2]}"
    elif _HOST_AND_PORT.fullmatch(url):
        meant = f"mqtt://{url}"
    else:
        return ""
    return f" Did you mean {meant}?"


def _unix(shown: str, parts: SplitResult, client_id: str) -> Address:
    where = parts.netloc.rpartition("@")[2]
    more = parts.query and not client_id
    if where or parts.path in ("", "/") or more or parts.fragment:
        raise InvalidUrlError(
            f"{shown!r} names no socket: a Unix socket reads unix:///PATH, three slashes,"
            " for example unix:///run/mqtt.sock (and TCP mqtt://localhost:1883)."
        )
    return Address("unix", "", 0, *_credentials(parts), unquote(parts.path), client_id=client_id)


def _credentials(parts: SplitResult) -> tuple[str | None, str | None]:
    """The user name and the password in a URL."""
    return (
        None if parts.username is None else unquote(parts.username),
        None if parts.password is None else unquote(parts.password),
    )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine as it calls itself; any other name may be anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
