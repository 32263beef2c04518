"""The options of `sub` that say which messages count, and what is asked of the broker for that."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.terminal.values import reader

_PANEL = "Which messages"


def _handling(text: str | int) -> int:
    found = {"always": 0, "0": 0, "new": 1, "1": 1, "never": 2, "2": 2}.get(str(text))
    if found is None:
        raise typer.BadParameter(
            f"there is no retain handling {text!r}: write always, new or never (0, 1, 2)."
        )
    return found


def _identifier(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:20]) <= 268_435_455):
        raise typer.BadParameter(f"{text!r} is not a number from 1 to 268435455.")
    return int(text)


def _share(text: str) -> float:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 100:
        raise ValueError(
            f"{text!r} is no share of messages: write a percentage, such as 10 or 0.5."
        )
    return percent / 100


FilterOut = Annotated[
    list[str] | None,
    typer.Option(
        "-T",
        "--filter-out",
        metavar="FILTER",
        help="Leave out what matches this.",
        rich_help_panel=_PANEL,
    ),
]
NoRetained = Annotated[
    bool,
    typer.Option(
        "-R", "--no-retained", help="Leave out retained messages.", rich_help_panel=_PANEL
    ),
]
RetainedOnly = Annotated[
    bool,
    typer.Option(
        "--retained-only",
        help="Only retained messages: ends when they have come, or with the first that is not.",
        rich_help_panel=_PANEL,
    ),
]
RemoveRetained = Annotated[
    bool,
    typer.Option(
        "--remove-retained",
        help="Have the broker forget the retained messages that match, and end.",
        rich_help_panel=_PANEL,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="With --remove-retained: only show what would be removed.",
        rich_help_panel=_PANEL,
    ),
]
Share = Annotated[
    float | None,
    typer.Option(
        "--random-filter",
        metavar="PERCENT",
        parser=reader(_share),
        help="Of the messages, only so many in a hundred, taken at random: 10, 0.5.",
        rich_help_panel=_PANEL,
    ),
]
NoLocal = Annotated[
    bool,
    typer.Option(
        "--no-local",
        help="Leave out what this client published itself.",
        rich_help_panel=_PANEL,
    ),
]
AsPublished = Annotated[
    bool,
    typer.Option(
        "--retain-as-published",
        help="Keep the retain flag of live messages as their publishers set it.",
        rich_help_panel=_PANEL,
    ),
]
RetainHandling = Annotated[
    int | None,
    typer.Option(
        "--retain-handling",
        metavar="always|new|never",
        parser=_handling,
        help="When the broker sends what is retained; new: if there was no such subscription.",
        rich_help_panel=_PANEL,
    ),
]
Identifier = Annotated[
    int | None,
    typer.Option(
        "--identifier",
        metavar="N",
        parser=_identifier,
        help="Subscription identifier, which the messages then bear.",
        rich_help_panel=_PANEL,
    ),
]
Unsubscribe = Annotated[
    list[str] | None,
    typer.Option(
        "-U",
        "--unsubscribe",
        metavar="FILTER",
        help="End a subscription that an earlier run left with --session; without a FILTER to"
        " subscribe to, that is all. May be repeated.",
        rich_help_panel=_PANEL,
    ),
]
