"""`tmqtt check`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.options import EXIT_CODES, connects
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.terminal.command import CONTEXT, Command

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EXAMPLES = """\
Examples:
  tmqtt check mqtt://localhost
  tmqtt check mqtts://broker.example -u ann -P -
  tmqtt check --profile home --json
  tmqtt check --alive unix:///run/tmqtt/health.sock

"""


@app.command(cls=Command, epilog=_EXAMPLES + EXIT_CODES)
@connects("check", address="url")
def check(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL", help="The broker's address, in place of --broker.", show_default=False
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    alive: Annotated[
        bool,
        typer.Option(
            "--alive",
            help="Only find out whether it answers within 5 s, as health checks of containers do.",
        ),
    ] = False,
    *,
    connection: ConnectionOptions,
) -> None:
    """Show what a broker can do: what it says of itself, and what comes of trying.

    It keeps to topics that nobody else has, removes what it leaves, and sends no more than a
    mebibyte at once. Exit code 1 means that something is wrong.
    """
    del url  # it is in the connection
    if alive and json:
        raise typer.BadParameter("--alive has nothing that --json could show.")
    from tmqtt.terminal.running import run

    if alive:
        from tmqtt.check.alive import ask_whether_alive

        run(lambda terminal: ask_whether_alive(connection, terminal))
    from tmqtt.check.command import check as run_check

    run(lambda terminal: run_check(connection, terminal, json=json))
