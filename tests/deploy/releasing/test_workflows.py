"""The workflows of GitHub name what there is, and may do no more than they must."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from releasing.environments import PYTHONS

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SYSTEMS = {"ubuntu", "macos", "windows"}
# What each may write, and no other may.
WRITES = {("release.yml", "publish"): {"id-token", "attestations"}}


def read(path: Path) -> dict[Any, Any]:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in read(path)["jobs"].items():
            yield path.name, name, job


def sessions_of_nox() -> set[str]:
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and "nox.session" in map(ast.unparse, _bare(node))
    }


def _bare(node: ast.FunctionDef) -> Iterator[ast.expr]:
    for decorator in node.decorator_list:
        yield decorator.func if isinstance(decorator, ast.Call) else decorator


def sessions_asked_for() -> dict[str, set[str]]:
    """The sessions that the steps of each workflow run, those of a matrix among them."""
    asked: dict[str, set[str]] = {}
    for file, _, job in jobs():
        for step in job.get("steps", ()):
            words = shlex.split(step.get("run", ""), comments=True)
            if words[:2] != ["nox", "--session"]:
                continue
            end = words.index("--") if "--" in words else len(words)
            for word in words[2:end]:
                named = job["strategy"]["matrix"]["session"] if word == "$SESSION" else [word]
                asked.setdefault(file, set()).update(named)
    return asked


def test_the_sessions_that_they_run_are_there() -> None:
    asked = sessions_asked_for()
    assert {"tests.yml", "checks.yml", "release.yml"} == {*asked}
    for file, names in asked.items():
        assert names <= sessions_of_nox(), file


def test_together_they_run_what_nox_runs_by_itself() -> None:
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    listed = re.search(r"nox\.options\.sessions = (\[.*?\])", text, re.DOTALL)
    assert listed is not None
    asked = set().union(*sessions_asked_for().values())
    assert {*ast.literal_eval(listed[1])} <= asked


def test_what_foreign_programs_come_from_is_installed() -> None:
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    (wanted,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FOREIGN_PROGRAMS"
    )
    steps = read(ROOT / ".github/workflows/checks.yml")["jobs"]["sessions"]["steps"]
    (text,) = (step["run"] for step in steps if "apt-get install" in step.get("run", ""))
    words = {*shlex.split(text, comments=True)}
    assert {*wanted.values()} <= words  # nobody is root there, so the session installs nothing


def test_each_python_runs_the_tests_on_each_system() -> None:
    matrix = read(ROOT / ".github/workflows/tests.yml")["jobs"]["tests"]["strategy"]["matrix"]
    assert tuple(matrix["python"]) == PYTHONS
    assert {system.partition("-")[0] for system in matrix["system"]} == SYSTEMS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.name))
def test_what_they_use_is_pinned(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    uses = re.findall(r"^\s*(?:- )?uses: (.*)$", text, re.MULTILINE)
    assert uses
    for name in uses:
        pinned = r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+"
        assert name.startswith("./") or re.fullmatch(pinned, name), name
    for tool in re.findall(r"pip install (.*)$", text, re.MULTILINE):
        assert re.fullmatch(r'"[\w\[\]-]+==[\d.]+"', tool), tool


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.name))
def test_they_may_do_no_more_than_they_must(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]
    for name, job in workflow["jobs"].items():
        granted = job["permissions"]
        writes = {right for right, how in granted.items() if how == "write"}
        assert writes == WRITES.get((path.name, name), set())
        assert {*granted} - writes <= {"contents"}
        assert "uses" in job or job["timeout-minutes"] <= 90
        for step in job.get("steps", ()):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
            # What others choose (a branch's name) comes as a variable, never as part of a program.
            assert "${{" not in step.get("run", "")


def test_nothing_is_cached_that_is_released() -> None:
    for name in ("release.yml", "wheels.yml"):
        assert "cache" not in re.sub(r"#.*", "", (ROOT / f".github/workflows/{name}").read_text())
