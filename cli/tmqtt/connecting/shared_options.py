"""Options that several commands have, each told of once."""

from __future__ import annotations

from typing import Annotated

import typer

_PROPERTIES = "Properties of the message"

Debug = Annotated[
    bool,
    typer.Option(
        "-d",
        "--debug",
        help="Show each packet that is sent or received, on stderr; never passwords.",
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", help="Say nothing on stderr of what goes wrong: the exit code tells it."
    ),
]
ContentType = Annotated[
    str | None,
    typer.Option(
        "--content-type",
        metavar="TYPE",
        help="What the payload is, such as application/json.",
        rich_help_panel=_PROPERTIES,
    ),
]
UserProperties = Annotated[
    list[str] | None,
    typer.Option(
        "--user-property",
        metavar="NAME=VALUE",
        help="A user property. May be repeated.",
        rich_help_panel=_PROPERTIES,
        show_default=False,
    ),
]


def be_quiet(*, debug: bool) -> None:
    """Have nothing more come on stderr. Raises typer.BadParameter where packets are to."""
    if debug:
        raise typer.BadParameter("--debug and --quiet do not go together.")
    from tmqtt.terminal.streams import STDERR, write_no_more

    write_no_more(STDERR)
