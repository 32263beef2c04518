"""A state that is being changed: copies of its tables, which put one record in another's place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from trio_mqtt.broker.access.dynamic.fields import WrongFieldError
from trio_mqtt.broker.access.dynamic.records import Client, Given, Group, Role, State

_Record = TypeVar("_Record", Client, Group, Role)


class Draft:
    """What is to become of a state; what it was made of stays as it is."""

    def __init__(self, state: State) -> None:
        self.clients = dict(state.clients)
        self.groups = dict(state.groups)
        self.roles = dict(state.roles)
        self.default_access = dict(state.default_access)
        self.anonymous_group = state.anonymous_group
        self.changes = 0  # how many commands have changed something

    def state(self) -> State:
        """As it is now; the draft is not changed any more."""
        return State(
            self.clients, self.groups, self.roles, self.default_access, self.anonymous_group
        )

    def client(self, username: str) -> Client:
        return _found(self.clients.get(username), "Client not found")

    def group(self, groupname: str) -> Group:
        return _found(self.groups.get(groupname), "Group not found")

    def role(self, rolename: str) -> Role:
        return _found(self.roles.get(rolename), "Role not found")

    def put_client(self, client: Client) -> None:
        self.clients[client.username] = client
        self.changes += 1

    def put_group(self, group: Group) -> None:
        self.groups[group.groupname] = group
        self.changes += 1

    def put_role(self, role: Role) -> None:
        self.roles[role.rolename] = role
        self.changes += 1

    def delete_client(self, username: str) -> None:
        del self.clients[self.client(username).username]
        self.changes += 1

    def delete_group(self, groupname: str) -> None:
        """Delete a group, also as that of anonymous clients: its members lose its roles."""
        del self.groups[self.group(groupname).groupname]
        if self.anonymous_group == groupname:
            self.anonymous_group = None
        for client in list(self.clients.values()):
            if has(client.groups, groupname):
                groups = without(client.groups, groupname)
                self.clients[client.username] = replace(client, groups=groups)
        self.changes += 1

    def delete_role(self, rolename: str) -> None:
        """Delete a role: whoever has it loses it."""
        del self.roles[self.role(rolename).rolename]
        for client in list(self.clients.values()):
            if has(client.roles, rolename):
                roles = without(client.roles, rolename)
                self.clients[client.username] = replace(client, roles=roles)
        for group in list(self.groups.values()):
            if has(group.roles, rolename):
                roles = without(group.roles, rolename)
                self.groups[group.groupname] = replace(group, roles=roles)
        self.changes += 1

    def check(self, given: Iterable[Given], *, roles: bool) -> None:
        """Raise WrongFieldError where one of the roles, or else groups, is not there."""
        for one in given:
            if roles:
                self.role(one.name)
            else:
                self.group(one.name)


def has(given: Iterable[Given], name: str) -> bool:
    """Whether a role or a group is among those that somebody has."""
    return any(one.name == name for one in given)


def without(given: Iterable[Given], name: str) -> tuple[Given, ...]:
    """The others, in their order."""
    return tuple(one for one in given if one.name != name)


def _found(record: _Record | None, otherwise: str) -> _Record:
    if record is None:
        raise WrongFieldError(otherwise)
    return record
