"""`tmqtt sub`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.options import (
    CONTEXT,
    EXIT_CODES,
    Command,
    ConnectionOptions,
    Qos,
    connects,
    count_of,
)

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)


@app.command(cls=Command, epilog=EXIT_CODES)
@connects("sub")
def sub(
    filters: Annotated[
        list[str],
        typer.Argument(metavar="FILTER", help="Topics or topic filters (+, #)."),
    ],
    qos: Qos = 0,
    count: Annotated[
        int | None,
        typer.Option("-C", "--count", metavar="N", parser=count_of, help="End after N messages."),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option("-v", "--verbose", help="Print the topic before the payload, also in a pipe."),
    ] = False,
    *,
    connection: ConnectionOptions,
) -> None:
    """Subscribe, and print each message as it arrives.

    A terminal shows time, topic and payload, with what could steer it escaped. A pipe gets the
    payloads as they are, a line each. Where no broker answers at the start, that is an error (or
    see --wait); a connection that is lost later is made again, for as long as it takes.
    """
    from tmqtt.running import run
    from tmqtt.sub import SubOptions, subscribe

    options = SubOptions(filters=tuple(filters), qos=qos, count=count, verbose=verbose)
    run(lambda terminal: subscribe(options, connection, terminal))
