"""Which running broker is asked, and how it is answered: the options of commands that do."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.terminal.figures import parse_count
from tmqtt.terminal.values import reader


def _entries_of(given: str) -> int:
    return parse_count(given, "entries")


_entries = reader(_entries_of)
ApiPlace = Annotated[
    str | None,
    typer.Option(
        "--api",
        metavar="URL|DIR",
        help="The broker's HTTP API, such as http://127.0.0.1:8080, or the folder of its data on"
        " this machine, for its own user; or TMQTT_API.",
    ),
]
ApiTokenFile = Annotated[
    str | None,
    typer.Option(
        "--api-token-file",
        metavar="FILE",
        help="A token for that: the first line of FILE; or TMQTT_API_TOKEN.",
    ),
]
ApiCaFile = Annotated[
    str | None,
    typer.Option(
        "--api-cafile",
        metavar="FILE",
        help="Authorities to trust instead of the system's, where that is https://; or"
        " TMQTT_API_CAFILE.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, a line for each.")]
Limit = Annotated[
    int, typer.Option("--limit", metavar="COUNT", parser=_entries, help="How many at most.")
]
Client = Annotated[str, typer.Argument(metavar="CLIENT", help="Its client identifier.")]
MountPoint = Annotated[
    str,
    typer.Option(
        "--mount-point",
        metavar="PREFIX",
        help="That of the listener by which it came: below each, an identifier is another client.",
    ),
]
