"""The commands about groups, and the one that anonymous clients belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from trio_mqtt.broker.access.dynamic.command import (
    Command,
    Data,
    Handler,
    given_by,
    page_of,
    texts_of,
)
from trio_mqtt.broker.access.dynamic.draft import Draft, has, without
from trio_mqtt.broker.access.dynamic.fields import Fields, WrongFieldError
from trio_mqtt.broker.access.dynamic.records import UNSET, Given, Group, in_order
from trio_mqtt.broker.access.dynamic.views import group_view


def _create_group(draft: Draft, command: Command) -> Data:
    groupname = command.name("groupname")
    texts = texts_of(command)
    if groupname in draft.groups:
        raise WrongFieldError("Group already exists")
    roles = given_by(draft, command, "roles") or ()
    draft.put_group(Group(groupname, *texts, roles=roles))
    return None


def _delete_group(draft: Draft, command: Command) -> Data:
    draft.delete_group(command.name("groupname"))
    return None


def _get_group(draft: Draft, command: Command) -> Data:
    group = draft.group(command.name("groupname"))
    members = [one for one in draft.clients.values() if has(one.groups, group.groupname)]
    return {"group": group_view(group, sorted(members, key=lambda one: one.username))}


def _list_groups(draft: Draft, command: Command) -> Data:
    members = draft.state().members()
    return page_of(
        command, "groups", draft.groups, lambda one: group_view(one, members[one.groupname])
    )


def _modify_group(draft: Draft, command: Command) -> Data:
    group = draft.group(command.name("groupname"))
    textname, textdescription = texts_of(command)
    roles = given_by(draft, command, "roles")
    members = command.objects("clients")
    wanted = None if members is None else _wanted_members(draft, members, group.groupname)
    draft.put_group(
        replace(
            group,
            textname=group.textname if textname is None else textname,
            textdescription=(group.textdescription if textdescription is None else textdescription),
            roles=group.roles if roles is None else roles,
        )
    )
    if wanted is not None:
        for client in list(draft.clients.values()):
            groups = without(client.groups, group.groupname)
            if client.username in wanted:
                groups = in_order((*groups, wanted[client.username]))
            if groups != client.groups:
                draft.clients[client.username] = replace(client, groups=groups)
    return None


def _wanted_members(draft: Draft, members: Iterable[Fields], groupname: str) -> dict[str, Given]:
    wanted = {}
    for member in members:
        client = draft.client(member.name("username"))
        wanted[client.username] = Given(groupname, member.number("priority", UNSET))
    return wanted


def _add_group_client(draft: Draft, command: Command) -> Data:
    username, given = command.name("username"), command.given("groupname")
    client = draft.client(username)
    draft.group(given.name)
    if has(client.groups, given.name):
        raise WrongFieldError("Client is already in this group")
    draft.put_client(replace(client, groups=in_order((*client.groups, given))))
    return None


def _remove_group_client(draft: Draft, command: Command) -> Data:
    username, groupname = command.name("username"), command.name("groupname")
    client = draft.client(username)
    draft.group(groupname)
    draft.put_client(replace(client, groups=without(client.groups, groupname)))
    return None


def _add_group_role(draft: Draft, command: Command) -> Data:
    groupname, given = command.name("groupname"), command.given("rolename")
    group = draft.group(groupname)
    draft.role(given.name)
    if has(group.roles, given.name):
        raise WrongFieldError("Group is already in this role")
    draft.put_group(replace(group, roles=in_order((*group.roles, given))))
    return None


def _remove_group_role(draft: Draft, command: Command) -> Data:
    groupname, rolename = command.name("groupname"), command.name("rolename")
    group = draft.group(groupname)
    draft.role(rolename)
    draft.put_group(replace(group, roles=without(group.roles, rolename)))
    return None


def _set_anonymous_group(draft: Draft, command: Command) -> Data:
    if command.raw.get("groupname") == "":
        draft.anonymous_group = None
    else:
        draft.anonymous_group = draft.group(command.name("groupname")).groupname
    draft.changes += 1
    return None


def _get_anonymous_group(draft: Draft, command: Command) -> Data:
    return {"group": {"groupname": draft.anonymous_group or ""}}


HANDLERS: Mapping[str, Handler] = {
    "createGroup": _create_group,
    "deleteGroup": _delete_group,
    "getGroup": _get_group,
    "listGroups": _list_groups,
    "modifyGroup": _modify_group,
    "addGroupClient": _add_group_client,
    "removeGroupClient": _remove_group_client,
    "addGroupRole": _add_group_role,
    "removeGroupRole": _remove_group_role,
    "setAnonymousGroup": _set_anonymous_group,
    "getAnonymousGroup": _get_anonymous_group,
}
