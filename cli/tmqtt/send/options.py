"""`tmqtt send`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.asking import ApiCaFile, ApiPlace, ApiTokenFile, AsJson, MountPoint
from tmqtt.connecting.property_values import user_property
from tmqtt.connecting.shared_options import ContentType, UserProperties
from tmqtt.terminal.command import CONTEXT, Command
from tmqtt.terminal.values import duration

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EPILOG = """\
Examples:
  tmqtt send home/lamp/set on --to lamp-7 -q 1 --api /var/lib/tmqtt
  tmqtt send notice "back at noon" --retain --for 1h --api http://127.0.0.1:8080

Exit codes: 0 done; 1 it did not work, such as a client that the broker does not know; 2 the options
are wrong."""


@app.command(cls=Command, epilog=_EPILOG)
def send(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Its topic.")],
    message: Annotated[str, typer.Argument(metavar="MESSAGE", help="What it says.")] = "",
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="CLIENT",
            help="To this client alone, whatever it has subscribed to.  [default: to all who have]",
            show_default=False,
        ),
    ] = None,
    mount_point: MountPoint = "",
    file: Annotated[
        str | None,
        typer.Option("-f", "--file", metavar="FILE", help="What it says; - is standard input."),
    ] = None,
    qos: Annotated[
        int, typer.Option("-q", "--qos", metavar="0|1|2", min=0, max=2, help="At which QoS.")
    ] = 0,
    retain: Annotated[bool, typer.Option("-r", "--retain", help="Have it retained.")] = False,
    expiry: Annotated[
        float | None,
        typer.Option(
            "--for", metavar="DURATION", parser=duration, help="For how long it is of use."
        ),
    ] = None,
    content_type: ContentType = None,
    user_properties: UserProperties = None,
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Have a running broker publish a message itself, or send it to one client alone.

    It needs no client of its own, and no rule: `tmqtt pub` publishes as a client does.
    """
    if message and file is not None:
        raise typer.BadParameter("Give a MESSAGE, or --file FILE.")
    if mount_point and to is None:
        raise typer.BadParameter("--mount-point goes with --to CLIENT.")
    try:
        pairs = [user_property(text) for text in user_properties or ()]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--user-property'") from None
    from tmqtt.connecting.api import api_of
    from tmqtt.send.command import send_message
    from tmqtt.terminal.running import run

    asked: dict[str, object] = {
        "topic": topic,
        "qos": qos,
        "retain": retain,
        "expiry_interval": None if expiry is None else round(expiry),
        "content_type": content_type,
        "user_properties": pairs,
    }
    if to is not None:
        asked |= {"client_id": to, "mount_point": mount_point}
    run(
        lambda terminal: send_message(
            api_of(api, token_file, ca_file),
            terminal,
            asked,
            text=message,
            file=file,
            as_json=as_json,
        )
    )
