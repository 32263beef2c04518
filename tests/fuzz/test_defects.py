"""The fuzzer finds what was planted, within its minute."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

# What each shows as.
SIGNS = {
    "answers-twice": "PINGRESP comes unasked",
    "dies": "the broker has ended",
    "freezes": "of the pair|under way|has not closed",
    "ignores-sizes": "bytes",
    "keeps-descriptors": "descriptors are open",
    "keeps-memory": "MiB",
    "lets-all-read": "nobody may",
    "loses-messages": "came where",
    "takes-bad-text": "is accepted",
    "uncaught-error": "IndexError",
}
SECONDS = 20
# Those that a single case shows, which its file plays again.
REPLAYED = ("answers-twice", "dies", "ignores-sizes", "uncaught-error")


def fuzz(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("defect", SIGNS)
def test_a_planted_defect_is_found(defect: str, tmp_path: Path) -> None:
    planted = ("--defect", defect, "--folder", str(tmp_path))
    code, said = fuzz("--seconds", str(SECONDS), "--seed", "1", *planted)
    assert code == 1, said
    assert re.search(SIGNS[defect], said), said
    if defect in REPLAYED:
        assert any(plays_again(path, planted, SIGNS[defect]) for path in tmp_path.glob("case-*"))


def plays_again(path: Path, planted: Sequence[str], sign: str) -> bool:
    """Whether the file of a case shows the defect, and nothing where there is none."""
    code, said = fuzz("--replay", str(path), *planted)
    if code == 0 or not re.search(sign, said):
        return False  # what the case met by chance, such as another with its name
    code, said = fuzz("--replay", str(path), "--folder", str(path.parent))
    assert code == 0, said
    return True
