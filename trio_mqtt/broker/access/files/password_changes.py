"""Changing a password file: whole or not at all, and without touching the other lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trio_mqtt.broker.access.files.hashes import HashKind, make_hash
from trio_mqtt.broker.access.files.passwords import hash_on, password_lines, username_problem
from trio_mqtt.broker.access.files.reading import read_text
from trio_mqtt.broker.access.files.replacing import replace_file
from trio_mqtt.errors import ConfigurationError


def set_password(
    path: str | os.PathLike[str],
    username: str,
    password: bytes,
    *,
    kind: HashKind = "argon2id",
    create: bool = False,
) -> bool:
    """Give a user a password; True where the user is new.

    With `create` the file may be missing. Raises ConfigurationError where it is no password file,
    so that nothing else is overwritten, and ValueError for a user name or password that cannot be.
    """
    problem = username_problem(username)
    if problem is not None:
        raise ValueError(f"The user name {username!r} {problem}: choose another.")
    if not password:
        raise ValueError("The password is empty: choose another.")
    if len(password) > 65_535:
        raise ValueError("The password is longer than MQTT can carry (65,535 bytes).")
    entry = f"{username}:{make_hash(password, kind).text}"
    with _lines(Path(path), username, create=create) as lines:
        place = _line_of(lines, username)
        if place is None:
            lines.append(entry)
        else:
            lines[place] = entry
    return place is None


def remove_user(path: str | os.PathLike[str], username: str) -> None:
    """Remove a user. Raises ConfigurationError where there is none, or no password file."""
    with _lines(Path(path), username, create=False) as lines:
        place = _line_of(lines, username)
        if place is None:
            raise ConfigurationError(
                f"There is no user {username!r} in {path}: `tmqtt passwd {path} --list` shows who"
                " there is."
            )
        del lines[place]


def _line_of(lines: list[str], username: str) -> int | None:
    for place, line in enumerate(lines):
        if not line.startswith("#") and line.partition(":")[0].strip() == username:
            return place
    return None


@contextmanager
def _lines(path: Path, username: str, *, create: bool) -> Iterator[list[str]]:
    """The lines of a password file to be changed; they replace it when the context ends.

    What is wrong on the line of `username` does not matter, for that one is about to be replaced.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    with _alone(path):
        if create and not path.exists():
            text = ""
        else:
            text = read_text(path, "password", "--create makes it")
        for line in password_lines(text, path):
            if line.username not in (None, username):
                hash_on(line, path)
        lines = text.removesuffix("\n").split("\n") if text else []
        yield lines
        replace_file(path, "".join(f"{line}\n" for line in lines).encode(), "password")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep others from changing files of this folder at the same time."""
    if sys.platform == "win32":  # which has no such lock
        yield
        return
    import fcntl

    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise ConfigurationError(
            f"The folder {path.parent} cannot be opened ({error.strerror}): check the name."
        ) from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
