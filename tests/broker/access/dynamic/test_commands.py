"""Commands of dynamic security: what each changes, and what it is answered with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from trio_mqtt.broker.access.dynamic.commands import COMMANDS, MOST_COMMANDS, Request
from trio_mqtt.broker.access.dynamic.records import State

from .made import ADMIN, answers, changed, command, do, with_admin


@pytest.fixture
def state() -> State:
    """A user, a group and a role that have nothing to do with each other."""
    return changed(
        State(),
        command("createRole", rolename="r"),
        command("createRole", rolename="s"),
        command("createGroup", groupname="g"),
        command("createClient", username="u", password="pw"),
    )


def asked(state: State, name: str, **fields: object) -> Mapping[str, Any]:
    (answer,) = answers(do(state, command(name, **fields)))
    found: Mapping[str, Any] = answer.get("data", answer)
    return found


def test_a_user_has_what_it_was_created_with(state: State) -> None:
    after = changed(
        state,
        command(
            "createClient", username="v", clientid="c", textname="V", textdescription="a user",
            roles=[{"rolename": "s"}, {"rolename": "r", "priority": 3}],
            groups=[{"groupname": "g", "priority": 2}],
        ),
    )  # fmt: skip
    assert asked(after, "getClient", username="v") == {
        "client": {
            "username": "v",
            "clientid": "c",
            "textname": "V",
            "textdescription": "a user",
            "roles": [{"rolename": "r", "priority": 3}, {"rolename": "s"}],
            "groups": [{"groupname": "g", "priority": 2}],
        }
    }
    assert after.clients["v"].password is None
    assert asked(after, "getGroup", groupname="g")["group"]["clients"] == [{"username": "v"}]


def test_no_answer_has_a_password(state: State) -> None:
    outcome = do(
        state,
        command("createClient", username="v", password="secret"),
        command("getClient", username="v"),
        command("listClients", verbose=True),
    )
    told = json.dumps(answers(outcome))
    assert "secret" not in told
    assert "password" not in told
    assert outcome.state.clients["v"].password is not None
    assert outcome.state.clients["v"].password.fits(b"secret")
    assert "secret" not in repr(outcome.state)


def test_each_password_is_that_of_its_command(state: State) -> None:
    after = changed(
        state,
        command("createClient", username="a", password="of a"),
        command("createClient", username="b"),
        command("modifyClient", username="b", password="of b"),
        command("setClientPassword", username="u", password="of u"),
    )
    for name in "abu":
        kept = after.clients[name].password
        assert kept is not None
        assert kept.fits(f"of {name}".encode())


def test_a_user_is_modified_as_far_as_it_is_said(state: State) -> None:
    after = changed(
        state,
        command("modifyClient", username="u", textname="U", clientid="c"),
        command("modifyClient", username="u", roles=[{"rolename": "r"}]),
        command("modifyClient", username="u", groups=[{"groupname": "g"}]),
    )
    client = after.clients["u"]
    assert (client.textname, client.clientid) == ("U", "c")
    assert [one.name for one in client.roles] == ["r"]
    assert [one.name for one in client.groups] == ["g"]
    assert client.password == state.clients["u"].password
    after = changed(after, command("setClientId", username="u"))
    assert after.clients["u"].clientid is None


def test_users_are_disabled_and_enabled(state: State) -> None:
    after = changed(state, command("disableClient", username="u"))
    assert asked(after, "getClient", username="u")["client"]["disabled"] is True
    after = changed(after, command("enableClient", username="u"))
    assert "disabled" not in asked(after, "getClient", username="u")["client"]


def test_roles_are_given_and_taken(state: State) -> None:
    after = changed(
        state,
        command("addClientRole", username="u", rolename="r", priority=5),
        command("addClientRole", username="u", rolename="s", priority=7),
        command("addGroupRole", groupname="g", rolename="r"),
        command("addGroupClient", groupname="g", username="u", priority=1),
    )
    client = asked(after, "getClient", username="u")["client"]
    assert client["roles"] == [
        {"rolename": "s", "priority": 7},
        {"rolename": "r", "priority": 5},
    ]
    assert client["groups"] == [{"groupname": "g", "priority": 1}]
    assert asked(after, "getGroup", groupname="g")["group"]["roles"] == [{"rolename": "r"}]
    after = changed(
        after,
        command("removeClientRole", username="u", rolename="s"),
        command("removeClientRole", username="u", rolename="s"),
        command("removeGroupRole", groupname="g", rolename="r"),
        command("removeGroupClient", groupname="g", username="u"),
    )
    assert [one.name for one in after.clients["u"].roles] == ["r"]
    assert after.clients["u"].groups == ()
    assert after.groups["g"].roles == ()


def test_a_group_is_modified_as_far_as_it_is_said(state: State) -> None:
    after = changed(
        state,
        command("createClient", username="v", groups=[{"groupname": "g"}]),
        command("modifyGroup", groupname="g", textname="G", clients=[{"username": "u"}]),
        command("modifyGroup", groupname="g", roles=[{"rolename": "r", "priority": 0}]),
    )
    assert asked(after, "getGroup", groupname="g") == {
        "group": {
            "groupname": "g",
            "textname": "G",
            "clients": [{"username": "u"}],
            "roles": [{"rolename": "r", "priority": 0}],
        }
    }
    assert after.clients["v"].groups == ()


def test_what_is_deleted_is_nowhere_any_more(state: State) -> None:
    after = changed(
        state,
        command("addClientRole", username="u", rolename="r"),
        command("addGroupRole", groupname="g", rolename="r"),
        command("addGroupClient", groupname="g", username="u"),
        command("setAnonymousGroup", groupname="g"),
        command("deleteRole", rolename="r"),
        command("deleteGroup", groupname="g"),
    )
    assert after.clients["u"].roles == after.clients["u"].groups == ()
    assert asked(after, "getAnonymousGroup") == {"group": {"groupname": ""}}
    assert set(after.roles) == {"s"}
    assert changed(after, command("deleteClient", username="u")).clients == {}


def test_rules_are_in_the_order_in_which_they_are_asked(state: State) -> None:
    after = changed(
        state,
        command("addRoleACL", rolename="r", acltype="subscribePattern", topic="a/#", allow=True),
        command("addRoleACL", rolename="r", acltype="publishClientSend", topic="a"),
        command("addRoleACL", rolename="r", acltype="publishClientSend", topic="b", priority=2),
        command("addRoleACL", rolename="r", acltype="publishClientSend", topic="c"),
        command("addRoleACL", rolename="r", acltype="publishClientSend", topic="d", priority=-1),
    )
    acls = asked(after, "getRole", rolename="r")["role"]["acls"]
    assert [acl["topic"] for acl in acls] == ["b", "a", "c", "d", "a/#"]
    assert acls[0] == {
        "acltype": "publishClientSend", "topic": "b", "priority": 2, "allow": False,
    }  # fmt: skip
    after = changed(
        after,
        command("removeRoleACL", rolename="r", acltype="publishClientSend", topic="a"),
        command("modifyRole", rolename="r", textdescription="rules"),
    )
    assert [acl.topic for acl in after.roles["r"].acls] == ["b", "c", "d", "a/#"]
    after = changed(after, command("modifyRole", rolename="r", acls=ADMIN[:1]))
    assert [acl.acltype for acl in after.roles["r"].acls] == ["publishClientSend"]
    assert after.roles["r"].textdescription == "rules"


def test_lists_have_pages(state: State) -> None:
    after = changed(state, *(command("createClient", username=f"n{n}") for n in range(5)))
    names = ["n0", "n1", "n2", "n3", "n4", "u"]
    assert asked(after, "listClients") == {"totalCount": 6, "clients": names}
    assert asked(after, "listClients", count=2, offset=1)["clients"] == ["n1", "n2"]
    assert asked(after, "listClients", count=-1, offset=4)["clients"] == ["n4", "u"]
    assert asked(after, "listRoles", count=1, verbose=True) == {
        "totalCount": 2,
        "roles": [{"rolename": "r", "acls": []}],
    }
    assert asked(after, "listGroups", verbose=True) == {
        "totalCount": 1,
        "groups": [{"groupname": "g", "clients": [], "roles": []}],
    }


def test_the_default_access_is_told_and_changed(state: State) -> None:
    after = changed(
        state,
        command("setDefaultACLAccess", acls=[{"acltype": "subscribe", "allow": True}]),
    )
    assert asked(after, "getDefaultACLAccess") == {
        "acls": [
            {"acltype": "publishClientSend", "allow": False},
            {"acltype": "publishClientReceive", "allow": True},
            {"acltype": "subscribe", "allow": True},
            {"acltype": "unsubscribe", "allow": True},
        ]
    }


U, G, R = {"username": "u"}, {"groupname": "g"}, {"rolename": "r"}
NO_U, NO_G, NO_R = {"username": "?"}, {"groupname": "?"}, {"rolename": "?"}
ACL = {"acltype": "publishClientSend", "topic": "a/#"}


@pytest.mark.parametrize(
    ("name", "fields", "error"),
    [
        ("createClient", {}, "Invalid/missing username"),
        ("createClient", {"username": 5}, "Invalid/missing username"),
        ("createClient", {"username": ""}, "Invalid/missing username"),
        ("createClient", {"username": "\ud800"}, "Username not valid UTF-8"),
        ("createClient", U, "Client already exists"),
        ("createClient", {**NO_U, "password": 7}, "Invalid/missing password"),
        ("createClient", {**NO_U, "clientid": 7}, "Invalid/missing client id"),
        ("createClient", {**NO_U, "textname": 7}, "Invalid/missing textname"),
        ("createClient", {**NO_U, "roles": [NO_R]}, "Role not found"),
        ("createClient", {**NO_U, "roles": {}}, "Invalid/missing roles"),
        ("createClient", {**NO_U, "groups": [NO_G]}, "Group not found"),
        ("deleteClient", {}, "Invalid/missing username"),
        ("deleteClient", NO_U, "Client not found"),
        ("getClient", NO_U, "Client not found"),
        ("listClients", {"count": "x"}, "Invalid/missing count"),
        ("listClients", {"verbose": 1}, "Invalid/missing verbose"),
        ("modifyClient", NO_U, "Client not found"),
        ("modifyClient", {**U, "roles": [NO_R]}, "Role not found"),
        ("modifyClient", {**U, "groups": [NO_G]}, "Group not found"),
        ("enableClient", NO_U, "Client not found"),
        ("disableClient", NO_U, "Client not found"),
        ("setClientId", NO_U, "Client not found"),
        ("setClientPassword", {**NO_U, "password": "x"}, "Client not found"),
        ("setClientPassword", U, "Invalid/missing password"),
        ("setClientPassword", {**U, "password": ""}, "Empty password is not allowed"),
        ("addClientRole", {**U, **NO_R}, "Role not found"),
        ("addClientRole", {**NO_U, **R}, "Client not found"),
        ("addClientRole", U, "Invalid/missing rolename"),
        ("addClientRole", {**U, **R, "priority": "1"}, "Invalid/missing priority"),
        ("addClientRole", {**U, **R, "priority": 2**40}, "Invalid/missing priority"),
        ("removeClientRole", {**U, **NO_R}, "Role not found"),
        ("removeClientRole", {**NO_U, **R}, "Client not found"),
        ("createGroup", {}, "Invalid/missing groupname"),
        ("createGroup", G, "Group already exists"),
        ("createGroup", {**NO_G, "roles": [NO_R]}, "Role not found"),
        ("deleteGroup", NO_G, "Group not found"),
        ("getGroup", NO_G, "Group not found"),
        ("listGroups", {"offset": 1.5}, "Invalid/missing offset"),
        ("modifyGroup", NO_G, "Group not found"),
        ("modifyGroup", {**G, "clients": [NO_U]}, "Client not found"),
        ("addGroupClient", {**G, **NO_U}, "Client not found"),
        ("addGroupClient", {**NO_G, **U}, "Group not found"),
        ("removeGroupClient", {**NO_G, **U}, "Group not found"),
        ("removeGroupClient", {**G, **NO_U}, "Client not found"),
        ("addGroupRole", {**NO_G, **R}, "Group not found"),
        ("addGroupRole", {**G, **NO_R}, "Role not found"),
        ("removeGroupRole", {**G, **NO_R}, "Role not found"),
        ("removeGroupRole", {**NO_G, **R}, "Group not found"),
        ("setAnonymousGroup", {}, "Invalid/missing groupname"),
        ("setAnonymousGroup", NO_G, "Group not found"),
        ("createRole", {}, "Invalid/missing rolename"),
        ("createRole", R, "Role already exists"),
        ("createRole", {**NO_R, "acls": [{"acltype": "all", "topic": "a"}]}, "Unknown acltype"),
        ("createRole", {**NO_R, "acls": 5}, "Invalid/missing acls"),
        ("createRole", {**NO_R, "acls": [ACL, ACL]}, "ACL with this topic already exists"),
        ("deleteRole", NO_R, "Role not found"),
        ("getRole", NO_R, "Role not found"),
        ("listRoles", {"count": True}, "Invalid/missing count"),
        ("modifyRole", NO_R, "Role does not exist"),
        ("addRoleACL", {**NO_R, **ACL}, "Role not found"),
        ("addRoleACL", R, "Invalid/missing acltype"),
        ("addRoleACL", {**R, "acltype": "publishClientSend"}, "Invalid/missing topic"),
        ("addRoleACL", {**R, **ACL, "topic": "a/#/b"}, "Invalid ACL topic"),
        ("addRoleACL", {**R, **ACL, "allow": 1}, "Invalid/missing allow"),
        ("removeRoleACL", {**R, **ACL}, "ACL not found"),
        ("removeRoleACL", {**NO_R, **ACL}, "Role not found"),
        ("setDefaultACLAccess", {}, "Missing/invalid actions array"),
        ("setDefaultACLAccess", {"acls": 5}, "Missing/invalid actions array"),
        ("setDefaultACLAccess", {"acls": [{"acltype": "all", "allow": True}]}, "Unknown acltype"),
        ("setDefaultACLAccess", {"acls": [{"acltype": "subscribe"}]}, "Invalid/missing allow"),
        ("dropDatabase", {}, "Unknown command"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    state: State, name: str, fields: dict[str, object], error: str
) -> None:
    outcome = do(state, command(name, **fields, correlationData="mine"))
    assert answers(outcome) == [{"command": name, "correlationData": "mine", "error": error}]
    assert not outcome.changed
    assert outcome.state is state


def test_what_somebody_has_already_is_not_given_again(state: State) -> None:
    after = changed(
        state,
        command("addClientRole", **U, **R),
        command("addGroupRole", **G, **R),
        command("addGroupClient", **G, **U),
        command("addRoleACL", **R, **ACL),
    )
    assert asked(after, "addClientRole", **U, **R)["error"] == "Client already has this role"
    assert asked(after, "addGroupRole", **G, **R)["error"] == "Group is already in this role"
    assert asked(after, "addGroupClient", **G, **U)["error"] == "Client is already in this group"
    assert asked(after, "addRoleACL", **R, **ACL)["error"] == "ACL with this topic already exists"


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"no json", "Payload not valid JSON"),
        (b"\xff\xfe\xfd", "Payload not valid JSON"),
        (b"[" * 100_000, "Payload not valid JSON"),
        (b"1" * 10_000, "Payload not valid JSON"),
        (b"[]", "Invalid/missing commands"),
        (b'{"commands": 5}', "Invalid/missing commands"),
        (b'{"commands": ["x"]}', "Command not an object"),
        (b'{"commands": [{}]}', "Missing command"),
        (b'{"commands": [{"command": 7}]}', "Missing command"),
    ],
)
def test_what_is_no_request_is_answered(state: State, payload: bytes, error: str) -> None:
    outcome = Request(payload).done_to(state, [])
    assert answers(outcome) == [{"command": "Unknown command", "error": error}]
    assert outcome.state is state


def test_correlation_data_is_text(state: State) -> None:
    (answer,) = answers(do(state, {"command": "listRoles", "correlationData": 5}))
    assert answer == {"command": "listRoles", "error": "Invalid correlationData data type."}


def test_a_message_has_so_many_commands_at_most(state: State) -> None:
    outcome = do(state, *[{"command": "listRoles"}] * (MOST_COMMANDS + 1))
    assert len(answers(outcome)) == 1
    assert "Too many commands" in answers(outcome)[0]["error"]


def test_commands_see_what_those_before_them_did(state: State) -> None:
    outcome = do(
        state,
        command("createClient", username="v"),
        command("createClient", username="v"),
        command("deleteClient", username="v"),
        command("getClient", username="v"),
    )
    assert [answer.get("error") for answer in answers(outcome)] == [
        None, "Client already exists", None, "Client not found",
    ]  # fmt: skip


def test_the_state_before_stays_as_it_was(state: State) -> None:
    before = (dict(state.clients), dict(state.groups), dict(state.roles))
    changed(
        state,
        command("deleteClient", **U),
        command("deleteGroup", **G),
        command("deleteRole", **R),
        command("setDefaultACLAccess", acls=[{"acltype": "subscribe", "allow": True}]),
    )
    assert (state.clients, state.groups, state.roles) == before
    assert state.default_access["subscribe"] is False


def test_what_could_not_be_kept_is_refused_and_the_rest_answered(state: State) -> None:
    outcome = do(
        state,
        command("createClient", username="v", correlationData="1"),
        command("listRoles"),
    )
    assert outcome.unkept("no disk") == [
        {"command": "createClient", "correlationData": "1", "error": "no disk"},
        {"command": "listRoles", "data": {"totalCount": 2, "roles": ["r", "s"]}},
    ]


def test_there_is_each_command_of_the_documentation() -> None:
    things = ("Client", "Group", "Role")
    assert set(COMMANDS) == {
        *(f"{verb}{thing}" for verb in ("create", "delete", "get", "modify") for thing in things),
        *(f"list{thing}s" for thing in things),
        "enableClient", "disableClient", "setClientId", "setClientPassword",
        "addClientRole", "removeClientRole", "addGroupRole", "removeGroupRole",
        "addGroupClient", "removeGroupClient", "addRoleACL", "removeRoleACL",
        "setAnonymousGroup", "getAnonymousGroup", "setDefaultACLAccess", "getDefaultACLAccess",
    }  # fmt: skip


def test_an_admin_is_made_by_commands_alone() -> None:
    state = with_admin()
    assert [acl.topic for acl in state.roles["admin"].acls].count(
        "$CONTROL/dynamic-security/#"
    ) == 3
