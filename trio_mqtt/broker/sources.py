"""Where clients come from, as bounds and fairness count it: by address, IPv6 by its /64."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from trio_mqtt.transport.peers import address_of, host_of

_IPV6_HOST = 64  # bits of a network that one customer has; each address of it is free to take
_NEIGHBOURS = {4: 24, 6: 48}  # bits that addresses of one network share


def source_of(peer: str) -> str:
    """The address in HOST:PORT, without the port, or the /64 that it is in.

    A process of this machine counts as its user; what is no address at all is as it is.
    """
    return _network(host_of(peer), 32, _IPV6_HOST)


def is_this_machine(peer: str) -> bool:
    """Whether HOST:PORT is of this machine: a loopback address, or no address at all."""
    return _is_this_machine(host_of(peer))


def neighbourhood_of(peer: str) -> str:
    """The network that a source is in: the /24 of IPv4, the /48 of IPv6."""
    return _network(host_of(peer), _NEIGHBOURS[4], _NEIGHBOURS[6])


# Each client that connects is asked for by all of these, some twice, and many come from one host.
@lru_cache(maxsize=1_024)
def _is_this_machine(host: str) -> bool:
    address = address_of(host)
    return address is None or address.is_loopback


@lru_cache(maxsize=1_024)
def _network(host: str, bits4: int, bits6: int) -> str:
    address = address_of(host)
    if address is None:
        return host.partition(" of ")[2] or host  # a process of this machine: its user
    if address.version == 4 and bits4 == 32:
        return str(address)
    bits = bits4 if address.version == 4 else bits6
    return str(ipaddress.ip_network((address, bits), strict=False))
