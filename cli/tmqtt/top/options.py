"""`tmqtt top`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.options import EXIT_CODES, connects
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.terminal.command import CONTEXT, Command
from tmqtt.terminal.values import duration

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EXAMPLES = """\
Examples:
  tmqtt top mqtt://broker.example
  tmqtt top --json | jq .clients_connected
  tmqtt top --interval 1m >> broker.log

"""


@app.command(cls=Command, epilog=_EXAMPLES + EXIT_CODES)
@connects("top", address="url")
def top(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL",
            help="The broker to watch, instead of --broker.  [default: mqtt://localhost:1883]",
            show_default=False,
        ),
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval",
            metavar="DURATION",
            parser=duration,
            help="How often to draw, and in a pipe to print a line.  [default: 1s; in a pipe:"
            " print once and end]",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON: once, or at each interval.")
    ] = False,
    *,
    connection: ConnectionOptions,
) -> None:
    """Watch a broker live, by its $SYS topics: clients, messages, bytes, queues, drops.

    They are read as Mosquitto and `tmqtt broker` name them. How often they are renewed is the
    broker's choice.
    """
    del url  # it is in the connection
    from tmqtt.terminal.running import run
    from tmqtt.top.command import top as watch

    run(lambda terminal: watch(connection, terminal, interval=interval, as_json=as_json))
