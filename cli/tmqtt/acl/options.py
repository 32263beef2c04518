"""`tmqtt acl`: the options of its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.terminal.command import Command, group
from tmqtt.terminal.values import reader

_EXAMPLES = """\
Examples:
  tmqtt acl show access.conf
  tmqtt acl check access.conf --user ann --topic home/kitchen
  tmqtt acl check access.conf --user ann --topic 'home/#' --action subscribe
  tmqtt acl check dynamic-security.json --user ann --topic home/kitchen

"""

app = group("acl", "Explain the rules of an access file.", _EXAMPLES)

File = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="The access file: Mosquitto's format or, named .toml, TOML; named .json, a file of"
        " dynamic security.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@reader
def action_of(text: str) -> str:
    if text not in ("publish", "subscribe", "receive"):
        raise ValueError(f"there is no action {text!r}: write publish, subscribe or receive.")
    return text


@app.command(
    cls=Command,
    epilog=_EXAMPLES + "Exit codes: 0 all that was asked is allowed; 1 something is denied;\n"
    "2 the options or the file are wrong.",
)
def check(
    file: File,
    topic: Annotated[
        str,
        typer.Option(
            "-t", "--topic", metavar="TOPIC", help="Topic, or a topic filter to subscribe to."
        ),
    ],
    user: Annotated[
        str | None,
        typer.Option(
            "-u", "--user", metavar="NAME", help="The client's user name.  [default: anonymous]"
        ),
    ] = None,
    client_id: Annotated[
        str, typer.Option("-i", "--id", metavar="ID", help="The client identifier.")
    ] = "",
    dynamic_security: Annotated[
        str | None,
        typer.Option(
            "--dynamic-security",
            metavar="FILE",
            help="Dynamic security beside it, whose roles decide what FILE leaves open.",
        ),
    ] = None,
    action: Annotated[
        str | None,
        typer.Option(
            "-a",
            "--action",
            metavar="publish|subscribe|receive",
            parser=action_of,
            help="What it wants to do.  [default: explain all]",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain what a client may do with a topic, and which line decides."""
    from tmqtt.acl.command import explain

    explain(
        file,
        topic,
        username=user,
        client_id=client_id,
        action=action,
        as_json=as_json,
        dynamic_security=dynamic_security,
    )


@app.command(cls=Command, epilog=_EXAMPLES + "Exit codes: 0 the file is right; 2 it is wrong.")
def show(file: File, as_json: AsJson = False) -> None:
    """Show the rules by whom they are for, and warn of what is probably a mistake."""
    from tmqtt.acl.command import show_rules

    show_rules(file, as_json=as_json)
