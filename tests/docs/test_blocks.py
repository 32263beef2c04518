"""No block of a page escapes: each is of a kind that a test runs, or is listed with the reason."""

from __future__ import annotations

from pathlib import Path

from tests.docs import commands, not_run, test_data, test_python, test_sessions
from tests.docs.blocks import Block, blocks

RUN = {
    *test_python.BLOCKS,
    *test_data.BLOCKS,
    *commands.BLOCKS,
    *test_sessions.BLOCKS,
}


def listed(block: Block) -> tuple[str, str] | str | None:
    """Where the reason stands for which a block is not run."""
    if block.kind in not_run.KINDS:
        return block.kind
    return next(
        (
            (page, start)
            for page, start in not_run.PLAIN
            if Path(block.page).name == page and block.text.startswith(start)
        ),
        None,
    )


def test_each_block_is_run_or_listed() -> None:
    assert len(blocks()) > 150
    escaped = [
        f"{block.place} ({block.kind or 'no kind'}): {block.text.splitlines()[0]}"
        for block in blocks()
        if block not in RUN and not listed(block)
    ]
    assert not escaped


def test_what_is_listed_is_there() -> None:
    found = {listed(block) for block in blocks()}
    assert found >= {*not_run.KINDS, *not_run.PLAIN}
