"""`tmqtt sub`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.options import (
    CONTEXT,
    DEFAULT_BROKER,
    EXIT_CODES,
    BrokerUrl,
    ClientId,
    Password,
    ProtocolVersion,
    Qos,
    Username,
    Wait,
    count_of,
    new_client_id,
)

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)


@app.command(epilog=EXIT_CODES)
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
    broker: BrokerUrl = DEFAULT_BROKER,
    client_id: ClientId = None,
    username: Username = None,
    password: Password = None,
    protocol_version: ProtocolVersion = None,
    wait: Wait = False,
) -> None:
    """Subscribe, and print each message as it arrives.

    A terminal shows time, topic and payload, with what could steer it escaped. A pipe gets the
    payloads as they are, a line each. Where no broker answers at the start, that is an error (or
    see --wait); a connection that is lost later is made again, for as long as it takes.
    """
    from tmqtt.connecting import ConnectionOptions
    from tmqtt.running import run
    from tmqtt.sub import SubOptions, subscribe

    options = SubOptions(filters=tuple(filters), qos=qos, count=count, verbose=verbose)
    connection = ConnectionOptions(
        broker=broker,
        client_id=new_client_id("sub") if client_id is None else client_id,
        username=username,
        password=password,
        protocol_version=protocol_version,
        wait=wait,
    )
    run(lambda terminal: subscribe(options, connection, terminal))
