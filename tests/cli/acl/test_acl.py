"""`tmqtt acl`: it says what decides, and its exit code is the decision."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tmqtt.app import app
from typer.testing import CliRunner

RULES = """\
topic read news/#
user alice
topic home/#
topic deny home/safe
pattern write sensors/%c/#
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "access"
    path.write_text(RULES)
    return path


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["acl", *map(str, arguments)], prog_name="tmqtt")
    return result.exit_code, result.stdout, result.stderr


def test_it_explains_all_actions(path: Path) -> None:
    code, out, _ = run("check", path, "--user", "alice", "--id", "c1", "--topic", "home/lamp")
    assert code == 0
    assert out.splitlines() == [
        "publish    allowed  line 3: topic home/#",
        "receive    allowed  line 3: topic home/#",
        "subscribe  allowed  line 3: topic home/#",
    ]
    code, out, _ = run("check", path, "-u", "alice", "-t", "home/safe")
    assert code == 1
    assert out.splitlines()[0] == "publish    denied   line 4: topic deny home/safe"
    code, out, _ = run("check", path, "-i", "c1", "-t", "sensors/c1/x")
    assert code == 1
    assert out.splitlines() == [
        "publish    allowed  line 5: pattern write sensors/%c/#",
        "receive    denied   no rule allows it",
        "subscribe  denied   no rule allows it",
    ]


def test_the_exit_code_is_the_decision(path: Path) -> None:
    asked = ("check", path, "-i", "c1", "-t", "sensors/c1/x", "--action")
    assert run(*asked, "publish")[0] == 0
    assert run(*asked, "receive")[0] == 1
    assert run("check", path, "-t", "#") == (
        0,
        "subscribe  allowed  line 1: topic read news/#\n",
        "",
    )
    assert run("check", path, "-t", "$share/g/home/#")[:2] == (
        1,
        "subscribe  denied   no rule allows it\n",
    )


def test_programs_get_json(path: Path) -> None:
    code, out, _ = run("check", path, "-u", "alice", "-t", "home/safe", "-a", "publish", "--json")
    assert code == 1
    assert json.loads(out) == {
        "publish": {"allowed": False, "line": 4, "rule": "line 4: topic deny home/safe"}
    }
    code, out, _ = run("show", path, "--json")
    assert code == 0
    assert json.loads(out)["rules"][2] == {
        "for": "user alice", "access": "deny", "filter": "home/safe", "line": 4,
    }  # fmt: skip


def test_it_shows_the_rules_in_the_order_in_which_they_decide(path: Path) -> None:
    path.write_text(RULES + "pattern read mail/\x1b[2J\ntopic read\n")
    code, out, problem = run("show", path)
    assert code == 0
    assert out.splitlines() == [
        "anonymous clients:",
        "  read      news/#  (line 1)",
        "user alice:",
        "  deny      home/safe  (line 4)",
        "  readwrite home/#  (line 3)",
        "  readwrite read  (line 7)",
        "everybody:",
        "  write     sensors/%c/#  (line 5)",
        r"  read      mail/\x1b[2J  (line 6)",
    ]
    assert problem.startswith(f"Warning: Line 7 of the access file {path} is a rule for the topic")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("check", "FILE", "-t", "a/#/b"), "The topic 'a/#/b' has '#' elsewhere"),
        (("check", "FILE", "-t", "a/#", "-a", "publish"), "'a/#' is a topic filter"),
        (("check", "FILE", "-t", "a", "-a", "read"), "there is no action 'read'"),
        (("check", "FILE"), "Missing option '-t'"),
        (("check", "FILE.x", "-t", "a"), "There is no access file FILE.x"),
        (("show", "FILE.x"), "There is no access file FILE.x"),
    ],
)
def test_what_is_wrong_ends_in_a_sentence(
    path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    here = (argument.replace("FILE", str(path)) for argument in arguments)
    code, out, problem = run(*here)
    assert (code, out) == (2, "")
    assert sentence.replace("FILE", str(path)) in problem


def test_a_wrong_line_is_named(path: Path) -> None:
    path.write_text(RULES + "topic rw x\n")
    for arguments in (("check", path, "-t", "a"), ("show", path)):
        code, out, problem = run(*arguments)
        assert (code, out) == (2, "")
        assert problem.startswith(f"Error: Line 6 of the access file {path} has 'rw' where")


def test_all_wrong_lines_are_named(path: Path) -> None:
    path.write_text(f"users bob\n{RULES}topic rw x\n")
    code, _, problem = run("show", path)
    assert code == 2
    first, second = problem.splitlines()
    assert first.startswith(f"Error: Line 1 of the access file {path} begins with 'users'")
    assert second.startswith(f"Error: Line 7 of the access file {path} has 'rw'")
