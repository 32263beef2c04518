"""`tmqtt disconnect`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.asking import ApiCaFile, ApiPlace, ApiTokenFile, AsJson, Client, MountPoint
from tmqtt.terminal.command import CONTEXT, Command
from tmqtt.terminal.values import reader

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EPILOG = """\
Examples:
  tmqtt disconnect lamp-7 --api /var/lib/tmqtt
  tmqtt disconnect lamp-7 --reason "moving" --to other.example:1883 --api http://127.0.0.1:8080

Exit codes: 0 done; 1 it did not work, such as a client that is not connected; 2 the options are
wrong."""


def _code(given: str) -> int:
    try:
        code = int(given, 0)
    except ValueError:
        code = -1
    if code not in range(256):
        raise ValueError(f"{given!r} is no reason code: write 0x8E, or 142.")
    return code


@app.command(cls=Command, epilog=_EPILOG)
def disconnect(
    client: Client,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="What it is told, and the log.")
    ] = "",
    code: Annotated[
        int | None,
        typer.Option(
            "--code",
            metavar="CODE",
            parser=reader(_code),
            help="The reason code that it is told (MQTT 5), such as 0x8E.  [default: 0x98,"
            " administrative action; with --to 0x9C, use another server]",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="HOST:PORT", help="Where it is sent (MQTT 5)."),
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

    asked = {
        "client_id": client,
        "mount_point": mount_point,
        "reason": reason,
        "reason_code": code,
        "server_reference": to,
    }
    run(
        lambda terminal: disconnect_client(
            api_of(api, token_file, ca_file), terminal, asked, as_json=as_json
        )
    )
