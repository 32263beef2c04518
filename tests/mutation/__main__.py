"""Change modules of the library, and tell which changes no test notices.

python -m tests.mutation trio_mqtt/protocol/wire.py --tests tests/protocol
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.mutation.mutants import Mutant
from tests.mutation.rounds import Outcome, Rounds


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Mutation testing of modules of the library.")
    parser.add_argument("files", nargs="+", help="which modules: trio_mqtt/protocol/wire.py")
    parser.add_argument("--tests", nargs="+", required=True, help="which tests are to notice")
    parser.add_argument(
        "--seconds", type=float, default=30, help="of tests for each change, the shortest first"
    )
    parser.add_argument(
        "-m", default="", metavar="MARKED", help="which of them, as pytest takes it"
    )
    parser.add_argument(
        "--again", metavar="FILE", help="only what survived, as an output here says"
    )
    asked = parser.parse_args()
    modules = [file.removesuffix(".py").replace("/", ".") for file in asked.files]
    counts: dict[str, Counter[Outcome]] = {file: Counter() for file in asked.files}

    def tell(mutant: Mutant, outcome: Outcome) -> None:
        file = str(Path(mutant.code.co_filename).relative_to(Path.cwd()))
        counts[file][outcome] += 1
        if outcome in {"survived", "not reached"}:
            _tell(f"{outcome}: {file}:{mutant}")

    options = ["-q", "-x", "--no-header", "-p", "no:cacheprovider", "-m", asked.m, *asked.tests]
    code = pytest.main(
        options, plugins=[Rounds(modules, tell, asked.seconds, _survivors(asked.again))]
    )
    for file, count in counts.items():
        _tell(_figures(file, count))
    return int(code)


def _survivors(path: str | None) -> frozenset[str] | None:
    if path is None:
        return None
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return frozenset(line.partition(".py:")[2] for line in lines if ".py:" in line)


def _tell(line: str) -> None:
    """Say it past pytest, which keeps what tests write."""
    assert sys.__stdout__ is not None
    sys.__stdout__.write(line + "\n")
    sys.__stdout__.flush()


def _figures(file: str, count: Counter[Outcome]) -> str:
    noticed = count["noticed"] + count["hung"]
    made = count.total() - count["not made"]
    share = 100 * noticed / made if made else 100.0
    told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(count.items()))
    return f"{file}: {made} changes, {share:.1f} % noticed ({told})"


if __name__ == "__main__":
    sys.exit(main())
