"""`tmqtt explore`: its options."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from tmqtt.connecting.asking import ApiCaFile, ApiPlace, ApiTokenFile
from tmqtt.connecting.options import EXIT_CODES, connects
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.terminal.command import CONTEXT, Command

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EXAMPLES = """\
Examples:
  tmqtt explore -b mqtt://raspberrypi.local
  tmqtt explore 'zigbee2mqtt/#' '$SYS/#'
  tmqtt explore 'home/#' --plot .temperature
  tmqtt explore --api /var/lib/tmqtt

"""


@app.command(cls=Command, epilog=_EXAMPLES + EXIT_CODES)
@connects("explore")
def explore(
    filters: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILTER",
            help="Which topics to show.  [default: #]",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        str | None,
        typer.Option(
            "--plot",
            metavar="PATH",
            help="Which number of JSON to draw, as .temperature or .rooms[0].t; n takes the next."
            "  [default: the first]",
            show_default=False,
        ),
    ] = None,
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    *,
    connection: ConnectionOptions,
) -> None:
    """Go through a broker's topics in the terminal: a tree that opens, values as they come.

    A topic shows its last message (what is new in JSON is lit), its numbers drawn, and the messages
    before. Keys publish, remove what is retained, and filter as you type; ? lists them. Where --api
    says who tells of them, C shows the broker's clients.
    """
    from tmqtt.connecting.api import api_of
    from tmqtt.explore.command import explore as go
    from tmqtt.terminal.running import run
    from tmqtt.topics.numbers import parse_path

    path = None
    if plot is not None:
        try:
            path = parse_path(plot)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--plot") from None
    told = api_of(api, token_file, ca_file) if api or os.environ.get("TMQTT_API") else None
    run(lambda terminal: go(tuple(filters or ("#",)), path, connection, terminal, told))
