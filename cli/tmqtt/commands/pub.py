"""`tmqtt pub`: its options."""

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
    duration,
)

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)


@app.command(cls=Command, epilog=EXIT_CODES)
@connects("pub")
def pub(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Where to publish.")],
    message: Annotated[
        str | None,
        typer.Argument(
            metavar="MESSAGE",
            help="What to publish.  [default: Hello mqtt and the milliseconds since 1970]",
            show_default=False,
        ),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            "--every",
            metavar="DURATION",
            parser=duration,
            help="Publish again and again, so far apart: 500ms, 3s, 5m, 1h.",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            metavar="N",
            parser=count_of,
            help="End after N messages.  [default: 1; with --every: never]",
        ),
    ] = None,
    qos: Qos = 0,
    retain: Annotated[
        bool, typer.Option("-r", "--retain", help="Have the broker keep it for new subscribers.")
    ] = False,
    *,
    connection: ConnectionOptions,
) -> None:
    """Publish a message, once or on a schedule.

    Where no broker answers at the start, that is an error (or see --wait). With --every, a
    connection that is lost later is made again, for as long as it takes.
    """
    from tmqtt.pub import PubOptions, publish
    from tmqtt.running import run

    options = PubOptions(
        topic=topic,
        message=message,
        every=every,
        count=1 if count is None and every is None else count,
        qos=qos,
        retain=retain,
    )
    run(lambda terminal: publish(options, connection, terminal))
