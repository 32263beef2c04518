"""Every relative link of every page leads somewhere, to an anchor that is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from making.links import Link, anchors, links, problem

ROOT = Path(__file__).parent.parent
PAGES = [
    page
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "benchmarks/*.md",
        "deploy/*.md",
        "tests/conformance/*.md",
    )
    for page in sorted(ROOT.glob(pattern))
]


def test_every_link_leads_somewhere() -> None:
    wrong = [
        f"{page.relative_to(ROOT)}, line {link.line}: {link.target}: {found}"
        for page in PAGES
        for link in links(page)
        if (found := problem(page, link))
    ]
    assert wrong == []
    assert len(PAGES) > 30


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "other.md").write_text(
        "# Other\n## `[a]` & b\n## Twice\n## Twice\n", encoding="utf-8"
    )
    return tmp_path / "page.md"


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        ("other.md", None),
        ("other.md#a--b", None),
        ("other.md#twice-1", None),
        ("other.md#twice-2", "other.md has no #twice-2"),
        ("nowhere.md", "there is no nowhere.md"),
        ("#here", None),
        ("#there", "page.md has no #there"),
    ],
)
def test_what_is_wrong_with_a_link_is_told(page: Path, target: str, wrong: str | None) -> None:
    page.write_text(f"# Here\n\nSee\n[this\none]({target}).\n", encoding="utf-8")
    assert list(links(page)) == [Link(5, target)]
    assert problem(page, Link(5, target)) == wrong


def test_what_stands_in_code_is_no_link_and_no_heading(page: Path) -> None:
    text = "`[a](b)` and [c](https://d)\n\n```sh\n# no heading\n[e](f)\n```\n"
    page.write_text(text, encoding="utf-8")
    assert list(links(page)) == []
    assert anchors(page) == set()
