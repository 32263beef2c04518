"""The commands and their options. What a command needs is imported only when it runs."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer

from tmqtt.durations import parse_duration

_EXIT_CODES = (
    "Exit codes: 0 done; 1 it did not work; 2 the options are wrong; 130 ended by Ctrl-C;"
    " where the broker refuses the connection, its code (such as 135: not authorized)."
)

app = typer.Typer(
    name="tmqtt",
    help="An MQTT broker, publisher and subscriber for the terminal.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _qos(text: str | int) -> int:  # an int where it is the default
    if str(text) not in ("0", "1", "2"):
        raise typer.BadParameter(f"there is no QoS {text!r}: write 0, 1 or 2.")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= len(text) <= 18 and int(text)):
        raise typer.BadParameter(f"{text!r} is not a number of messages: write 1 or more.")
    return int(text)


def _version(text: str) -> str:
    if text not in ("3.1", "3.1.1", "5"):
        raise typer.BadParameter(f"there is no MQTT {text!r} here: write 3.1, 3.1.1 or 5.")
    return text


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tmqtt {version('trio-mqtt')}")
        raise typer.Exit


BrokerUrl = Annotated[
    str,
    typer.Option(
        "-b",
        "--broker",
        metavar="URL",
        envvar="TMQTT_BROKER",
        help="The broker's address; it may carry credentials: mqtt://USER:PASSWORD@HOST:PORT.",
    ),
]
ClientId = Annotated[
    str | None,
    typer.Option("-i", "--id", metavar="ID", help="Client identifier. By default a new one."),
]
Username = Annotated[
    str | None, typer.Option("-u", "--username", metavar="NAME", help="User name.")
]
Password = Annotated[
    str | None, typer.Option("-P", "--password", metavar="PASSWORD", help="Password.")
]
ProtocolVersion = Annotated[
    str | None,
    typer.Option(
        "-V",
        "--protocol-version",
        metavar="3.1|3.1.1|5",
        parser=_version,
        help="MQTT version.  [default: 5, and 3.1.1 where the broker refuses 5]",
    ),
]
Wait = Annotated[
    bool,
    typer.Option(
        "-w", "--wait", help="Wait for a broker that is not there yet, instead of giving up."
    ),
]
Qos = Annotated[
    int,
    typer.Option("-q", "--qos", metavar="0|1|2", parser=_qos, help="Quality of service."),
]

_DEFAULT_BROKER = "mqtt://localhost:1883"


@app.callback()
def tmqtt(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """An MQTT broker, publisher and subscriber for the terminal."""


@app.command()
def broker(
    urls: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="URL",
            help="Where to listen.  [default: mqtt://127.0.0.1:1883, this machine only]",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Print nothing but warnings and errors.")
    ] = False,
) -> None:
    """Run a broker until Ctrl-C, and show its traffic.

    mqtt://0.0.0.0:1883 and mqtt://[::]:1883 listen at all addresses of this machine, for everybody
    who can reach it. Port 0 takes a free one. Several URLs listen at all of them.
    """
    from tmqtt.broker import serve
    from tmqtt.running import run

    run(lambda terminal: serve(tuple(urls or ()), terminal, quiet=quiet), stopped=0)


@app.command(epilog=_EXIT_CODES)
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
            parser=_duration,
            help="Publish again and again, so far apart: 500ms, 3s, 5m, 1h.",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            metavar="N",
            parser=_count,
            help="End after N messages.  [default: 1; with --every: never]",
        ),
    ] = None,
    qos: Qos = 0,
    retain: Annotated[
        bool, typer.Option("-r", "--retain", help="Have the broker keep it for new subscribers.")
    ] = False,
    broker: BrokerUrl = _DEFAULT_BROKER,
    client_id: ClientId = None,
    username: Username = None,
    password: Password = None,
    protocol_version: ProtocolVersion = None,
    wait: Wait = False,
) -> None:
    """Publish a message, once or on a schedule.

    Where no broker answers at the start, that is an error (or see --wait). With --every, a
    connection that is lost later is made again, for as long as it takes.
    """
    from tmqtt.connecting import ConnectionOptions
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
    connection = ConnectionOptions(
        broker=broker,
        client_id=_client_id("pub") if client_id is None else client_id,
        username=username,
        password=password,
        protocol_version=protocol_version,
        wait=wait,
    )
    run(lambda terminal: publish(options, connection, terminal))


@app.command(epilog=_EXIT_CODES)
def sub(
    filters: Annotated[
        list[str],
        typer.Argument(metavar="FILTER", help="Topics or topic filters (+, #)."),
    ],
    qos: Qos = 0,
    count: Annotated[
        int | None,
        typer.Option("-C", "--count", metavar="N", parser=_count, help="End after N messages."),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option("-v", "--verbose", help="Print the topic before the payload, also in a pipe."),
    ] = False,
    broker: BrokerUrl = _DEFAULT_BROKER,
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
        client_id=_client_id("sub") if client_id is None else client_id,
        username=username,
        password=password,
        protocol_version=protocol_version,
        wait=wait,
    )
    run(lambda terminal: subscribe(options, connection, terminal))


def _client_id(command: str) -> str:
    """A new identifier that says in the broker's log what the client is."""
    return f"tmqtt-{command}-{secrets.token_hex(4)}"
