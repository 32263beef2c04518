"""`tmqtt overview`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.asking import ApiCaFile, ApiPlace, ApiTokenFile, AsJson
from tmqtt.terminal.command import CONTEXT, Command

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EPILOG = """\
Examples:
  tmqtt overview --api /var/lib/tmqtt
  tmqtt overview --hour --api /var/lib/tmqtt
  tmqtt overview --json --api http://127.0.0.1:8080 | jq .clients

Exit codes: 0 it serves clients as it should; 1 it does not, or it cannot be asked; 2 the options
are wrong."""


@app.command(cls=Command, epilog=_EPILOG)
def overview(
    hour: Annotated[
        bool, typer.Option("--hour", help="How it was in the last hour, as bars, a minute each.")
    ] = False,
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show how a running broker is: clients, sessions, what waits, how late it is, its memory."""
    from tmqtt.connecting.api import api_of
    from tmqtt.overview.command import show_hour, show_overview
    from tmqtt.terminal.running import run

    if hour:
        run(lambda terminal: show_hour(api_of(api, token_file, ca_file), terminal, as_json=as_json))

    run(lambda terminal: show_overview(api_of(api, token_file, ca_file), terminal, as_json=as_json))
