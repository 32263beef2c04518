"""Each picture of the pages is made by code that runs what it shows, and is shown somewhere."""

from __future__ import annotations

import re

import pytest

from benchmarks.growth import SWEEPS
from tests.docs.blocks import DOCS, ROOT, pages

PICTURES = DOCS / "pictures"
# By the name of the picture: what makes it, which says so by its name.
MADE_BY = {
    "bench.svg": "docs/making/measuring.py",
    "explore.svg": "docs/making/sub_terminals.py",
    "page-overview.webp": "tests/interop/page/test_pictures.py",
    "page-topic.webp": "tests/interop/page/test_pictures.py",
    "pub.svg": "docs/making/terminals.py",
    "sub-tree.svg": "docs/making/sub_terminals.py",
    "sub-watch.svg": "docs/making/sub_terminals.py",
    "sub.svg": "docs/making/sub_terminals.py",
    "terminals.svg": "docs/making/terminals.py",
    "top.svg": "docs/making/measuring.py",
    # `nox -s bench -- --plots` draws these, of what it has measured.
    **{f"growth/{sweep.name}.svg": "benchmarks/growth.py" for sweep in SWEEPS},
}


def pictures() -> set[str]:
    """All pictures, by their names below the folder."""
    kinds = (".svg", ".webp", ".png", ".jpg", ".gif")
    return {str(file.relative_to(PICTURES)) for file in PICTURES.rglob("*") if file.suffix in kinds}


def test_each_picture_is_made_by_something() -> None:
    assert pictures() == MADE_BY.keys()


@pytest.mark.parametrize("picture", sorted(MADE_BY))
def test_what_makes_it_names_it(picture: str) -> None:
    name = re.sub(r"(page-|growth/)?([\w-]+)\.\w+", r"\2", picture)
    assert f'"{name}"' in (ROOT / MADE_BY[picture]).read_text(encoding="utf-8")


def test_each_picture_is_shown() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in pages())
    shown = set(re.findall(r"pictures/([\w/-]+\.\w+)", text))
    assert shown == pictures()
