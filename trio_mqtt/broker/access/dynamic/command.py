"""A command of dynamic security as it came, and what commands have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from trio_mqtt.broker.access.dynamic.draft import Draft
from trio_mqtt.broker.access.dynamic.fields import Fields, WrongFieldError
from trio_mqtt.broker.access.dynamic.records import Given, in_order
from trio_mqtt.broker.access.dynamic.views import Views
from trio_mqtt.broker.access.files.hashes import PasswordHash, Pbkdf2

Record = TypeVar("Record")

# What a command is answered with, where that is more than that it is done.
Data = dict[str, object] | None


class Command(Fields):
    """A command, with what its password was hashed to, if it brings one."""

    __slots__ = ("password_hash",)

    def __init__(
        self, raw: Mapping[str, object], password_hash: PasswordHash | None = None
    ) -> None:
        super().__init__(raw)
        self.password_hash = password_hash

    def new_password(self) -> Pbkdf2 | None:
        """The hash of its password; None where it has none, or an empty one."""
        password = self.text("password")
        if not password:
            return None
        if not isinstance(self.password_hash, Pbkdf2):
            raise WrongFieldError("Internal error")
        return self.password_hash


# What does a command: all that it says, or it raises WrongFieldError and has changed nothing.
Handler = Callable[[Draft, Command], Data]


def texts_of(command: Command) -> tuple[str | None, str | None]:
    return command.text("textname"), command.text("textdescription")


def given_by(draft: Draft, command: Command, key: str) -> tuple[Given, ...] | None:
    """The roles or groups that a command gives, all of which must be there; None: it says nothing.

    One that is named twice counts once, as it is named last.
    """
    objects = command.objects(key)
    if objects is None:
        return None
    of_roles = key == "roles"
    given = [one.given("rolename" if of_roles else "groupname") for one in objects]
    draft.check(given, roles=of_roles)
    return in_order({one.name: one for one in given}.values())


def page_of(
    command: Command,
    key: str,
    records: Mapping[str, Record],
    view: Callable[[Record], dict[str, object]],
) -> Data:
    """Some of the records by their names, which are in order: `count` of them from `offset`."""
    count, offset = command.number("count", -1), max(command.number("offset", 0), 0)
    verbose = command.flag("verbose")
    names = sorted(records)
    chosen = names[offset:] if count < 0 else names[offset : offset + count]
    shown = Views([records[name] for name in chosen], view) if verbose else chosen
    return {"totalCount": len(names), key: shown}
