"""Addresses at which HTTP is answered: HOST:PORT, [HOST]:PORT."""

from __future__ import annotations

import ipaddress

from trio_mqtt.errors import ConfigurationError


def host_and_port(text: str, what: str, example: str) -> tuple[str, int]:
    """The address in a text. Raises ConfigurationError, which says `what` happens there."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        is_host = _is_ipv6(host)
    else:
        is_host = bool(host) and ":" not in host and "/" not in host
    if not colon or not is_host or not port.isascii() or not port.isdecimal():
        raise ConfigurationError(f"{what} at HOST:PORT, such as {example}, not at {text!r}")
    if int(port) > 65_535:
        raise ConfigurationError(f"there is no port {port}: 65535 is the last one")
    return host, int(port)


def http_url(address: tuple[str, int], scheme: str = "http") -> str:
    """The URL of a socket's address."""
    host, port = address[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
