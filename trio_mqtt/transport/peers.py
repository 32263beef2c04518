"""Addresses of peers, HOST:PORT, and networks of proxies whose word of another address counts."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from functools import lru_cache

from trio_mqtt.errors import ConfigurationError

UNIX = "unix"  # whoever comes through a Unix socket
_LONGEST = 64  # characters of an address with its zone and port


def host_of(peer: str) -> str:
    """The host in HOST:PORT, [HOST]:PORT or HOST."""
    if peer.startswith("["):
        return peer[1:].partition("]")[0]
    return peer.partition(":")[0] if peer.count(":") == 1 else peer


# Asked five times for each client that connects, and many come from one host.
@lru_cache(maxsize=1_024)
def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that a host is given by; IPv4 within IPv6 is what it is. None for a name."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class Networks:
    """A set of networks, asked for the addresses of peers."""

    def __init__(self, names: Collection[str], where: str) -> None:
        """Raises ConfigurationError for a name that is no network."""
        self._unix = UNIX in names
        try:
            self._networks = [
                ipaddress.ip_network(name, strict=False) for name in names if name != UNIX
            ]
        except ValueError as error:
            raise ConfigurationError(
                f"Among the trusted proxies of {where}: {error}."
                " Write 10.0.0.0/8 or a single address."
            ) from error

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    def has(self, peer: str) -> bool:
        """Whether a peer, HOST:PORT or a process of this machine, is in one of the networks."""
        address = address_of(host_of(peer))
        if address is None:
            return self._unix
        return any(
            address.version == network.version and address in network for network in self._networks
        )

    def forwarded(self, peer: str, headers: Sequence[str]) -> str:
        """Who is behind the proxies, by X-Forwarded-For: the last one that is not trusted itself.

        What stands before that may be anybody's invention.
        """
        hops = [hop.strip() for header in headers for hop in header.split(",")]
        while hops and self.has(peer):
            hop = hops.pop()
            found = address_of(host_of(hop)) if len(hop) <= _LONGEST else None
            if found is None:
                break
            # Written anew: beside the address there may be anything, and it comes into logs.
            peer = f"[{found}]" if found.version == 6 else str(found)
            _, colon, port = hop.partition("]:" if hop.startswith("[") else ":")
            if colon and port.isdecimal() and port.isascii():  # some proxies add it
                peer += f":{port}"
        return peer
