"""The ports that several processes share: those that are to be any free one are chosen first."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

from tmqtt.broker.listening import at_port
from tmqtt.terminal.sentences import CommandError


def chosen_ports(urls: Sequence[str], stack: ExitStack) -> list[str]:
    """The same URLs, each with a port; a free one belongs to this process until `stack` ends."""
    return [_chosen(url, stack) for url in urls]


def _chosen(url: str, stack: ExitStack) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return url  # it is none: it will be refused
    if port != 0 or host is None:
        return url
    with suppress(OSError):
        family, _, _, _, address = socket.getaddrinfo(
            host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # Bound, and never listened at: who shares the port gets the clients.
        holder = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):  # else there are no workers
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(address)
        return at_port(url, holder.getsockname()[1])
    raise CommandError(f"There is no free port for {url} that workers could share.")
