"""`tmqtt clients`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.asking import ApiCaFile, ApiPlace, ApiTokenFile, AsJson, Limit
from tmqtt.terminal.command import CONTEXT, Command
from tmqtt.terminal.values import duration, one_of

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EPILOG = """\
Examples:
  tmqtt clients --api /var/lib/tmqtt
  tmqtt clients lamp --connected --api http://127.0.0.1:8080
  tmqtt clients --slow --json | jq .client_id

Exit codes: 0 done; 1 it did not work, such as a broker that cannot be reached or says no; 2 the
options are wrong."""

# By what the API sorts: ClientOrder, which takes longer to load.
ORDERS = (
    "client_id", "username", "since", "queued_messages", "in_flight", "dropped", "subscriptions"
)  # fmt: skip


@app.command(cls=Command, epilog=_EPILOG)
def clients(
    search: Annotated[
        str,
        typer.Argument(
            metavar="TEXT", help="Part of the client identifier, the user name or the address."
        ),
    ] = "",
    connected: Annotated[
        bool, typer.Option("--connected", help="Only those that are connected.")
    ] = False,
    away: Annotated[bool, typer.Option("--away", help="Only those that are away.")] = False,
    slow: Annotated[
        bool, typer.Option("--slow", help="Only those that take less than comes for them.")
    ] = False,
    user: Annotated[
        str | None, typer.Option("--user", metavar="NAME", help="Only those of this user.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="ADDRESS", help="Only those from this address."),
    ] = None,
    listener: Annotated[
        str | None,
        typer.Option("--listener", metavar="URL", help="Only those that came by this listener."),
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            "--sort",
            metavar="BY",
            parser=one_of(*ORDERS),
            help=f"{', '.join(ORDERS[:-1])} or {ORDERS[-1]}.",
        ),
    ] = "client_id",
    reverse: Annotated[
        bool, typer.Option("--reverse", help="Begin with the largest, or latest.")
    ] = False,
    rates: Annotated[
        float | None,
        typer.Option(
            "--rates",
            metavar="DURATION",
            parser=duration,
            help="Count for so long what each of them says and is sent, and show that instead.",
        ),
    ] = None,
    limit: Limit = 100,
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the clients of a running broker: where, since when, and what waits for them."""
    if connected and away:
        raise typer.BadParameter("--connected and --away leave nobody: give one of them.")
    from tmqtt.clients.command import show_clients
    from tmqtt.connecting.api import api_of
    from tmqtt.terminal.running import run

    asked = {
        "search": search or None,
        "connected": True if connected else False if away else None,
        "slow": slow or None,
        "username": user,
        "address": address,
        "listener": listener,
        "sort": sort,
        "descending": reverse or None,
        "rates": rates is not None or None,
    }
    run(
        lambda terminal: show_clients(
            api_of(api, token_file, ca_file), terminal, asked, limit, rates, as_json=as_json
        )
    )
