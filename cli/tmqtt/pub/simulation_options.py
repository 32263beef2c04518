"""The options of `pub` for a simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tmqtt.terminal.values import reader

if TYPE_CHECKING:
    from tmqtt.pub.plan import SimulatedTopic

_PANEL = "Schedule"


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number.") from None


SimulationFile = Annotated[
    str | None,
    typer.Option(
        "--simulate",
        metavar="FILE",
        help="Publish what a TOML or JSON file describes: topics, each with its own interval.",
        rich_help_panel=_PANEL,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        parser=reader(_whole),
        help="Have {random:1:6} and the like give the same values each time.",
        rich_help_panel=_PANEL,
    ),
]


def simulation(
    path: str | None, *, every: float | None, qos: int, retain: bool, fastest: int
) -> tuple[SimulatedTopic, ...]:
    """The topics of the file that was given, or none. Raises typer.BadParameter."""
    if path is None:
        return ()
    from tmqtt.pub.simulation import SimulationError, read_simulation

    try:
        return read_simulation(path, every=every, qos=qos, retain=retain, fastest=fastest)
    except SimulationError as error:
        raise typer.BadParameter(str(error), param_hint="'--simulate'") from None
