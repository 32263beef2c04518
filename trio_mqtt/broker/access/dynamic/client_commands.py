"""The commands about users."""

from __future__ import annotations

from collections.abc import Mapping
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
from trio_mqtt.broker.access.dynamic.fields import WrongFieldError
from trio_mqtt.broker.access.dynamic.records import Client, in_order
from trio_mqtt.broker.access.dynamic.views import client_view


def _create_client(draft: Draft, command: Command) -> Data:
    username = command.name("username")
    password = command.new_password()
    clientid = command.text("clientid", "client id")
    texts = texts_of(command)
    if username in draft.clients:
        raise WrongFieldError("Client already exists")
    roles = given_by(draft, command, "roles") or ()
    groups = given_by(draft, command, "groups") or ()
    draft.put_client(
        Client(username, clientid or None, *texts, roles=roles, groups=groups, password=password)
    )
    return None


def _delete_client(draft: Draft, command: Command) -> Data:
    draft.delete_client(command.name("username"))
    return None


def _get_client(draft: Draft, command: Command) -> Data:
    return {"client": client_view(draft.client(command.name("username")))}


def _list_clients(draft: Draft, command: Command) -> Data:
    return page_of(command, "clients", draft.clients, client_view)


def _enable_client(draft: Draft, command: Command) -> Data:
    client = draft.client(command.name("username"))
    draft.put_client(replace(client, disabled=False))
    return None


def _disable_client(draft: Draft, command: Command) -> Data:
    client = draft.client(command.name("username"))
    draft.put_client(replace(client, disabled=True))
    return None


def _set_client_id(draft: Draft, command: Command) -> Data:
    username = command.name("username")
    clientid = command.text("clientid", "client id")
    draft.put_client(replace(draft.client(username), clientid=clientid or None))
    return None


def _set_client_password(draft: Draft, command: Command) -> Data:
    username = command.name("username")
    password = command.new_password()
    if password is None:
        empty = command.raw.get("password") == ""
        raise WrongFieldError(
            "Empty password is not allowed" if empty else "Invalid/missing password"
        )
    draft.put_client(replace(draft.client(username), password=password))
    return None


def _modify_client(draft: Draft, command: Command) -> Data:
    client = draft.client(command.name("username"))
    password = command.new_password()
    clientid = command.text("clientid", "client id")
    textname, textdescription = texts_of(command)
    roles = given_by(draft, command, "roles")
    groups = given_by(draft, command, "groups")
    draft.put_client(
        replace(
            client,
            clientid=client.clientid if clientid is None else clientid or None,
            textname=client.textname if textname is None else textname,
            textdescription=(
                client.textdescription if textdescription is None else textdescription
            ),
            roles=client.roles if roles is None else roles,
            groups=client.groups if groups is None else groups,
            password=password or client.password,
        )
    )
    return None


def _add_client_role(draft: Draft, command: Command) -> Data:
    username, given = command.name("username"), command.given("rolename")
    client = draft.client(username)
    draft.role(given.name)
    if has(client.roles, given.name):
        raise WrongFieldError("Client already has this role")
    draft.put_client(replace(client, roles=in_order((*client.roles, given))))
    return None


def _remove_client_role(draft: Draft, command: Command) -> Data:
    username, rolename = command.name("username"), command.name("rolename")
    client = draft.client(username)
    draft.role(rolename)
    draft.put_client(replace(client, roles=without(client.roles, rolename)))
    return None


HANDLERS: Mapping[str, Handler] = {
    "createClient": _create_client,
    "deleteClient": _delete_client,
    "getClient": _get_client,
    "listClients": _list_clients,
    "modifyClient": _modify_client,
    "enableClient": _enable_client,
    "disableClient": _disable_client,
    "setClientId": _set_client_id,
    "setClientPassword": _set_client_password,
    "addClientRole": _add_client_role,
    "removeClientRole": _remove_client_role,
}
