"""`tmqtt disconnect`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.asking import ApiCaFile, ApiPlace, ApiTokenFile, AsJson, Client, MountPoint
from tmqtt.terminal.command import CONTEXT, Command

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EPILOG = """\
Examples:
  tmqtt disconnect lamp-7 --api /var/lib/tmqtt
  tmqtt disconnect lamp-7 --reason "moving" --to other.example:1883 --api http://127.0.0.1:8080

Exit codes: 0 done; 1 it did not work, such as a client that is not connected; 2 the options are
wrong."""


@app.command(cls=Command, epilog=_EPILOG)
def disconnect(
    client: Client,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="What it is told, and the log.")
    ] = "",
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="HOST:PORT", help="Where it is sent (MQTT 5, 0x9C)."),
    ] = None,
    mount_point: MountPoint = "",
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Disconnect a client of a running broker. Its session goes on, and it may come back."""
    from tmqtt.connecting.api import api_of
    from tmqtt.disconnect.command import disconnect_client
    from tmqtt.terminal.running import run

    asked = {"client_id": client, "mount_point": mount_point, "reason": reason}
    run(
        lambda terminal: disconnect_client(
            api_of(api, token_file, ca_file), terminal, asked, to, as_json=as_json
        )
    )
