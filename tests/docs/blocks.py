"""The pages for people, and the blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# Spaces before the fence are those of a list that the block stands in.
_BLOCK = re.compile(r"^( *)```([^\s`]*)[^\n`]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: where its first line stands, of which kind it is, and its text."""

    page: str
    line: int
    kind: str
    text: str

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"{self.page}:{self.line}"

    @property
    def name(self) -> str:
        """The name of the file that it is, where its first line says so: `# sensor.py`."""
        found = re.match(r"# ([\w-]+\.\w+)\n", self.text)
        return found[1] if found else ""


@cache
def pages() -> tuple[Path, ...]:
    """All pages, in the order of their names."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("deploy/*.md"), *ROOT.glob("benchmarks/*.md")]
    found += DOCS.rglob("*.md")
    # What a builder of the site writes is in folders that begin so.
    return tuple(sorted(page for page in found if not any(part[0] in "._" for part in parts(page))))


def parts(page: Path) -> tuple[str, ...]:
    """The folders and the name of a page below the root."""
    return page.relative_to(ROOT).parts


@cache
def blocks() -> tuple[Block, ...]:
    """All blocks of all pages."""
    return tuple(block for page in pages() for block in _blocks_of(page))


def _blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text[: found.start()].count("\n") + 2
        inner = re.sub(rf"^{found[1]}", "", found[3], flags=re.MULTILINE)
        yield Block("/".join(parts(page)), line, found[2], inner)


def of(*kinds: str) -> list[Block]:
    """The blocks of these kinds."""
    return [block for block in blocks() if block.kind in kinds]


def each(found: list[Block]) -> list[Any]:
    """A test for each of the blocks."""
    return [pytest.param(block, id=block.place) for block in found]
