"""The pages on passwords, access rules and tokens show what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tmqtt.app import app
from typer.testing import CliRunner

from trio_mqtt.broker.access.files.access_file import AccessFile
from trio_mqtt.broker.access.files.access_rules import ACTIONS

DOCS = Path(__file__).parents[4] / "docs" / "how-to"


def block(page: str, language: str, having: str = "") -> str:
    """The first block of a page in that language that has this text."""
    text = (DOCS / page).read_text()
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.M)
    return next(one for one in found if having in one)


@pytest.mark.slow
def test_the_program_with_tokens_runs(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", block("jwt.md", "python", "open_broker")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("home/alice/lamp on\n", "", 0)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """The access file of the page in both formats."""
    paths = [tmp_path / "access", tmp_path / "access.toml"]
    for path, language in zip(paths, ("text", "toml"), strict=True):
        path.write_text(block("passwords-and-access.md", language))
    return paths


def test_both_formats_say_the_same(files: list[Path]) -> None:
    mosquitto, toml = map(AccessFile.load, files)
    topics = ["news/a", "home/x", "home/safe", "a topic with spaces", "sensors/c/1", "mail/alice"]
    allowed = 0
    for action in ACTIONS:
        for topic in topics:
            for username in (None, "alice", "bob"):
                decisions = [
                    file.decide(action, client_id="c", username=username, topic=topic).allowed
                    for file in (mosquitto, toml)
                ]
                assert decisions[0] is decisions[1]
                allowed += decisions[0]
    assert allowed == 11
    assert mosquitto.warnings == toml.warnings == ()


def test_the_explanation_is_the_one_that_is_shown(files: list[Path]) -> None:
    command, shown = block("passwords-and-access.md", "console").split("\n", 1)
    arguments = command.removeprefix("$ tmqtt ").replace(" access ", f" {files[0]} ").split()
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert result.stdout == shown
