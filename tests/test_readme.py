"""What the README shows is what happens."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tmqtt.app import app
from typer.testing import CliRunner

from trio_mqtt import ReasonCode

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_its_programs_run() -> None:
    whole_broker, *programs = blocks("python")
    compile(whole_broker, "README.md", "exec")
    shown = []
    for program in programs:
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ran.stderr, ran.returncode) == ("", 0)
        shown.append(ran.stdout)
    assert shown == ["test Hello mqtt\n", f"{int(ReasonCode.NO_MATCHING_SUBSCRIBERS)}\n"]


def test_its_commands_have_the_options_that_it_shows() -> None:
    lines = [line.split("#")[0] for block in blocks("sh") for line in block.splitlines()]
    shown = [line for line in lines if line.startswith("tmqtt ")]
    assert len(shown) > 5
    for line in shown:
        command, *arguments = shlex.split(line, comments=True)[1:]
        shown_help = CliRunner().invoke(app, [command, "--help"], prog_name="tmqtt")
        assert shown_help.exit_code == 0
        for option in (argument for argument in arguments if argument.startswith("-")):
            assert re.search(rf"{re.escape(option)}\b", shown_help.stdout), line
