"""`tmqtt trace`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.asking import ApiCaFile, ApiPlace, ApiTokenFile, AsJson, MountPoint
from tmqtt.terminal.command import CONTEXT, Command
from tmqtt.terminal.figures import parse_size
from tmqtt.terminal.values import count_of, reader

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EPILOG = """\
Examples:
  tmqtt trace lamp-7 --api /var/lib/tmqtt
  tmqtt trace --topic 'home/+/set' --count 10 --api http://127.0.0.1:8080

Exit codes: 0 done; 1 it did not work, such as a broker that has gone; 2 the options are wrong;
130 ended by Ctrl-C."""


@app.command(cls=Command, epilog=_EPILOG)
def trace(
    client: Annotated[
        str | None, typer.Argument(metavar="CLIENT", help="A client identifier.")
    ] = None,
    topic: Annotated[
        str | None,
        typer.Option("--topic", metavar="FILTER", help="Topics, in place of a client."),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("--count", metavar="COUNT", parser=count_of, help="End after so many."),
    ] = None,
    payload: Annotated[
        int | None,
        typer.Option(
            "--payload",
            metavar="SIZE",
            parser=reader(parse_size),
            help="How much of each payload is shown, such as 1KB.  [default: 100 characters, in"
            " JSON 256 bytes]",
            show_default=False,
        ),
    ] = None,
    mount_point: MountPoint = "",
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the packets of a client of a running broker, or what becomes of messages of a topic.

    A client that is not connected is traced from its next CONNECT on. Passwords are not shown.
    """
    if (client is None) == (topic is None):
        raise typer.BadParameter("Give a CLIENT, or --topic FILTER.")
    from tmqtt.connecting.api import api_of
    from tmqtt.terminal.running import run
    from tmqtt.trace.command import follow_trace

    asked = {
        "client_id": client,
        "mount_point": mount_point or None,
        "topic_filter": topic,
        "payload": payload,
    }
    run(
        lambda terminal: follow_trace(
            api_of(api, token_file, ca_file), terminal, asked, count=count, as_json=as_json
        )
    )
