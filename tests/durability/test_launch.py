"""What is injected happens: the process ends where it is to end, and a defect is in the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.durability import launch
from trio_mqtt.storage.rows import Kept
from trio_mqtt.storage.sqlite import SqliteStorage

FOLDER = Path(__file__).parents[2]
# Appends four groups of changes after what is injected: in each a retained message, and in the
# third and fourth that the first and second are removed.
PROGRAM = """\
import sys, trio
from tests.durability import launch
from trio_mqtt.storage.rows import Changes, RetainedRow
from trio_mqtt.storage.sqlite import SqliteStorage

async def main():
    storage = SqliteStorage(sys.argv[1])
    await storage.load()
    for number in range(4):
        changes = Changes()
        changes.retained[f"t/{number}"] = RetainedRow(f"t/{number}", b"", 1, 0.0, b"", None)
        if number > 1:
            changes.retained[f"t/{number - 2}"] = None
        await storage.append(changes)
    await storage.close()

INJECT
trio.run(main)
"""


def run(inject: str, path: Path) -> int:
    program = PROGRAM.replace("INJECT", inject)
    return subprocess.run([sys.executable, "-c", program, path], cwd=FOLDER, check=False).returncode


def topics(path: Path) -> list[str]:
    """The topics that are retained in a file."""

    async def load() -> Kept:
        storage = SqliteStorage(path)
        try:
            return await storage.load()
        finally:
            await storage.close()

    return sorted(row.topic for row in trio.run(load).retained)


@pytest.mark.parametrize(
    ("place", "kept"),
    [("before", ["t/0", "t/1"]), ("inside", ["t/0", "t/1"]), ("after", ["t/1", "t/2"])],
)
def test_a_fault_ends_the_process_at_its_commit(
    place: str, kept: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "broker.sqlite3"
    assert run(f"launch.end_at({place!r}, 3)", path) == launch.EXIT_CODE
    assert topics(path) == kept


def test_without_a_fault_all_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "broker.sqlite3"
    assert run("launch.end_at('after', 5)", path) == 0
    assert topics(path) == ["t/2", "t/3"]


@pytest.mark.parametrize(
    ("defect", "kept"),
    [("acknowledge-early", ["t/0"]), ("keep-removed", ["t/0", "t/1", "t/2", "t/3"])],
)
def test_a_defect_is_in_the_file(defect: str, kept: list[str], tmp_path: Path) -> None:
    path = tmp_path / "broker.sqlite3"
    assert run(f"launch.DEFECTS[{defect!r}]()", path) == 0
    assert topics(path) == kept
