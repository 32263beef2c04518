"""User names and passwords in plain text: to hash them would take longer than the test."""

from __future__ import annotations

from collections.abc import Mapping


class PlainPasswords:
    """Users of a broker of a test, with their passwords."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = dict(users)

    def verify(self, username: str, password: bytes | None) -> bool:
        """Whether it is the user's password."""
        known = self._users.get(username)
        return known is not None and password == known.encode()

    def entry(self, username: str) -> object | None:
        """What is kept of a user, None if there is no such user."""
        return self._users.get(username)
