"""The commands about roles, their rules, and what holds where none matches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from trio_mqtt.broker.access.dynamic.command import Command, Data, Handler, page_of, texts_of
from trio_mqtt.broker.access.dynamic.draft import Draft
from trio_mqtt.broker.access.dynamic.fields import WrongFieldError
from trio_mqtt.broker.access.dynamic.records import Acl, Role, acls_in_order
from trio_mqtt.broker.access.dynamic.views import access_view, role_view

_ACCESS = {"allow": True, "deny": False}


def _create_role(draft: Draft, command: Command) -> Data:
    rolename = command.name("rolename")
    texts = texts_of(command)
    if rolename in draft.roles:
        raise WrongFieldError("Role already exists")
    acls = [one.acl() for one in command.objects("acls") or []]
    role = Role(rolename, *texts)
    for acl in acls:
        role = _with_acl(role, acl)
    draft.put_role(role)
    return None


def _delete_role(draft: Draft, command: Command) -> Data:
    draft.delete_role(command.name("rolename"))
    return None


def _get_role(draft: Draft, command: Command) -> Data:
    return {"role": role_view(draft.role(command.name("rolename")))}


def _list_roles(draft: Draft, command: Command) -> Data:
    return page_of(command, "roles", draft.roles, role_view)


def _modify_role(draft: Draft, command: Command) -> Data:
    rolename = command.name("rolename")
    if rolename not in draft.roles:
        raise WrongFieldError("Role does not exist")
    role = draft.roles[rolename]
    textname, textdescription = texts_of(command)
    role = replace(
        role,
        textname=role.textname if textname is None else textname,
        textdescription=role.textdescription if textdescription is None else textdescription,
    )
    acls = command.objects("acls")
    if acls is not None:
        role = replace(role, acls=())
        for acl in [one.acl() for one in acls]:
            role = _with_acl(role, acl)
    draft.put_role(role)
    return None


def _add_role_acl(draft: Draft, command: Command) -> Data:
    rolename = command.name("rolename")
    role = draft.role(rolename)
    draft.put_role(_with_acl(role, command.acl()))
    return None


def _remove_role_acl(draft: Draft, command: Command) -> Data:
    rolename = command.name("rolename")
    role = draft.role(rolename)
    key = command.acl_key()
    left = tuple(acl for acl in role.acls if (acl.acltype, acl.topic) != key)
    if len(left) == len(role.acls):
        raise WrongFieldError("ACL not found")
    draft.put_role(replace(role, acls=left))
    return None


def _set_default_access(draft: Draft, command: Command) -> Data:
    try:
        acls = command.objects("acls")
    except WrongFieldError:
        acls = None
    if acls is None:
        raise WrongFieldError("Missing/invalid actions array")
    wanted = {}
    for one in acls:
        kind = one.raw.get("acltype")
        if kind not in draft.default_access:
            raise WrongFieldError("Unknown acltype")
        # mosquitto_ctrl 2.0 has it as a word.
        allow = one.raw.get("allow", _ACCESS.get(str(one.raw.get("access"))))
        if not isinstance(allow, bool):
            raise WrongFieldError("Invalid/missing allow")
        wanted[kind] = allow
    draft.default_access |= wanted
    draft.changes += 1
    return None


def _get_default_access(draft: Draft, command: Command) -> Data:
    return {"acls": access_view(draft.default_access)}


def _with_acl(role: Role, acl: Acl) -> Role:
    if any((old.acltype, old.topic) == (acl.acltype, acl.topic) for old in role.acls):
        raise WrongFieldError("ACL with this topic already exists")
    return replace(role, acls=acls_in_order((*role.acls, acl)))


HANDLERS: Mapping[str, Handler] = {
    "setDefaultACLAccess": _set_default_access,
    "getDefaultACLAccess": _get_default_access,
    "createRole": _create_role,
    "deleteRole": _delete_role,
    "getRole": _get_role,
    "listRoles": _list_roles,
    "modifyRole": _modify_role,
    "addRoleACL": _add_role_acl,
    "removeRoleACL": _remove_role_acl,
}
