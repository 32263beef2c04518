"""Brokers are ended again and again, and what clients saw is checked. `-s` shows the figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from tests.durability.brokers import MOSQUITTO_BEST, Command, Mosquitto, Ours
from tests.durability.checker import Kind, check
from tests.durability.history import to_lines
from tests.durability.plan import Ending, Round, plan
from tests.durability.report import Findings, findings, table
from tests.durability.rounds import SETTLE, run_rounds

MOSQUITTOS = (Mosquitto(), Mosquitto("Mosquitto, saving at once", MOSQUITTO_BEST))
# What each defect shows as, and which end of the broker shows it most: between a commit and its
# answer, or one that lets clients come so far. Chance has a part in it: it is looked for until it
# is found.
DEFECTS = {
    "acknowledge-early": ({Kind.LOST}, Ending.FAULT),
    "forget-deliveries": ({Kind.LOST}, Ending.FAULT),
    "forget-identifiers": ({Kind.REPEATED}, Ending.FAULT),
    "forget-packet-ids": ({Kind.REPEATED, Kind.PROTOCOL}, Ending.FAULT),
    "forget-expiry": ({Kind.EXPIRY}, Ending.KILL),
    "forget-wills": ({Kind.WILL}, Ending.KILL),
    "keep-removed": ({Kind.RETAINED}, Ending.KILL),
    "keep-unsubscribed": ({Kind.UNWANTED}, Ending.KILL),
}
BRIEF = ("acknowledge-early", "forget-deliveries", "forget-identifiers")
ATTEMPTS = 30
ROUNDS_AT_ONCE = 5


def run(command: Command, folder: Path, rounds: list[Round]) -> Findings:
    """Go through the rounds, and print what was found; the history stays in the folder."""
    history = trio.run(run_rounds, command, folder, rounds)
    (folder / "history.jsonl").write_text("\n".join(to_lines(history)))
    found = findings(command.name, history)
    print("", table([found]), found.words, sep="\n")  # noqa: T201
    return found


@pytest.mark.parametrize(
    "durability", ["fsync", pytest.param("commit", marks=pytest.mark.not_brief)]
)
def test_nothing_acknowledged_is_lost(
    durability: str, tmp_path: Path, seed: int, rounds: list[Round]
) -> None:
    found = run(Ours(durability), tmp_path, rounds)
    where = f"seed {seed}, see {tmp_path}/history.jsonl and broker.log"
    assert not found.violations, f"{where}:\n{found.words}"
    assert found.ends == len(rounds) + 2
    assert found.acknowledged > 10 * len(rounds)


@pytest.mark.parametrize(
    "defect",
    [pytest.param(name, marks=() if name in BRIEF else pytest.mark.not_brief) for name in DEFECTS],
)
def test_a_defect_is_found(defect: str, tmp_path: Path, seed: int) -> None:
    expected, ending = DEFECTS[defect]
    settle = SETTLE if Kind.WILL in expected else 0.0
    for attempt in range(ATTEMPTS):
        rounds = [
            replace(each, ending=ending, fault_place="after")
            for each in plan(seed + attempt, ROUNDS_AT_ONCE)
        ]
        folder = tmp_path / str(attempt)
        folder.mkdir()
        history = trio.run(run_rounds, Ours(defect=defect), folder, rounds, settle)
        kinds = {violation.kind for violation in check(history)}
        if kinds & expected:
            print(f"\n{defect}: found after {attempt + 1} times {ROUNDS_AT_ONCE} rounds")  # noqa: T201
            return
    pytest.fail(f"{defect} was not found in {ATTEMPTS} times {ROUNDS_AT_ONCE} rounds from {seed}")


@pytest.mark.not_brief
@pytest.mark.skipif(Mosquitto.program() is None, reason="Mosquitto is not installed")
@pytest.mark.parametrize("command", MOSQUITTOS, ids=["defaults", "best"])
def test_what_mosquitto_keeps(command: Command, tmp_path: Path, rounds: list[Round]) -> None:
    # What it loses is for the reader; that the harness speaks with a foreign broker is for us.
    found = run(command, tmp_path, rounds)
    assert found.ends == len(rounds) + 2
    assert found.acknowledged > 10 * len(rounds)
