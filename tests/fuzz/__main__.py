"""`python -m tests.fuzz`: attack a broker for a while, or play a case again."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

import trio

from tests.fuzz.campaign import Campaign, Outcome, replay
from tests.fuzz.cases import Case
from tests.fuzz.generator import make_case

SHOWN = 700  # characters of a problem's beginning and end; the case's file has all


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long; default 60")
    parser.add_argument("--seed", type=int, help="which cases; by chance if it is not given")
    parser.add_argument("--case", type=int, help="play only this one of the seed's cases")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="play this case, and no other")
    parser.add_argument("--folder", type=Path, help="where failing cases and logs are kept")
    parser.add_argument("--defect", help="give the broker this defect, of those in defects.py")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    case = None
    if arguments.replay is not None:
        case = Case.read(arguments.replay)
    elif arguments.case is not None:
        case = make_case(seed, arguments.case)
    if case is not None:
        problems = trio.run(replay, case, folder / "replay", arguments.defect)
        say(*(problems or ["Nothing was wrong."]))
        return bool(problems)
    say(f"seed {seed}, {arguments.seconds:g} s; files in {folder}")
    campaign = Campaign(seed, arguments.seconds, folder, arguments.defect)
    outcome = trio.run(campaign.run)
    tell(outcome)
    return bool(outcome.found)


def tell(outcome: Outcome) -> None:
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(outcome.kinds.items()))
    say(
        f"{outcome.cases} cases in {outcome.seconds:.0f} s ({kinds}), "
        f"{sum(outcome.accepted.values())} clients let in; {outcome.figures}"
    )
    for found in outcome.found:
        say("FOUND", *map(shortened, found.problems))
        if found.path is not None:
            say(f"Play it again: python -m tests.fuzz --replay {found.path}")
            number = found.path.stem.rpartition("-")[2]
            say(f"or, with the same sources: --seed {outcome.seed} --case {number}")


def shortened(problem: str) -> str:
    if len(problem) <= 2 * SHOWN:
        return problem
    return f"{problem[:SHOWN]}\n…\n{problem[-SHOWN:]}"


def say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
