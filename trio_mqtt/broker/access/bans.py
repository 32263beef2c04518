"""Bans: clients, users and addresses that may not connect, for a time or until they are lifted."""

import ipaddress
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.transport.peers import address_of, host_of

MOST = 10_000  # bans in force at one time: some 5 MB
_MAPPED = 96  # bits of an IPv6 address before an IPv4 address that it holds (RFC 4291 §2.5.5.2)

BanKind = Literal["client", "user", "address"]
"""What a ban goes by: a client identifier, a user name, or an address."""


@with_attribute_docs
@dataclass(frozen=True, slots=True, kw_only=True)
class Ban:
    """Somebody who may not connect."""

    kind: BanKind
    """What tells who it is: a client identifier, a user name, or an address."""
    value: str
    """The identifier, name, address or network."""
    since: float
    """When it began, in seconds since 1970."""
    until: float | None = None
    """When it ends; None is when it is lifted."""
    reason: str = ""
    """Why."""
    by: str = ""
    """Who has said so."""

    @property
    def text(self) -> str:
        """The ban in words that outlive the broker: see `restored`."""
        return json.dumps(asdict(self))

    @classmethod
    def restored(cls, text: str) -> "Ban":
        """A ban as an earlier broker has kept it. Raises ValueError or TypeError for other text."""
        return cls(**json.loads(text))


class Bans:
    """The bans of one broker. A look at who comes takes as long for ten thousand as for one."""

    __slots__ = ("_bans", "_lengths", "ends")

    def __init__(self) -> None:
        self.ends: Callable[[Ban], None] = lambda _ban: None
        """Ends the connections for which a ban holds that another broker has said."""
        self._bans: dict[tuple[BanKind, str], Ban] = {}
        # How many networks are banned of each version and length: those are looked for.
        self._lengths: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._bans)

    def __contains__(self, ban: Ban) -> bool:
        return self._bans.get((ban.kind, ban.value)) == ban

    def all(self) -> list[Ban]:
        """The bans in force, the latest last."""
        self._forget_ended()
        return list(self._bans.values())

    def add(self, ban: Ban) -> None:
        """From now on this holds, in place of another of the same.

        Raises LocalProtocolError where there are too many.
        """
        key = ban.kind, ban.value
        self.remove(*key)
        if len(self._bans) >= MOST:
            self._forget_ended()
        if len(self._bans) >= MOST:
            raise LocalProtocolError(f"There are {MOST} bans: lift some first.")
        self._bans[key] = ban
        if ban.kind == "address":
            length = _length(ban.value)
            self._lengths[length] = self._lengths.get(length, 0) + 1

    def remove(self, kind: BanKind, value: str) -> Ban | None:
        """Lift a ban; None where there was none."""
        ban = self._bans.pop((kind, value), None)
        if ban is not None and kind == "address":
            length = _length(value)
            self._lengths[length] -= 1
            if not self._lengths[length]:
                del self._lengths[length]
        return ban

    def find(self, client_id: str | None, username: str | None, peer: str) -> Ban | None:
        """The ban that holds for a client, if one does. `peer` is HOST:PORT."""
        if not self._bans:
            return None
        for key in self._keys(client_id, username, peer):
            ban = self._bans.get(key)
            if ban is not None:
                if ban.until is None or ban.until > time.time():
                    return ban
                self.remove(*key)
        return None

    def _keys(
        self, client_id: str | None, username: str | None, peer: str
    ) -> Iterator[tuple[BanKind, str]]:
        if client_id:
            yield "client", client_id
        if username:
            yield "user", username
        address = address_of(host_of(peer)) if self._lengths else None
        if address is not None:
            for version, length in list(self._lengths):
                if version == address.version:
                    yield "address", _text(ipaddress.ip_network((address, length), strict=False))

    def _forget_ended(self) -> None:
        now = time.time()
        for ban in list(self._bans.values()):
            if ban.until is not None and ban.until <= now:
                self.remove(ban.kind, ban.value)


def banned_value(kind: BanKind, value: str) -> str:
    """Who is banned, as it is kept: an address or network in the one way to write it.

    Raises LocalProtocolError for what nobody can be called.
    """
    if not value or "\0" in value:
        raise LocalProtocolError(f"a {kind} that is banned has a name")
    if kind != "address":
        return value
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise LocalProtocolError(
            f"{value!r} is no address and no network, such as 192.0.2.7 or 192.0.2.0/24"
        ) from None
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= _MAPPED:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:  # those clients are known by their IPv4 address
            return _text(ipaddress.ip_network((mapped, network.prefixlen - _MAPPED)))
    return _text(network)


def _length(value: str) -> tuple[int, int]:
    network = ipaddress.ip_network(value)
    return network.version, network.prefixlen


def _text(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return str(network)
