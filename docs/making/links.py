"""Links between Markdown files: where they lead, and whether it is there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from making.markdown import anchor

MARK = re.compile(r"^<!-- from the code: ([\w ]+)(?:, ([\w. ]+))? -->$", re.MULTILINE)
_LINK = re.compile(r"(\]\(\s*)([^)\s]+)(\s*\))")
_FENCED = re.compile(r"^( *)(`{3,}).*?^\1\2`*$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_WITHIN = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_ELSEWHERE = re.compile(r"[a-z][a-z+.-]*:")


class Link(NamedTuple):
    """A link of a page."""

    line: int
    target: str


def links(path: Path) -> Iterator[Link]:
    """All links of a file to what lies beside it, not those within code."""
    text = _without_code(path.read_text(encoding="utf-8"))
    for found in _LINK.finditer(text):
        if not _ELSEWHERE.match(found[2]):
            yield Link(text.count("\n", 0, found.start()) + 1, found[2])


def problem(path: Path, link: Link) -> str | None:
    """What is wrong with a link of a file."""
    name, _, fragment = link.target.partition("#")
    there = Path(os.path.normpath(path.parent / name)) if name else path
    if not there.exists():
        return f"there is no {name}"
    if fragment and (there.suffix != ".md" or fragment not in anchors(there)):
        return f"{there.name} has no #{fragment}"
    return None


@cache
def anchors(path: Path) -> frozenset[str]:
    """The anchors that a page has for its headings; of equal ones, the later are numbered."""
    found: set[str] = set()
    text = path.read_text(encoding="utf-8")
    if MARK.search(text):
        # Loaded only here: what it makes of the code takes a second or two.
        from making.filled import filled

        text = filled(text)
    text = _FENCED.sub("", text)
    for title in _HEADING.findall(text):
        name = anchor(_WITHIN.sub(r"\1", title.strip()))
        again = 0
        while (numbered := f"{name}-{again}" if again else name) in found:
            again += 1
        found.add(numbered)
    return frozenset(found)


def relinked(text: str, home: Path, stands_in: Path, moved: dict[Path, Path]) -> str:
    """A text of a file as another has it: its links lead where they led, or where that is now."""

    def one(found: re.Match[str]) -> str:
        name, mark, fragment = found[2].partition("#")
        if not name or _ELSEWHERE.match(found[2]):
            return found[0]
        there = Path(os.path.normpath(home.parent / name))
        there = moved.get(there, there)
        return f"{found[1]}{os.path.relpath(there, stands_in.parent)}{mark}{fragment}{found[3]}"

    return _LINK.sub(one, text)


def _without_code(text: str) -> str:
    """Blanks in place of code, so that lines stay lines."""
    text = _FENCED.sub(lambda found: "\n" * found[0].count("\n"), text)
    return _CODE.sub(lambda found: " " * len(found[0]), text)
