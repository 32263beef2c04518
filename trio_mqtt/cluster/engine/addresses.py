"""What the URL of an engine says: where it is, of which kind, and how to speak with it."""

from __future__ import annotations

from enum import Enum
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from trio_mqtt.cluster.settings import without_password
from trio_mqtt.errors import InvalidUrlError
from trio_mqtt.records import record

PORT = 6379
SENTINEL_PORT = 26379

_HINT = "An engine's address reads redis://HOST:PORT/DATABASE, for example redis://localhost:6379/0"


class Kind(Enum):
    """How the engine is made up."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


_SCHEMES = {
    "redis": (Kind.SINGLE, False),
    "rediss": (Kind.SINGLE, True),
    "valkey": (Kind.SINGLE, False),
    "valkeys": (Kind.SINGLE, True),
    "unix": (Kind.SINGLE, False),
    "redis+unix": (Kind.SINGLE, False),
    "redis+sentinel": (Kind.SENTINEL, False),
    "rediss+sentinel": (Kind.SENTINEL, True),
    "redis+cluster": (Kind.CLUSTER, False),
    "rediss+cluster": (Kind.CLUSTER, True),
}


@record
class Place:
    """Where one process of the engine, or a Sentinel, listens: a host and port, or a path."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@record(kw_only=True)
class EngineAddress:
    """What a URL says of an engine."""

    kind: Kind
    places: tuple[Place, ...]
    service: str = ""  # what its Sentinels call it
    database: int = 0
    username: str | None = None
    password: str | None = None
    is_tls: bool = False
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None

    @property
    def shown(self) -> str:
        """It as people see it: no password, and no more than says which it is."""
        places = ", ".join(map(str, self.places))
        if self.kind is Kind.SENTINEL:
            return f"{self.service} (of the Sentinels at {places})"
        return places


def parse_engine_url(url: str) -> EngineAddress:
    """What the URL of an engine says.

    Raises InvalidUrlError, whose text says what is wrong and shows a right one.
    """
    shown = without_password(url)
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidUrlError(f"{shown!r} is not an address: {error}. {_HINT}.") from error
    if parts.scheme not in _SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in _SCHEMES)
        raise InvalidUrlError(f"{shown!r} does not start with {known}. {_HINT}.")
    kind, is_tls = _SCHEMES[parts.scheme]
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    query = _query(shown, parts, is_tls)
    if parts.scheme.endswith("unix"):
        if hosts or parts.path in ("", "/"):
            raise InvalidUrlError(
                f"{shown!r} names no socket: a Unix socket reads {parts.scheme}:///PATH, three"
                f" slashes, for example {parts.scheme}:///run/redis/redis.sock."
            )
        places: tuple[Place, ...] = (Place(path=unquote(parts.path)),)
        database = query.pop("db", "")
    else:
        port = SENTINEL_PORT if kind is Kind.SENTINEL else PORT
        places = tuple(_place(shown, host, port) for host in hosts.split(","))
        database = "" if kind is Kind.SENTINEL else parts.path.strip("/")
    if kind is Kind.SINGLE and len(places) > 1:
        raise InvalidUrlError(
            f"{shown!r} names several hosts: an engine of several processes reads"
            " redis+cluster://HOST:PORT,HOST:PORT or redis+sentinel://HOST:PORT,HOST:PORT/NAME."
        )
    service = ""
    if kind is Kind.SENTINEL:
        service, _, database = parts.path.strip("/").partition("/")
        if not service:
            raise InvalidUrlError(
                f"{shown!r} does not say what the Sentinels call the engine: it reads"
                " redis+sentinel://HOST:PORT,HOST:PORT/NAME, for example .../mymaster."
            )
    return EngineAddress(
        kind=kind,
        places=places,
        service=unquote(service),
        database=_database(shown, kind, database),
        username=unquote(user) or None,
        password=unquote(password) or None,
        is_tls=is_tls,
        cafile=query.get("cafile"),
        certfile=query.get("certfile"),
        keyfile=query.get("keyfile"),
    )


def _query(shown: str, parts: SplitResult, is_tls: bool) -> dict[str, str]:
    found = dict(parse_qsl(parts.query, keep_blank_values=True))
    known = {"cafile", "certfile", "keyfile"} if is_tls else set()
    if parts.scheme.endswith("unix"):
        known = {"db"}
    for name in found.keys() - known:
        more = f"; it may have {', '.join(sorted(known))}" if known else ""
        raise InvalidUrlError(f"{shown!r}: there is no {name!r} in such an address{more}.")
    if parts.fragment:
        raise InvalidUrlError(
            f"{shown!r} has a fragment; a # in a password is written %23. {_HINT}."
        )
    return found


def _place(shown: str, written: str, port: int) -> Place:
    try:
        parts = urlsplit(f"//{written}")
        host, given = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidUrlError(f"{shown!r} is not an address: {error}. {_HINT}.") from error
    if not host:
        raise InvalidUrlError(f"{shown!r} names no host. {_HINT}.")
    return Place(host, port if given is None else given)


def _database(shown: str, kind: Kind, written: str) -> int:
    if not written:
        return 0
    if not written.isascii() or not written.isdigit():
        raise InvalidUrlError(f"{shown!r}: {written!r} is no number of a database. {_HINT}.")
    if kind is Kind.CLUSTER and int(written):
        raise InvalidUrlError(f"{shown!r}: a Redis Cluster has database 0 alone.")
    return int(written)
