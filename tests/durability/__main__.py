"""`python -m tests.durability BROKER …`: rounds against brokers, and a table of what was found."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

import trio

from tests.durability.brokers import MOSQUITTO_BEST, Command, Mosquitto, Ours
from tests.durability.history import to_lines
from tests.durability.plan import plan
from tests.durability.report import findings, table
from tests.durability.rounds import run_rounds

BROKERS: dict[str, Command] = {
    "ours": Ours(),
    "ours-commit": Ours("commit"),
    "mosquitto": Mosquitto(),
    "mosquitto-best": Mosquitto("Mosquitto, saving at once", MOSQUITTO_BEST),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("brokers", nargs="+", choices=sorted(BROKERS), metavar="BROKER")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--history", type=Path, help="write the last history here, as JSON lines")
    parser.add_argument("--defect", help="give ours this defect, of those in launch.py")
    arguments = parser.parse_args()
    if arguments.defect is not None:
        BROKERS["ours"] = Ours(defect=arguments.defect)
    print(f"seed {arguments.seed}", flush=True)  # noqa: T201
    rounds = plan(arguments.seed, arguments.rounds)
    found = []
    for name in arguments.brokers:
        with tempfile.TemporaryDirectory() as folder:
            history = trio.run(run_rounds, BROKERS[name], Path(folder), rounds)
        if arguments.history is not None:
            arguments.history.write_text("\n".join(to_lines(history)))
        found.append(findings(BROKERS[name].name, history))
        print(found[-1].words, flush=True)  # noqa: T201
    print(table(found))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
