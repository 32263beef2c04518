"""`tmqtt client`: its options."""

from __future__ import annotations

import typer

from tmqtt.connecting.asking import ApiCaFile, ApiPlace, ApiTokenFile, AsJson, Client, MountPoint
from tmqtt.terminal.command import CONTEXT, Command

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EPILOG = """\
Examples:
  tmqtt client lamp-7 --api /var/lib/tmqtt
  tmqtt client lamp-7 --json --api http://127.0.0.1:8080

Exit codes: 0 done; 1 it did not work, such as a client that the broker does not know; 2 the options
are wrong."""


@app.command(cls=Command, epilog=_EPILOG)
def client(
    client: Client,
    mount_point: MountPoint = "",
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one client of a running broker: where it is, its will, its subscriptions, what waits.

    What it says and is sent each second is counted from the first look on, for a minute: asked a
    second time, it is told.
    """
    from tmqtt.client.command import show_client
    from tmqtt.connecting.api import api_of
    from tmqtt.terminal.running import run

    asked = {"client_id": client, "mount_point": mount_point}
    run(
        lambda terminal: show_client(
            api_of(api, token_file, ca_file), terminal, asked, as_json=as_json
        )
    )
