"""`tmqtt passwd`: what it does with a password file."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from typing import Literal

import typer

from tmqtt.terminal.plainly import WRONG_FILE, errors_as_sentences, say
from tmqtt.terminal.streams import standard_input
from trio_mqtt.access import (
    HashKind,
    PasswordFile,
    read_file,
    remove_user,
    set_password,
    username_problem,
)


@dataclass(frozen=True, slots=True)
class PasswdOptions:
    """What the person asked for."""

    file: str
    username: str
    action: Literal["set", "delete", "check", "list"]
    create: bool
    kind: HashKind
    password_file: str | None


def change(options: PasswdOptions) -> None:
    """Do it, and say so."""
    with errors_as_sentences(WRONG_FILE):
        match options.action:
            case "list":
                _list(options)
            case "check":
                _check(options)
            case "delete":
                remove_user(options.file, options.username)
                say(f"Removed the user {options.username!r} from {options.file}.")
            case "set":
                _set(options)


def _set(options: PasswdOptions) -> None:
    problem = username_problem(options.username)
    if problem is not None:  # before the person types a password
        raise ValueError(f"The user name {options.username!r} {problem}: choose another.")
    if not options.create:
        read_file(options.file, "password", "add --create to make it")
    password = _password(options, twice=True)
    is_new = set_password(
        options.file, options.username, password, kind=options.kind, create=options.create
    )
    done = "Added the user" if is_new else "Changed the password of"
    say(f"{done} {options.username!r} in {options.file}.")


def _check(options: PasswdOptions) -> None:
    file = PasswordFile.load(options.file)
    if options.username not in file.users:
        say(f"There is no user {options.username!r} in {options.file}.", problem=True)
        raise typer.Exit(1)
    if not file.verify(options.username, _password(options, twice=False)):
        say(f"That is not the password of {options.username!r}.", problem=True)
        raise typer.Exit(1)
    say(f"That is the password of {options.username!r}.")


def _list(options: PasswdOptions) -> None:
    file = PasswordFile.load(options.file)
    for name, known in file.users.items():
        say(f"{name}  ({', '.join(known.work)})")
    for warning in file.warnings:
        say(f"Warning: {warning}", problem=True)


def _password(options: PasswdOptions, *, twice: bool) -> bytes:
    """The password: from a file, from the person, or from the line that stdin has."""
    if options.password_file is not None:
        return _only_line(read_file(options.password_file, "password"), options.password_file)
    try:
        stdin = standard_input()
    except OSError as error:
        raise ValueError(f"There is no password: stdin cannot be read, {error.strerror}.") from None
    if not stdin.isatty():
        return _only_line(stdin.buffer.read(70_000), "stdin")
    password = getpass.getpass(f"Password of {options.username}: ")
    if twice and getpass.getpass("The same again: ") != password:
        raise ValueError("The two passwords differ: nothing was changed.")
    return password.encode(errors="surrogateescape")


def _only_line(data: bytes, source: str) -> bytes:
    lines = data.removesuffix(b"\n").split(b"\n")
    if len(lines) > 1:
        raise ValueError(f"A password has one line, and {source} has {len(lines)}.")
    if not lines[0].removesuffix(b"\r"):
        raise ValueError(f"There is no password: {source} has an empty line, or none.")
    return lines[0].removesuffix(b"\r")
