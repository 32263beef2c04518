"""`tmqtt sessions`: the options of its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.asking import (
    ApiCaFile,
    ApiPlace,
    ApiTokenFile,
    AsJson,
    Client,
    Limit,
    MountPoint,
)
from tmqtt.terminal.command import Command, group

_EXAMPLES = """\
Examples:
  tmqtt sessions list --api /var/lib/tmqtt
  tmqtt sessions queue lamp-7 --api http://127.0.0.1:8080
  tmqtt sessions end lamp-7 --api /var/lib/tmqtt

"""
_CODES = (
    "Exit codes: 0 done; 1 it did not work, such as a session that there is not; 2 the options are"
    " wrong."
)

app = group("sessions", "Show what waits in the sessions of a running broker.", _EXAMPLES)


@app.callback()
def sessions() -> None:
    """Show what waits in the sessions of a running broker, and end one."""


@app.command("list", cls=Command, epilog=_EXAMPLES + _CODES)
def list_sessions(
    search: Annotated[
        str, typer.Argument(metavar="TEXT", help="Part of the client identifier.")
    ] = "",
    limit: Limit = 100,
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the sessions, those first for which most waits."""
    from tmqtt.connecting.api import api_of
    from tmqtt.sessions.command import show_sessions
    from tmqtt.terminal.running import run

    asked = {
        "search": search or None,
        "sort": "queued_messages",
        "descending": True,
    }
    run(
        lambda terminal: show_sessions(
            api_of(api, token_file, ca_file), terminal, asked, limit, as_json=as_json
        )
    )


@app.command(cls=Command, epilog=_EXAMPLES + _CODES)
def queue(
    client: Client,
    limit: Limit = 100,
    mount_point: MountPoint = "",
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what is on its way to a client: what is in flight, then what waits."""
    from tmqtt.connecting.api import api_of
    from tmqtt.sessions.command import show_queue
    from tmqtt.terminal.running import run

    asked = {"client_id": client, "mount_point": mount_point}
    run(
        lambda terminal: show_queue(
            api_of(api, token_file, ca_file), terminal, asked, limit, as_json=as_json
        )
    )


@app.command(cls=Command, epilog=_EXAMPLES + _CODES)
def end(
    client: Client,
    mount_point: MountPoint = "",
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """End a session, with all that waits in it; its client is disconnected."""
    from tmqtt.connecting.api import api_of
    from tmqtt.sessions.command import end_session
    from tmqtt.terminal.running import run

    asked = {"client_id": client, "mount_point": mount_point}
    run(
        lambda terminal: end_session(
            api_of(api, token_file, ca_file), terminal, asked, as_json=as_json
        )
    )
