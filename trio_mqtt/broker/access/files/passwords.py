"""Password files: who may connect with which password. Mosquitto's files are read as they are.

A file has a line for each user, `NAME:HASH`; lines that are empty or begin with `#` are comments.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from trio_mqtt.broker.access.files.hashes import PasswordHash, read_hash
from trio_mqtt.broker.access.files.reading import read_text
from trio_mqtt.broker.access.files.remembered import RememberedPasswords
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.records import record

# Kinds of hashes in one file beyond which the person is told what that costs.
_MANY_KINDS = 3


@record
class PasswordLine:
    """A line of a password file: its number, and what stands on it if it is no comment."""

    number: int
    username: str | None
    rest: str


class PasswordFile:
    """Users and hashes of their passwords.

        passwords = PasswordFile.load("passwords")
        passwords.verify("alice", b"her password")

    `verify` takes processor time, some 40 ms for argon2id: call it in a thread. It may be called
    by several at a time. To read the file again, load it again, and drop this one.

    `warnings` are sentences for the person who runs the broker.
    """

    def __init__(
        self, users: dict[str, PasswordHash], path: str = "", warnings: tuple[str, ...] = ()
    ) -> None:
        self.path = path
        self.warnings = warnings
        self._users = users
        # For each kind of hash that occurs, one that no password fits.
        self._dummies = {known.work: known.dummy() for known in users.values()}
        self._remembered = RememberedPasswords()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PasswordFile:
        """Read a password file. Raises ConfigurationError: file, line, what is wrong, remedy."""
        text = read_text(path, "password", "`tmqtt passwd FILE USER --create` makes one")
        users: dict[str, PasswordHash] = {}
        lines: dict[str, int] = {}
        for line in password_lines(text, path):
            name = line.username
            if name is None:
                continue
            if name in users:
                raise ConfigurationError(
                    f"Line {line.number} of the password file {os.fspath(path)} names the user"
                    f" {name!r} again, as line {lines[name]} does: remove one of them."
                )
            users[name] = hash_on(line, path)
            lines[name] = line.number
        return cls(users, os.fspath(path), tuple(_warnings(Path(path), users)))

    @property
    def users(self) -> dict[str, PasswordHash]:
        """The users and their hashes, in the order of the file."""
        return dict(self._users)

    def entry(self, username: str) -> PasswordHash | None:
        """What is kept of a user's password; another once it is set again."""
        return self._users.get(username)

    def verify(self, username: str, password: bytes | None) -> bool:
        """Whether the user is known and this is the password.

        Who is unknown takes as long as who is known: each attempt does the work of each kind of
        hash in the file once, whoever it is for. Only a success that is remembered is quicker, and
        the empty password, which nobody has.
        """
        if not password:
            return False  # also where a hash is that of the empty password
        if self._remembered.has(username, password):
            return True
        known = self._users.get(username)
        right = False
        for work, dummy in self._dummies.items():
            if known is not None and known.work == work:
                right = known.fits(password)
            else:
                dummy.fits(password)
        if right:
            self._remembered.add(username, password)
        return right

    def remembers(self, username: str, password: bytes | None) -> bool:
        """Whether `verify` has said yes to this before. It takes microseconds: no thread needed.

        False says nothing: ask `verify` then.
        """
        return password is not None and self._remembered.has(username, password)


def password_lines(text: str, path: str | os.PathLike[str]) -> Iterator[PasswordLine]:
    """The lines of a password file. Raises ConfigurationError for one that names no user."""
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if line.startswith("#") or not line.strip():
            yield PasswordLine(number, None, line)
            continue
        name, separator, rest = line.partition(":")
        name = name.strip()
        where = f"Line {number} of the password file {os.fspath(path)}"
        if not separator:
            raise ConfigurationError(
                f"{where} is not NAME:HASH. Remove it, or begin it with # if it is a comment."
            )
        problem = username_problem(name)
        if problem is not None:
            raise ConfigurationError(f"{where} has a user name that {problem}: remove it.")
        yield PasswordLine(number, name, rest.strip())


def hash_on(line: PasswordLine, path: str | os.PathLike[str]) -> PasswordHash:
    """The hash on a user's line. Raises ConfigurationError where there is none."""
    try:
        return read_hash(line.rest)
    except ValueError as error:
        raise ConfigurationError(
            f"Line {line.number} of the password file {os.fspath(path)}, for the user"
            f" {line.username!r}, {error}. Set the password again: `tmqtt passwd FILE USER`."
        ) from error


def username_problem(username: str) -> str | None:
    """What keeps a name out of a password file, as the end of a sentence, or None."""
    if not username:
        return "is empty"
    if ":" in username:
        return "holds a colon, which ends the name in a password file"
    if "\n" in username or "\r" in username or "\0" in username:
        return "holds a line break or the null character"
    if username.startswith("#"):
        return "begins with #, as comments do"
    if username != username.strip():
        return "begins or ends with a space"
    try:
        size = len(username.encode())
    except UnicodeEncodeError:
        return "holds a character that UTF-8 cannot carry"
    return "is longer than 65,535 bytes" if size > 65_535 else None


def _warnings(path: Path, users: dict[str, PasswordHash]) -> Iterator[str]:
    if not users:
        yield f"The password file {path} has no users: nobody can connect with a password."
    if os.name == "posix":
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & stat.S_IROTH:
            yield (
                f"Everybody on this machine can read the password file {path}, and guess at the"
                f" passwords: `chmod o= {path}`."
            )
        if mode & (stat.S_IWOTH):
            yield f"Everybody on this machine can write to the password file {path}."
    kinds = {known.work for known in users.values()}
    if len(kinds) > _MANY_KINDS:
        yield (
            f"The hashes in {path} are of {len(kinds)} kinds, and each attempt to connect takes"
            " the time of all: set the passwords again, with one kind."
        )
    weak = sum(1 for known in users.values() if known.work[0] == "SHA-512")
    if weak:
        yield (
            f"{weak} of the passwords in {path} have hashes of the old kind $6$, which are soon"
            " guessed: set them again with `tmqtt passwd`."
        )
