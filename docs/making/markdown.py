"""Words for Markdown: what is written in code, as pages have it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_CODE = re.compile(r"(`+[^`]+`+)")
_SPECIAL = re.compile(r"([\\*_<>\[\]|~])")
_HEADING_ENDS = re.compile(r"[^\w -]")


def prose(text: str) -> str:
    """A text in which nothing but backticks means anything, on lines as it has them."""
    parts = _CODE.split(text)
    return "".join(
        part if place % 2 else _SPECIAL.sub(r"\\\1", part) for place, part in enumerate(parts)
    )


def cell(text: str) -> str:
    """The same within a table: on one line, bars within code too."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(
        part.replace("|", "\\|") if place % 2 else _SPECIAL.sub(r"\\\1", part)
        for place, part in enumerate(parts)
    )


def code(text: str) -> str:
    """A text as code within a line; nothing for no text."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}" if text else ""


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown; columns that are empty throughout are left out."""
    kept = [list(row) for row in rows]
    used = [place for place in range(len(titles)) if any(row[place] for row in kept)]
    lines = [[titles[place] for place in used], ["---"] * len(used)]
    lines += [[row[place] for place in used] for row in kept]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def block(language: str, text: str) -> str:
    """A fenced block."""
    return f"```{language}\n{text.strip(chr(10))}\n```\n"


def anchor(title: str) -> str:
    """How a heading is linked to, on GitHub and here."""
    return _HEADING_ENDS.sub("", title.lower()).replace(" ", "-")
