"""`tmqtt request`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.options import EXIT_CODES, check_is_no_address, connects, qos_of
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.terminal.command import CONTEXT, Command
from tmqtt.terminal.values import count_of, duration

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EXAMPLES = """\
Examples:
  tmqtt request lamp/get
  tmqtt request adder '{"a": 1, "b": 2}' --timeout 2s
  tmqtt request echo ping -n 1000

"""


@app.command(cls=Command, epilog=_EXAMPLES + EXIT_CODES)
@connects("request")
def request(
    ctx: typer.Context,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Where to ask.")],
    message: Annotated[
        str | None,
        typer.Argument(metavar="MESSAGE", help="What to ask.  [default: nothing]"),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("-f", "--file", metavar="FILE", help="Ask what is in a file, or - for stdin."),
    ] = None,
    count: Annotated[
        int,
        typer.Option(
            "-n",
            "--count",
            metavar="N",
            parser=count_of,
            help="Ask so many times, one after the other, and tell how long it took.",
        ),
    ] = 1,
    timeout: Annotated[
        float,
        typer.Option(
            "-W",
            "--timeout",
            metavar="DURATION",
            parser=duration,
            help="How long to wait for a response, connecting included.  [default: 10s]",
            show_default=False,
        ),
    ] = 10.0,
    qos: Annotated[
        int,
        typer.Option("-q", "--qos", metavar="0|1|2", parser=qos_of, help="Quality of service."),
    ] = 1,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Print the response's topic, too.")
    ] = False,
    *,
    connection: ConnectionOptions,
) -> None:
    """Send a request, and print the response (MQTT 5).

    The responder finds in the message where to answer: its response topic and correlation data.
    """
    check_is_no_address(topic, "topic", "TOPIC")
    if message is not None and file is not None:
        ctx.fail("There can be one message only, but there are MESSAGE and -f.")
    from tmqtt.request.command import RequestOptions, ask
    from tmqtt.terminal.running import run

    options = RequestOptions(
        topic=topic,
        message=message or "",
        file=file,
        count=count,
        timeout=timeout,
        qos=qos,
        properties=connection.packet_properties.get("publish", {}),
        verbose=verbose,
    )
    run(lambda terminal: ask(options, connection, terminal))
