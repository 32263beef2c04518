"""The file of dynamic security: what Mosquitto's plugin writes is read, and the other way round."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from trio_mqtt.broker.access.dynamic.document import Lines, load, save
from trio_mqtt.broker.access.dynamic.records import State
from trio_mqtt.errors import ConfigurationError

from .made import changed, command, with_admin

# A password as the plugin keeps it: "adminpw", hashed 101 times.
SALT = "SYyrDDM05ueful1X"
HASH = "wLQ0fvZSfFnmcA0gybU//WXV8Ot3cxviKZUsqbULX6dSyI/ycKMaBE98HvEcgV812ZH21aAD2pKbMQ9sck7RQA=="
ADMIN = {"username": "admin", "password": HASH, "salt": SALT, "iterations": 101}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dynamic-security.json"


def put(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_a_file_of_mosquitto_is_read(path: Path) -> None:
    acl = {"acltype": "publishClientSend", "topic": "a/#", "allow": True}
    document = {
        "clients": [{**ADMIN, "textName": "Dynsec admin user", "roles": [{"rolename": "r"}]}],
        "groups": [
            {
                "groupname": "g",
                "roles": [{"rolename": "r", "priority": 2}],
                "clients": [{"username": "admin", "priority": 4}],
            }
        ],
        "anonymousGroup": "g",
        "roles": [{"rolename": "r", "acls": [acl]}],
        "defaultACLAccess": {"subscribe": True},
    }
    state, warnings = load(put(path, document))
    admin = state.clients["admin"]
    assert warnings == ()
    assert admin.password is not None
    assert admin.password.fits(b"adminpw")
    assert admin.textname == "Dynsec admin user"
    assert [(one.name, one.priority) for one in admin.groups] == [("g", 4)]
    assert [(one.name, one.priority) for one in state.groups["g"].roles] == [("r", 2)]
    assert state.anonymous_group == "g"
    assert state.default_access["subscribe"] is True
    assert state.default_access["publishClientReceive"] is True


@pytest.mark.posix
def test_what_is_written_is_read_as_it_was(path: Path) -> None:
    state = with_admin(
        command("createGroup", groupname="g", textname="G", roles=[{"rolename": "admin"}]),
        command(
            "createClient", username="ü", clientid="c", textdescription="d", password="pw",
            groups=[{"groupname": "g", "priority": 3}],
        ),
        command("disableClient", username="ü"),
        command("setAnonymousGroup", groupname="g"),
        command("setDefaultACLAccess", acls=[{"acltype": "unsubscribe", "allow": False}]),
    )  # fmt: skip
    save(path, state, Lines())
    assert load(path) == (state, ())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == [path.name]


def test_nothing_at_all_is_a_state(path: Path) -> None:
    assert load(put(path, {})) == (State(), ())
    save(path, State(), Lines())
    assert load(path) == (State(), ())


def test_a_rule_that_matches_nothing_is_left_out_and_told(path: Path) -> None:
    acls = [{"acltype": "publishClientSend", "topic": "a/#/b", "allow": True}]
    state, warnings = load(put(path, {"roles": [{"rolename": "r", "acls": acls}]}))
    assert state.roles["r"].acls == ()
    assert len(warnings) == 1
    assert "'a/#/b'" in warnings[0]


def test_what_has_not_changed_is_not_made_again(path: Path) -> None:
    lines = Lines()
    state = with_admin(
        command("createGroup", groupname="g", roles=[{"rolename": "admin"}]),
        command("createClient", username="u", groups=[{"groupname": "g"}]),
    )
    for commands in (
        [command("createClient", username="v")],
        [command("addGroupClient", groupname="g", username="v", priority=4)],
        [command("disableClient", username="u"), command("setAnonymousGroup", groupname="g")],
        [command("deleteGroup", groupname="g"), command("deleteClient", username="v")],
        [command("deleteRole", rolename="admin")],
    ):
        before = {key: line for key, (_, line) in lines._made.items()}
        state = changed(state, *commands)
        save(path, state, lines)
        assert load(path) == (state, ())
        kept = [key for key, (_, line) in lines._made.items() if before.get(key) is line]
        assert not before or kept
        assert len(lines._made) == len(state.clients) + len(state.groups) + len(state.roles)


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ([], "not an object of JSON"),
        ({"clients": {}}, "clients: "),
        ({"clients": [{"roles": []}]}, "clients, number 1: Invalid/missing username"),
        ({"clients": [ADMIN, ADMIN]}, "clients, number 2: 'admin' is there before"),
        ({"clients": [{**ADMIN, "roles": [{"rolename": "?"}]}]}, "there is no role '?'"),
        ({"clients": [{**ADMIN, "salt": "%"}]}, "is not Base64"),
        ({"clients": [{**ADMIN, "iterations": 0}]}, "no number of iterations"),
        ({"clients": [{**ADMIN, "iterations": 10**9}]}, "the most that is done"),
        ({"clients": [{**ADMIN, "password": HASH[:-8]}]}, "cut off"),
        ({"clients": [{**ADMIN, "disabled": "yes"}]}, "Invalid/missing disabled"),
        (
            {"groups": [{"groupname": "g", "clients": [{"username": "?"}]}]},
            "the group 'g': there is no client '?'",
        ),
        ({"anonymousGroup": "?"}, "anonymousGroup: there is no group '?'"),
        ({"defaultACLAccess": {"subscribe": 1}}, "defaultACLAccess: Invalid/missing subscribe"),
        (
            {"roles": [{"rolename": "r", "acls": [{"acltype": "all", "topic": "a"}]}]},
            "roles, number 1: Unknown acltype",
        ),
    ],
)
def test_a_damaged_file_says_where_it_is_wrong(path: Path, document: object, where: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(put(path, document))
    assert where in str(raised.value)
    assert str(path) in str(raised.value)


def test_half_a_file_is_none(path: Path) -> None:
    whole = Lines().written(with_admin())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigurationError, match="not JSON"):
        load(path)


def test_a_file_that_is_not_there_says_what_makes_one(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="mosquitto_ctrl dynsec init"):
        load(path)


def test_what_cannot_be_written_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(path, State(), Lines())
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        save(path, changed(State(), command("createGroup", groupname="g")), Lines())
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
