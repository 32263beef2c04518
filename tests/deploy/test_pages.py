"""What the pages for operators show can be done: commands, settings, rules."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import pytest
from tmqtt.app import app
from typer.testing import CliRunner

from trio_mqtt.access import AccessFile
from trio_mqtt.configuration import load

ROOT = Path(__file__).parents[2]
SECURITY = "docs/explanation/security.md"
PAGES = (
    *(f"docs/how-to/{name}.md" for name in (
        "backup", "container", "esp32", "from-emqx", "from-mosquitto", "home", "home-assistant",
        "node-red", "reverse-proxy", "service", "three-nodes", "tls-acme", "tls-own-authority",
        "troubleshooting", "upgrading", "zigbee2mqtt",
    )),
    SECURITY,
    "deploy/README.md",
)  # fmt: skip
RULES = re.compile(r"^(user|pattern) ", re.MULTILINE)
GROUPS = ("acl", "cluster", "config", "retained", "service", "sessions", "store", "subscriptions")


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", text(page), re.DOTALL | re.MULTILINE)
    return [dedent(block) for block in found]


@cache
def help_of(*command: str) -> str:
    shown = CliRunner().invoke(app, [*command, "--help"], prog_name="tmqtt")
    assert shown.exit_code == 0
    return shown.stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_commands_have_the_options_that_are_shown(page: str) -> None:
    shown = [
        line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()
    ]
    shown += re.findall(r"`(tmqtt [^`]+)`", text(page))
    tried = 0
    for line in shown:
        words = shlex.split(line, comments=True)
        if not words or words[0] in ("docker", "systemctl", "journalctl", "loginctl", "install"):
            continue
        begins = [
            number
            for number, (word, following) in enumerate(pairwise(words), 1)
            if word.endswith("tmqtt") and following.isalpha()
        ]
        if not begins:
            continue
        command = words[begins[-1] :]
        if "|" in command:
            command = command[: command.index("|")]
        tried += 1
        help_text = help_of(*command[: 2 if command[0] in GROUPS else 1])
        for option in (word for word in command if word.startswith("-") and word != "-"):
            assert re.search(rf"(^|[\s,/]){re.escape(option.split('=')[0])}\b", help_text), line
    assert tried or page == "deploy/README.md"


@pytest.mark.parametrize(
    ("page", "settings"),
    [(page, settings) for page in PAGES for settings in blocks(page, "toml")],
)
def test_settings_are_settings(page: str, settings: str, tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(settings, encoding="utf-8")
    loaded = load(file, environment={}).settings
    assert loaded.listeners, page


@pytest.mark.parametrize(
    ("page", "rules"),
    [(page, rules) for page in PAGES for rules in blocks(page, "text") if RULES.search(rules)],
)
def test_rules_are_rules(page: str, rules: str, tmp_path: Path) -> None:
    file = tmp_path / "access.acl"
    file.write_text(rules, encoding="utf-8")
    AccessFile.load(file)


def test_what_runs_on_a_board_is_python() -> None:
    (program,) = blocks("docs/how-to/esp32.md", "python")
    compile(program, "esp32.md", "exec")


def promises() -> list[tuple[str, list[str]]]:
    """Each promise of docs/explanation/security.md, with its tests."""
    rows = re.findall(
        r"^\| ([^|]+) \| [^|]* \| ([^|]*`tests/[^|]*) \|$", text(SECURITY), re.MULTILINE
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
    table = text(SECURITY)
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
