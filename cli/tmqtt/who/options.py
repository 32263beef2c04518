"""`tmqtt who`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.asking import ApiCaFile, ApiPlace, ApiTokenFile, AsJson, Limit
from tmqtt.terminal.command import CONTEXT, Command

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EPILOG = """\
Examples:
  tmqtt who home/lamp/set --api /var/lib/tmqtt
  tmqtt who home/lamp/set --from switch-2 -q 1 --api http://127.0.0.1:8080

Exit codes: 0 somebody would get it; 1 nobody would, or it did not work; 2 the options are wrong."""


@app.command(cls=Command, epilog=_EPILOG)
def who(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic of a message.")],
    author: Annotated[
        str | None,
        typer.Option("--from", metavar="CLIENT", help="Who would publish it."),
    ] = None,
    qos: Annotated[
        int, typer.Option("-q", "--qos", metavar="0|1|2", min=0, max=2, help="At which QoS.")
    ] = 0,
    limit: Limit = 100,
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show whom a message would reach at a running broker, and who would not get it, and why."""
    from tmqtt.connecting.api import api_of
    from tmqtt.terminal.running import run
    from tmqtt.who.command import show_recipients

    asked = {"topic": topic, "client_id": author, "qos": qos}
    run(
        lambda terminal: show_recipients(
            api_of(api, token_file, ca_file), terminal, asked, limit, as_json=as_json
        )
    )
