"""By what names WebSocket clients may call the broker, in the Host header of their request."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from trio_mqtt.errors import ConfigurationError
from trio_mqtt.transport.listeners.options import Endpoint
from trio_mqtt.transport.peers import address_of
from trio_mqtt.transport.urls import Address, is_loopback

ANY = "*"
_NAME = re.compile(r"(\*\.)?[\w-]+(\.[\w-]+)*")

# By what a client of this machine calls it. Any other name may lead a page that it belongs to here,
# with this machine's address put behind the name once the page is loaded (DNS rebinding).
_LOOPBACK_HOSTS = ("localhost", "*.localhost", "127.0.0.0/8", "::1")


def allowed_hosts(endpoint: Endpoint, address: Address) -> Collection[str] | None:
    """By what names WebSocket clients may call the broker; None: by any. Raises ConfigurationError.

    A broker that only this machine reaches often asks nobody who they are. What keeps web pages out
    is that they come from elsewhere, and that must not hang on a name which anybody can choose.
    """
    if endpoint.hosts is not None:
        for host in endpoint.hosts:
            if not _is_host(host):
                raise ConfigurationError(
                    f"The host {host!r} of {address.url} is none that clients could call it by:"
                    " write mqtt.example.org, *.example.org, an address or a network, without a"
                    " port."
                )
        return None if ANY in endpoint.hosts else frozenset(endpoint.hosts)
    if endpoint.origins is None and is_loopback(address.host):
        return _LOOPBACK_HOSTS
    return None  # pages are held to a list of origins, or come from where clients do


def is_among(host: str, allowed: Collection[str]) -> bool:
    """Whether a Host header names one of the hosts: names, *.NAME, addresses and networks."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    if name is None:
        return False
    name = name.removesuffix(".")
    for one in map(str.lower, allowed):
        if one == name or (one.startswith("*.") and name.endswith(one[1:])):
            return True
    address = address_of(name)
    if address is None:
        return False
    return any(address in network for network in map(_network, allowed) if network is not None)


def _is_host(text: str) -> bool:
    """Whether a text is what `is_among` takes for a host."""
    if text == ANY or _network(text) is not None:
        return True
    return _NAME.fullmatch(text) is not None


def _network(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(name.strip("[]"), strict=False)
    except ValueError:
        return None
