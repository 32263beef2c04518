"""The pages on hooks and security show what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import trio_mqtt.events
from trio_mqtt.broker.events.kinds import ALL_KINDS

DOCS = Path(__file__).parents[3] / "docs"
PROGRAMS = [
    pytest.param(program, id=f"{page}-{number}")
    for page in ("how-to/hooks.md", "explanation/security.md")
    for number, program in enumerate(
        re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    )
]


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_its_programs_run(program: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.stderr, ran.returncode) == ("", 0)


def test_the_table_has_every_event_and_they_are_public() -> None:
    page = (DOCS / "how-to" / "hooks.md").read_text()
    for kind in ALL_KINDS:
        assert f"`{kind.__name__}`" in page
        assert getattr(trio_mqtt.events, kind.__name__) is kind
