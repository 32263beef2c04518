"""`tmqtt dynsec`: its options."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tmqtt.connecting.asking import ApiCaFile, ApiPlace, ApiTokenFile, AsJson
from tmqtt.terminal.command import CONTEXT, Command

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EPILOG = """\
Examples:
  tmqtt dynsec listClients verbose=true --api /var/lib/tmqtt
  tmqtt dynsec addRoleACL rolename=lamps acltype=publishClientSend topic='home/#' allow=true
  tmqtt dynsec addGroupClient groupname=lamps username=lamp-7 --api http://127.0.0.1:8080

What follows the = is JSON, or else a text. Passwords come by --stdin: a JSON object, whose fields
are added: echo '{"password": "…"}' | tmqtt dynsec createClient username=lamp-7 --stdin

Exit codes: 0 done; 1 it did not work, such as a role that there is not; 2 the options are wrong."""


@app.command(cls=Command, epilog=_EPILOG)
def dynsec(
    command: Annotated[
        str, typer.Argument(metavar="COMMAND", help="Which, such as listRoles or createClient.")
    ],
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE", help="What it takes.", show_default=False),
    ] = None,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="More of what it takes comes in, as a JSON object.")
    ] = False,
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show and change users, groups and roles of a running broker with dynamic security."""
    given: dict[str, object] = {}
    for field in fields or ():
        name, equals, value = field.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{field!r} is not NAME=VALUE.")
        given[name] = _value(value)
    from tmqtt.connecting.api import api_of
    from tmqtt.dynsec.command import do_command
    from tmqtt.terminal.running import run

    if stdin:
        given |= _object(typer.get_text_stream("stdin").read())
    said = {**given, "command": command}
    run(
        lambda terminal: do_command(
            api_of(api, token_file, ca_file), terminal, said, as_json=as_json
        )
    )


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _object(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise typer.BadParameter("What comes in is no JSON object.")
    return found
