"""Passwords that were right, so that who comes back is recognized without hashing."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections import OrderedDict

# Successes that are remembered, each some 200 bytes.
_MOST_REMEMBERED = 10_000


class RememberedPasswords:
    """Digests of user names and passwords that were right.

    A client that comes back is recognized by what costs a few microseconds, so that a thousand that
    reconnect at once do not cost a minute. What is remembered is of use only with a key that never
    leaves this process. Several threads may ask at a time.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._digests: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def has(self, username: str, password: bytes, entry: bytes = b"") -> bool:
        """Whether it was right when `entry` was what is kept of it."""
        digest = self._digest(username, password, entry)
        with self._lock:
            if digest not in self._digests:
                return False
            self._digests.move_to_end(digest)
            return True

    def add(self, username: str, password: bytes, entry: bytes = b"") -> None:
        """It was right."""
        digest = self._digest(username, password, entry)
        with self._lock:
            self._digests[digest] = None
            if len(self._digests) > _MOST_REMEMBERED:
                self._digests.popitem(last=False)

    def _digest(self, username: str, password: bytes, entry: bytes) -> bytes:
        name = username.encode(errors="surrogatepass")
        text = b"%d:%s%d:%s%s" % (len(name), name, len(entry), entry, password)
        return hmac.digest(self._key, text, "sha256")
