"""`tmqtt acl` about dynamic security: which role decides, alone or beside an access file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tmqtt.app import app
from typer.testing import CliRunner


@pytest.fixture
def path(tmp_path: Path) -> Path:
    acls = [
        {"acltype": "publishClientSend", "topic": "home/#", "priority": 2, "allow": True},
        {"acltype": "subscribePattern", "topic": "home/#", "allow": True},
    ]
    path = tmp_path / "dynamic.json"
    document = {
        "clients": [
            {"username": "alice", "roles": [{"rolename": "family"}]},
            {"username": "bob", "disabled": True},
        ],
        "groups": [{"groupname": "guests", "clients": [{"username": "bob"}]}],
        "anonymousGroup": "guests",
        "roles": [{"rolename": "family", "acls": acls}],
    }
    path.write_text(json.dumps(document))
    return path


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["acl", *map(str, arguments)], prog_name="tmqtt")
    return result.exit_code, result.stdout, result.stderr


def test_it_says_which_role_decides(path: Path) -> None:
    code, out, _ = run("check", path, "-u", "alice", "-t", "home/lamp")
    assert code == 0
    assert out.splitlines() == [
        "publish    allowed  the role family: publishClientSend home/# allow (priority 2)",
        "receive    allowed  no role says it; the default of publishClientReceive is allow",
        "subscribe  allowed  the role family: subscribePattern home/# allow (priority 0)",
    ]
    assert run("check", path, "-u", "alice", "-t", "#")[0] == 1
    assert "has no client of that name" in run("check", path, "-u", "eve", "-t", "a")[1]


def test_an_access_file_beside_it_comes_first(path: Path, tmp_path: Path) -> None:
    access = tmp_path / "access"
    access.write_text("user alice\ntopic deny home/safe\n")
    beside = ("check", access, "--dynamic-security", path, "-u", "alice", "-a", "publish")
    code, out, _ = run(*beside, "-t", "home/safe")
    assert (code, out) == (1, "publish    denied   line 2: topic deny home/safe\n")
    code, out, _ = run(*beside, "-t", "home/lamp")
    assert code == 0
    assert "the role family" in out


def test_two_files_of_dynamic_security_are_one_too_many(path: Path) -> None:
    code, _, err = run("check", path, "--dynamic-security", path, "-t", "a")
    assert code == 2
    assert "name the access file first" in " ".join(err.split())


def test_roles_are_shown_with_who_has_them(path: Path) -> None:
    code, out, err = run("show", path)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "role family:",
        "  allow publishClientSend    home/#  (priority 2)",
        "  allow subscribePattern     home/#  (priority 0)",
        "group guests, anonymous clients: no roles",
        "user alice: family",
        "user bob, disabled: group guests",
    ]
    shown = json.loads(run("show", path, "--json")[1])
    assert shown["rules"][0] == {
        "role": "family", "acltype": "publishClientSend", "filter": "home/#", "allow": True,
        "priority": 2,
    }  # fmt: skip


def test_a_damaged_file_is_told_in_a_sentence(path: Path) -> None:
    path.write_text("{")
    code, _, err = run("check", path, "-t", "a")
    assert code == 2
    assert "not JSON" in err
