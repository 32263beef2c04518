"""The file of dynamic security, in the format of Mosquitto's plugin: read, and written."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

from trio_mqtt.broker.access.dynamic.fields import Fields, WrongFieldError
from trio_mqtt.broker.access.dynamic.records import (
    DEFAULT_ACCESS,
    UNSET,
    Acl,
    Client,
    Given,
    Group,
    Role,
    State,
    acls_in_order,
    in_order,
)
from trio_mqtt.broker.access.dynamic.views import client_view, given_view, role_view
from trio_mqtt.broker.access.files.hashes import Pbkdf2, read_hash
from trio_mqtt.broker.access.files.reading import read_text
from trio_mqtt.broker.access.files.replacing import replace_file
from trio_mqtt.errors import ConfigurationError

T = TypeVar("T")

_WHAT = "dynamic security"
_REMEDY = "`mosquitto_ctrl dynsec init FILE USER` makes one"


def load(path: str | os.PathLike[str]) -> tuple[State, tuple[str, ...]]:
    """What a file holds, and warnings for whoever runs the broker.

    Raises ConfigurationError, whose text says what is wrong and where.
    """
    text = read_text(path, _WHAT, _REMEDY)
    try:
        return _Reader(os.fspath(path)).state(text)
    except WrongFieldError as error:
        raise ConfigurationError(
            f"The dynamic security file {os.fspath(path)} is wrong or damaged, at {error}: nothing"
            " of it is in force. Put a copy in its place, or mend it."
        ) from error


class Lines:
    """The records of a file as they stand there, each made once for as long as it is the same.

    So what a change costs hardly depends on how much there is.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], tuple[object, str]] = {}

    def written(self, state: State) -> bytes:
        """The file of a state: a line for each record. Called by one at a time."""
        before, self._made = self._made, {}
        members = state.members() if state.groups else {}

        def line(kind: str, name: str, record: object, make: Callable[[], object]) -> str:
            found = before.get((kind, name))
            if found is None or (found[0] is not record and found[0] != record):
                found = record, json.dumps(make(), ensure_ascii=False)
            self._made[kind, name] = found
            return found[1]

        clients = [
            line("client", name, one, partial(_client, one))
            for name, one in sorted(state.clients.items())
        ]
        groups = [
            line("group", name, (one, members[name]), partial(_group, one, members[name]))
            for name, one in sorted(state.groups.items())
        ]
        roles = [
            line("role", name, one, partial(role_view, one))
            for name, one in sorted(state.roles.items())
        ]
        entries = [f'"defaultACLAccess": {json.dumps(dict(state.default_access))}']
        entries += [_list("clients", clients), _list("groups", groups)]
        if state.anonymous_group is not None:
            name = json.dumps(state.anonymous_group, ensure_ascii=False)
            entries.append(f'"anonymousGroup": {name}')
        entries.append(_list("roles", roles))
        return ("{\n" + ",\n".join(entries) + "\n}\n").encode()


def save(path: str | os.PathLike[str], state: State, lines: Lines) -> None:
    """Put a state in the place of the file, whole and on the disk, or not at all.

    Raises ConfigurationError where that cannot be done.
    """
    replace_file(path, lines.written(state), _WHAT)


def _list(key: str, lines: list[str]) -> str:
    return f'"{key}": [\n' + ",\n".join(lines) + "\n]" if lines else f'"{key}": []'


def _client(client: Client) -> dict[str, object]:
    view = client_view(client)
    del view["groups"]  # stands with each group
    password = client.password
    if password is not None:
        view["password"] = base64.b64encode(password.digest).decode()
        view["salt"] = base64.b64encode(password.salt).decode()
        view["iterations"] = password.iterations
    return view


def _group(group: Group, members: list[Client]) -> dict[str, object]:
    texts = {"textname": group.textname, "textdescription": group.textdescription}
    view: dict[str, object] = {"groupname": group.groupname}
    view |= {key: text for key, text in texts.items() if text is not None}
    view["roles"] = given_view("rolename", group.roles)
    clients = []
    for member in members:
        given = next(one for one in member.groups if one.name == group.groupname)
        clients += given_view("username", [Given(member.username, given.priority)])
    view["clients"] = clients
    return view


class _Reader:
    """Reads one file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._warnings: list[str] = []

    def state(self, text: str) -> tuple[State, tuple[str, ...]]:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise WrongFieldError(f"its text, which is not JSON ({error})") from error
        if not isinstance(document, dict):
            raise WrongFieldError("its text, which is not an object of JSON")
        top = Fields(document)
        roles = self._each(top, "roles", "rolename", self._role)
        groups = self._each(top, "groups", "groupname", lambda one: self._group(one, roles))
        clients = self._each(top, "clients", "username", lambda one: self._client(one, roles))
        self._add_members(top, groups, clients)
        with _at("anonymousGroup"):
            anonymous = top.text("anonymousGroup")
            if anonymous is not None and anonymous not in groups:
                raise WrongFieldError(f"there is no group {anonymous!r}")
        with _at("defaultACLAccess"):
            access = _default_access(top)
        return State(clients, groups, roles, access, anonymous), tuple(self._warnings)

    def _each(
        self, top: Fields, key: str, name_key: str, read: Callable[[Fields], T]
    ) -> dict[str, T]:
        found: dict[str, T] = {}
        with _at(key):
            objects = top.objects(key) or []
        for number, one in enumerate(objects, 1):
            with _at(f"{key}, number {number}"):
                name = _any_name(one, name_key)
                if name in found:
                    raise WrongFieldError(f"{name!r} is there before")
                found[name] = read(one)
        return found

    def _role(self, one: Fields) -> Role:
        acls = []
        for each in one.objects("acls") or []:
            acl = self._acl(one, each)
            if acl is not None:
                acls.append(acl)
        return Role(
            _any_name(one, "rolename"),
            _text(one, "textname"),
            _text(one, "textdescription"),
            acls_in_order(acls),
        )

    def _acl(self, role: Fields, one: Fields) -> Acl | None:
        """A rule; one whose filter is none matches nothing, and is left out."""
        try:
            return one.acl()
        except WrongFieldError as error:
            if str(error) != "Invalid ACL topic":
                raise
            self._warnings.append(
                f"The role {role.raw['rolename']!r} in {self._path} has a rule for"
                f" {one.raw['topic']!r}, which is no topic filter: it matches nothing."
            )
            return None

    def _group(self, one: Fields, roles: Mapping[str, Role]) -> Group:
        return Group(
            _any_name(one, "groupname"),
            _text(one, "textname"),
            _text(one, "textdescription"),
            _roles(one, roles),
        )

    def _client(self, one: Fields, roles: Mapping[str, Role]) -> Client:
        return Client(
            _any_name(one, "username"),
            one.text("clientid"),
            _text(one, "textname"),
            _text(one, "textdescription"),
            one.flag("disabled"),
            _roles(one, roles),
            password=_password(one),
        )

    def _add_members(
        self, top: Fields, groups: Mapping[str, Group], clients: dict[str, Client]
    ) -> None:
        """Have each client say to which groups it belongs, as the groups do in the file."""
        belongs: dict[str, dict[str, Given]] = {}
        for one, name in zip(top.objects("groups") or [], groups, strict=True):
            with _at(f"the group {name!r}"):
                for member in one.objects("clients") or []:
                    username = _any_name(member, "username")
                    if username not in clients:
                        raise WrongFieldError(f"there is no client {username!r}")
                    given = Given(name, member.number("priority", UNSET))
                    belongs.setdefault(username, {})[name] = given
        for username, groups_of in belongs.items():
            client = clients[username]
            clients[username] = replace(client, groups=in_order(groups_of.values()))


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Have what is wrong say where it is."""
    try:
        yield
    except WrongFieldError as error:
        raise WrongFieldError(f"{place}: {error}") from error


def _any_name(one: Fields, key: str) -> str:
    """A name, which Mosquitto lets be empty."""
    return "" if one.raw.get(key) == "" else one.name(key)


def _text(one: Fields, key: str) -> str | None:
    """A text for people; mosquitto_ctrl writes textName where the plugin writes textname."""
    return one.text("textName" if key == "textname" and key not in one.raw else key)


def _roles(one: Fields, roles: Mapping[str, Role]) -> tuple[Given, ...]:
    given = {each.name: each for each in map(_given_role, one.objects("roles") or [])}
    for name in given:
        if name not in roles:
            raise WrongFieldError(f"there is no role {name!r}")
    return in_order(given.values())


def _given_role(one: Fields) -> Given:
    return Given(_any_name(one, "rolename"), one.number("priority", UNSET))


def _password(one: Fields) -> Pbkdf2 | None:
    password, salt = one.text("password"), one.text("salt")
    if password is None and salt is None:
        return None
    try:
        found = read_hash(f"$7${one.number('iterations', 0)}${salt}${password}")
    except ValueError as error:
        raise WrongFieldError(f"its password {error}") from error
    if not isinstance(found, Pbkdf2):
        raise WrongFieldError("its password is of another kind")
    return found


def _default_access(top: Fields) -> dict[str, bool]:
    said = top.raw.get("defaultACLAccess", {})
    if not isinstance(said, dict):
        raise WrongFieldError("it is no object")
    access = dict(DEFAULT_ACCESS)
    for kind in access:
        if kind in said:
            access[kind] = Fields(said).flag(kind)
    return access
