"""A port for what cannot be told to take any: it is chosen before it is taken."""

from __future__ import annotations

import random
import socket

# Nobody outside of this process has its numbers.
_chance = random.SystemRandom()


def free_port() -> int:
    """A free port of those that the system gives to nobody by itself.

    Any other may be taken before it is used, by whoever binds port 0 or connects; and a client that
    got it for its own end would connect to itself.
    """
    while True:
        port = _chance.randrange(10_000, 32_000)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
