"""Brokers are ended again and again, and what clients saw is checked. `-s` shows the figures."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.durability.brokers import MOSQUITTO_BEST, Command, Mosquitto
from tests.durability.plan import Round
from tests.durability.report import Findings, findings, table
from tests.durability.rounds import run_rounds

MOSQUITTOS = (Mosquitto(), Mosquitto("Mosquitto, saving at once", MOSQUITTO_BEST))


def run(command: Command, folder: Path, rounds: list[Round]) -> Findings:
    """Go through the rounds, and print what was found."""
    found = findings(command.name, trio.run(run_rounds, command, folder, rounds))
    print("", table([found]), found.words, sep="\n")  # noqa: T201
    return found


@pytest.mark.skipif(Mosquitto.program() is None, reason="Mosquitto is not installed")
@pytest.mark.parametrize("command", MOSQUITTOS, ids=["defaults", "best"])
def test_what_mosquitto_keeps(command: Command, tmp_path: Path, rounds: list[Round]) -> None:
    # What it loses is for the reader; that the harness speaks with a foreign broker is for us.
    found = run(command, tmp_path, rounds)
    assert found.ends == len(rounds) + 2
    assert found.acknowledged > 10 * len(rounds)
