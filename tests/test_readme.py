"""What the README shows is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

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
    assert shown == ["test Hello mqtt\n"]
