"""What pages get from the code when the site is built: a comment in them says what."""

from __future__ import annotations

import re
from collections.abc import Callable

from making import commands, http_api, metrics, python_names
from making.links import MARK

_EMPTY = re.compile(
    r"^In the source (?:this page is|these pages are) empty: [^\n]+\n\n?", re.MULTILINE
)

MAKERS: dict[str, Callable[..., str]] = {
    "commands": commands.whole,
    "commands for": commands.page,
    "metrics": metrics.tables,
    "requests": http_api.operations,
    "problems": http_api.problems,
    "forms": http_api.forms,
    "names": python_names.page,
}


def filled(text: str) -> str:
    """A page with what its comments stand for, and without saying that it is empty."""

    def made(found: re.Match[str]) -> str:
        maker, argument = MAKERS[found[1]], found[2]
        return maker(argument) if argument else maker()

    text = MARK.sub(made, text)
    return _EMPTY.sub("", text)


def asked_for(text: str) -> list[tuple[str, str]]:
    """What a page is filled with: the names of makers, and what they are told."""
    return MARK.findall(text)
