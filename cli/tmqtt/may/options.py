"""`tmqtt may`: its options."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from tmqtt.connecting.asking import ApiCaFile, ApiPlace, ApiTokenFile, AsJson, Client, MountPoint
from tmqtt.terminal.command import CONTEXT, Command

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EPILOG = """\
Examples:
  tmqtt may lamp-7 publish home/lamp/state --api /var/lib/tmqtt
  tmqtt may new-lamp subscribe 'home/#' --user lamps --api http://127.0.0.1:8080

Exit codes: 0 it may; 1 it may not, or it did not work; 2 the options are wrong."""


class Action(Enum):
    """What a client may want to do."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    RECEIVE = "receive"


@app.command(cls=Command, epilog=_EPILOG)
def may(
    client: Client,
    action: Annotated[
        Action, typer.Argument(metavar="publish|subscribe|receive", help="What it would do.")
    ],
    topic: Annotated[
        str, typer.Argument(metavar="TOPIC", help="The topic, or the filter to subscribe to.")
    ],
    username: Annotated[
        str | None,
        typer.Option(
            "--user", metavar="NAME", help="As whom it would come, where it is not known."
        ),
    ] = None,
    listener: Annotated[
        str,
        typer.Option("--listener", metavar="URL", help="By which listener it would come then."),
    ] = "",
    mount_point: MountPoint = "",
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show whether a client of a running broker may do something, and which rule says so.

    A client that there is counts as what it has proved to be. `tmqtt acl` asks a file.
    """
    from tmqtt.connecting.api import api_of
    from tmqtt.may.command import show_answer
    from tmqtt.terminal.running import run

    asked = {
        "client_id": client,
        "action": action.value,
        "topic": topic,
        "username": username,
        "listener": listener,
        "mount_point": mount_point,
    }
    run(
        lambda terminal: show_answer(
            api_of(api, token_file, ca_file), terminal, asked, as_json=as_json
        )
    )
