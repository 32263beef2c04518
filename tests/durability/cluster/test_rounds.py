"""Three nodes and an engine fail again and again, and what clients saw is checked.

`-s` shows the figures.
"""

from __future__ import annotations

from pathlib import Path

import trio

from tests.durability.cluster.plan import cluster_plan
from tests.durability.cluster.rounds import run_cluster_rounds
from tests.durability.history import to_lines
from tests.durability.report import findings, table


def test_nothing_acknowledged_is_lost_between_nodes(
    tmp_path: Path, seed: int, cluster_rounds: int
) -> None:
    rounds = cluster_plan(seed, cluster_rounds)
    history = trio.run(run_cluster_rounds, tmp_path, rounds)
    (tmp_path / "history.jsonl").write_text("\n".join(to_lines(history)))
    found = findings("trio-mqtt, three nodes", history)
    print("", table([found]), found.words, sep="\n")  # noqa: T201
    where = f"seed {seed}, see {tmp_path}/history.jsonl and the nodes' broker.log"
    assert not found.violations, f"{where}:\n{found.words}"
    assert found.acknowledged > 10 * len(rounds)
