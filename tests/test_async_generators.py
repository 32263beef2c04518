"""No async generator stays open: whoever is cancelled between two of its values leaves it so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What makes a context manager of one, which is always closed.
CLOSED_BY = ("asynccontextmanager", "async_block")
# What reads these closes them, by `aclosing`.
CLOSED = {"cli/tmqtt/replay/command.py: _records"}


def generators(path: Path) -> Iterator[str]:
    """The names of a file's async generators that are no context managers."""
    text = path.read_text(encoding="utf-8")
    if not any(name in text for name in ("AsyncIterator", "AsyncGenerator", "AsyncIterable")):
        return  # what functions return is written at each
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.AsyncFunctionDef) and any(
            isinstance(inner, ast.Yield) for inner in ast.walk(node)
        ):
            decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
            if not any(name in decorators for name in CLOSED_BY):
                yield node.name


def test_all_that_are_no_context_managers_are_closed_by_who_reads_them() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for folder in ("trio_mqtt", "cli/tmqtt")
        for path in ROOT.joinpath(folder).rglob("*.py")
        for name in generators(path)
    }
    assert found == CLOSED
    for place in found:
        text = ROOT.joinpath(place.partition(":")[0]).read_text(encoding="utf-8")
        assert "aclosing(" in text
