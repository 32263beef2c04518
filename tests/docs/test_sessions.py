"""Terminals that pages show with what they show: typed as they stand, and compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import Block, blocks, of
from tests.docs.files import Files
from tests.docs.sessions import Session

BLOCKS = of("console")
# Files that a page speaks of, and does not name in them: the kind of its block that has it.
_UNNAMED = {"passwords-and-access.md": {"access": "text"}}


def files_of(page: str, folder: Path) -> list[Block]:
    """The files that a page shows."""
    shown = [block for block in blocks() if block.page == page]
    for name, kind in _UNNAMED.get(Path(page).name, {}).items():
        (folder / name).write_text(next(one.text for one in shown if one.kind == kind))
    return [block for block in shown if block.name]


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted({block.page for block in BLOCKS}))
def test_a_page_is_typed_as_it_stands(page: str, files: Files) -> None:
    with Session(files.folder, files_of(page, files.folder)) as session:
        for block in BLOCKS:
            if block.page == page:
                session.play(block)
        session.finish()
