"""`tmqtt events`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.asking import ApiCaFile, ApiPlace, ApiTokenFile, AsJson
from tmqtt.terminal.command import CONTEXT, Command
from tmqtt.terminal.values import count_of

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EPILOG = """\
Examples:
  tmqtt events --api /var/lib/tmqtt
  tmqtt events ClientConnected ClientDisconnected --json --api http://127.0.0.1:8080

Exit codes: 0 done; 1 it did not work, such as a kind that there is not; 2 the options are wrong;
130 ended by Ctrl-C."""


@app.command(cls=Command, epilog=_EPILOG)
def events(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KIND",
            help="Only of these kinds, such as ClientConnected or SlowConsumer.  [default: all but"
            " those of single messages and pings]",
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("--count", metavar="COUNT", parser=count_of, help="End after so many."),
    ] = None,
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what happens at a running broker: who comes and goes, who is refused, who is slow."""
    from tmqtt.connecting.api import api_of
    from tmqtt.events.command import follow_events
    from tmqtt.terminal.running import run

    asked = {"kinds": kinds or None}
    run(
        lambda terminal: follow_events(
            api_of(api, token_file, ca_file), terminal, asked, count=count, as_json=as_json
        )
    )
