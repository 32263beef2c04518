"""`tmqtt ban`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.asking import ApiCaFile, ApiPlace, ApiTokenFile, AsJson
from tmqtt.terminal.command import CONTEXT, Command
from tmqtt.terminal.values import duration

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EPILOG = """\
Examples:
  tmqtt ban --address 192.0.2.0/24 --for 1h --reason "floods" --api /var/lib/tmqtt
  tmqtt ban --client lamp-7 --lift --api /var/lib/tmqtt
  tmqtt ban --list --api http://127.0.0.1:8080

Exit codes: 0 done; 1 it did not work, such as a ban to be lifted that there is not; 2 the options
are wrong."""


@app.command(cls=Command, epilog=_EPILOG)
def ban(
    client: Annotated[
        str | None, typer.Option("--client", metavar="ID", help="A client identifier.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="NAME", help="A user.")] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="ADDRESS", help="An address, or a network."),
    ] = None,
    period: Annotated[
        float | None,
        typer.Option(
            "--for",
            metavar="DURATION",
            parser=duration,
            help="For how long.  [default: until it is lifted]",
            show_default=False,
        ),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, for those who look later.")
    ] = "",
    keep_connected: Annotated[
        bool,
        typer.Option(
            "--keep-connected", help="Whoever is connected stays, and may not connect again."
        ),
    ] = False,
    lift: Annotated[bool, typer.Option("--lift", help="Lift the ban.")] = False,
    listed: Annotated[
        bool,
        typer.Option("--list", help="Show the bans: all, or those with part of what is given."),
    ] = False,
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Have somebody not connect to a running broker any more; who is connected is disconnected."""
    kinds = {"client": client, "user": user, "address": address}
    given = [(kind, value) for kind, value in kinds.items() if value is not None]
    if listed and lift:
        raise typer.BadParameter("--list shows bans, and --lift lifts one: give one of them.")
    if (listed or lift) and (period is not None or reason or keep_connected):
        raise typer.BadParameter(
            "--for, --reason and --keep-connected are of a new ban, and go with neither --list nor"
            " --lift."
        )
    if len(given) > 1 or not (given or listed):
        raise typer.BadParameter("Give one of --client, --user and --address, or --list.")
    from tmqtt.ban.command import ban_somebody, lift_ban, show_bans
    from tmqtt.connecting.api import api_of
    from tmqtt.terminal.running import run

    if listed:
        sought = {"kind": given[0][0], "search": given[0][1]} if given else {}
        run(
            lambda terminal: show_bans(
                api_of(api, token_file, ca_file), terminal, sought, as_json=as_json
            )
        )
    kind, value = given[0]
    named = {"kind": kind, "value": value}
    if lift:
        run(
            lambda terminal: lift_ban(
                api_of(api, token_file, ca_file), terminal, named, as_json=as_json
            )
        )
    asked = {
        **named,
        "seconds": period,
        "reason": reason,
        "disconnect": not keep_connected,
    }
    run(
        lambda terminal: ban_somebody(
            api_of(api, token_file, ca_file), terminal, asked, as_json=as_json
        )
    )
