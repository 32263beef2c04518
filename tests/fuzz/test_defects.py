"""The fuzzer finds what was planted, within its minute."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.cases import Case

# What each shows as.
SIGNS = {
    "answers-twice": "PINGRESP comes unasked",
    "dies": "the broker has ended",
    "freezes": "p99 of the pair",
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
    assert SIGNS[defect] in said
    if defect in REPLAYED:
        (path, *_) = tmp_path.glob("case-*.json")
        Case.read(path)
        code, said = fuzz("--replay", str(path), *planted)
        assert code == 1, said
        assert SIGNS[defect] in said
        code, said = fuzz("--replay", str(path), "--folder", str(tmp_path))
        assert code == 0, said  # without the defect, nothing is wrong
