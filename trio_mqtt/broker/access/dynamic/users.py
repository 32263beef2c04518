"""Passwords of the users of dynamic security, alone or beside those of a password file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio_mqtt.broker.access.dynamic.records import Client
    from trio_mqtt.broker.access.files.hashes import Pbkdf2
    from trio_mqtt.broker.access.files.passwords import PasswordFile
    from trio_mqtt.broker.access.files.remembered import RememberedPasswords
    from trio_mqtt.broker.access.protocols import PasswordCheck


class DynamicUsers:
    """A `PasswordCheck` by the users of one state.

    Each state has one of its own, all with what was right before: a password that has changed since
    is not recognized by it.
    """

    def __init__(self, clients: Mapping[str, Client], remembered: RememberedPasswords) -> None:
        self._clients = clients
        self._remembered = remembered
        self._dummies: list[Pbkdf2] | None = None

    def entry(self, username: str) -> Pbkdf2 | None:
        """What is kept of a user's password; another once it is set again."""
        client = self._clients.get(username)
        return None if client is None else client.password

    def verify(self, username: str, password: bytes | None) -> bool:
        """Whether the user is known and this is the password. Called in a thread.

        Who is unknown takes as long as who is known, as with a password file.
        """
        if not password:
            return False
        known = self.entry(username)
        if known is not None and self._remembered.has(username, password, known.digest):
            return True
        right = False
        for dummy in self._work():
            if known is not None and known.iterations == dummy.iterations:
                right = known.fits(password)
            else:
                dummy.fits(password)
        if right and known is not None:
            self._remembered.add(username, password, known.digest)
        return right

    def remembers(self, username: str, password: bytes | None) -> bool:
        """Whether `verify` has said yes to this before, found out in microseconds."""
        known = self.entry(username)
        return (
            known is not None
            and password is not None
            and self._remembered.has(username, password, known.digest)
        )

    def _work(self) -> list[Pbkdf2]:
        """A hash for each number of iterations that occurs, which no password fits."""
        if self._dummies is None:
            kinds = {
                client.password.iterations: client.password
                for client in self._clients.values()
                if client.password is not None
            }
            self._dummies = [one.dummy() for one in kinds.values()]
        return self._dummies


class PasswordsBeside:
    """Users of a program's own check, and dynamic ones: whoever the former knows is its own."""

    def __init__(self, own: PasswordCheck, dynamic: DynamicUsers) -> None:
        self._own = own
        self._dynamic = dynamic

    def entry(self, username: str) -> object | None:
        """What is kept of a user's password."""
        found = self._own.entry(username)
        return self._dynamic.entry(username) if found is None else found

    def verify(self, username: str, password: bytes | None) -> bool:
        """Whether it is the user's password; both are asked, so that the time does not tell."""
        dynamic = self._dynamic.verify(username, password)
        own = self._own.verify(username, password)
        return dynamic if self._own.entry(username) is None else own


class PasswordFileBeside(PasswordsBeside):
    """The same with a password file, which knows without hashing what was right before."""

    def __init__(self, own: PasswordFile, dynamic: DynamicUsers) -> None:
        super().__init__(own, dynamic)
        self._file = own

    def remembers(self, username: str, password: bytes | None) -> bool:
        """Whether `verify` has said yes to this before, found out in microseconds."""
        if self._file.entry(username) is None:
            return self._dynamic.remembers(username, password)
        return self._file.remembers(username, password)
