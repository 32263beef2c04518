"""What the pages for operators show can be done: commands, settings."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from tmqtt.app import app
from typer.testing import CliRunner

from trio_mqtt.configuration import load

ROOT = Path(__file__).parents[2]
PAGES = (
    "docs/how-to/deploying.md",
    "docs/how-to/home.md",
    "docs/explanation/security.md",
    "deploy/README.md",
)


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text(page), re.DOTALL | re.MULTILINE)


@cache
def help_of(*command: str) -> str:
    shown = CliRunner().invoke(app, [*command, "--help"], prog_name="tmqtt")
    assert shown.exit_code == 0
    return shown.stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_commands_have_the_options_that_are_shown(page: str) -> None:
    shown = [line for block in blocks(page, "sh") for line in block.splitlines()]
    shown += re.findall(r"`(tmqtt [^`]+)`", text(page))
    tried = 0
    for line in shown:
        words = shlex.split(line, comments=True)
        here = [number for number, word in enumerate(words) if word.endswith(("/tmqtt", "tmqtt"))]
        if not here or words[0] in ("docker", "systemctl", "journalctl", "loginctl", "install"):
            continue
        command = words[here[0] + 1 :]
        if not command or not command[0].isalpha():
            continue
        tried += 1
        has_commands = command[0] in ("service", "store", "acl", "config")
        help_text = help_of(*command[: 2 if has_commands else 1])
        for option in (word for word in command if word.startswith("-") and word != "-"):
            assert re.search(rf"(^|[\s,/]){re.escape(option.split('=')[0])}\b", help_text), line
    assert tried > 1 or page == "deploy/README.md"


@pytest.mark.parametrize(
    ("page", "settings"),
    [(page, settings) for page in PAGES for settings in blocks(page, "toml")],
)
def test_settings_are_settings(page: str, settings: str, tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(settings, encoding="utf-8")
    loaded = load(file, environment={}).settings
    assert loaded.listeners, page


def promises() -> list[tuple[str, list[str]]]:
    """Each promise of docs/explanation/security.md, with its tests."""
    rows = re.findall(
        r"^\| ([^|]+) \| [^|]* \| ([^|]*`tests/[^|]*) \|$", text(PAGES[2]), re.MULTILINE
    )
    return [(promise, re.findall(r"`(tests/\S+)`", tests)) for promise, tests in rows]


@cache
def functions_in(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_each_promise_of_security_has_tests_that_are_there() -> None:
    table = text(PAGES[2])
    table = table[table.index("## What is promised") : table.index("## Who may connect")]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    headings = [row for row in rows if row.startswith("| promise")]
    found = promises()
    assert len(found) == len(rows) - len(headings) > 30
    for promise, tests in found:
        assert tests, promise
        for test in tests:
            path, _, name = test.partition("::")
            assert name in functions_in(ROOT / path), test
