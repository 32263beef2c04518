"""How users, groups and roles look in answers and in the file, as Mosquitto has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, overload

from trio_mqtt.broker.access.dynamic.records import UNSET, Acl, Client, Given, Group, Role


class Views(Sequence[dict[str, object]]):
    """Records as they are shown, each when it is looked at: to make ten thousand takes a while."""

    __slots__ = ("_records", "_view")

    def __init__(self, records: Sequence[Any], view: Callable[[Any], dict[str, object]]) -> None:
        self._records = records
        self._view = view

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, at: int) -> dict[str, object]: ...
    @overload
    def __getitem__(self, at: slice) -> list[dict[str, object]]: ...
    def __getitem__(self, at: int | slice) -> dict[str, object] | list[dict[str, object]]:
        if isinstance(at, slice):
            return [self._view(one) for one in self._records[at]]
        return self._view(self._records[at])


def client_view(client: Client) -> dict[str, object]:
    """A user, without the password."""
    view = _named("username", client.username)
    if client.clientid is not None:
        view["clientid"] = client.clientid
    view |= _texts(client.textname, client.textdescription)
    if client.disabled:
        view["disabled"] = True
    view["roles"] = given_view("rolename", client.roles)
    view["groups"] = given_view("groupname", client.groups)
    return view


def group_view(group: Group, members: Iterable[Client]) -> dict[str, object]:
    """A group, and who belongs to it."""
    view = _named("groupname", group.groupname) | _texts(group.textname, group.textdescription)
    view["clients"] = [{"username": member.username} for member in members]
    view["roles"] = given_view("rolename", group.roles)
    return view


def role_view(role: Role) -> dict[str, object]:
    """A role and its rules."""
    view = _named("rolename", role.rolename) | _texts(role.textname, role.textdescription)
    view["acls"] = [acl_view(acl) for acl in role.acls]
    return view


def acl_view(acl: Acl) -> dict[str, object]:
    """A rule."""
    return {
        "acltype": acl.acltype,
        "topic": acl.topic,
        "priority": acl.priority,
        "allow": acl.allow,
    }


def given_view(key: str, given: Iterable[Given]) -> list[dict[str, object]]:
    """Roles or groups that somebody has, with the priorities that were given."""
    return [
        {key: one.name, **({} if one.priority == UNSET else {"priority": one.priority})}
        for one in given
    ]


def access_view(default_access: Mapping[str, bool]) -> list[dict[str, object]]:
    """What holds where no rule matches."""
    return [{"acltype": kind, "allow": allow} for kind, allow in default_access.items()]


def _named(key: str, name: str) -> dict[str, object]:
    return {key: name}


def _texts(textname: str | None, textdescription: str | None) -> dict[str, object]:
    texts = {"textname": textname, "textdescription": textdescription}
    return {key: text for key, text in texts.items() if text is not None}
