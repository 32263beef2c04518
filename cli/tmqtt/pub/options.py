"""`tmqtt pub`: its options."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from tmqtt.connecting.options import EXIT_CODES, Client, Qos, check_is_no_address, connects
from tmqtt.connecting.property_values import put, user_property
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.connecting.shared_options import ContentType, Debug, Quiet, UserProperties, be_quiet
from tmqtt.messages.payload_options import Descriptors, FormatName, MessageType, payload_format
from tmqtt.pub.simulation_options import Seed, SimulationFile, simulation
from tmqtt.terminal.command import CONTEXT
from tmqtt.terminal.figures import parse_rate, parse_seconds, parse_size
from tmqtt.terminal.values import count_of, duration, reader

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_FASTEST = 1_000_000  # messages a second that can be asked for
_LONGEST_EXPIRY = 0xFFFF_FFFF  # seconds (MQTT 5.0 §3.3.2.3.3)
_PROTOCOLS = ("mqtt", "mqtts", "ws", "wss", "tcp", "ssl", "tls")
_SCHEDULE = "Schedule"
_MESSAGE = "Message"
_PROPERTIES = "Properties of the message"

_EXAMPLES = """\
Examples:
  tmqtt pub home/lamp on -q 1 --retain
  tmqtt pub test --every 3s --count 10
  tmqtt pub dice '{"n": {n}, "eyes": {random:1:6}}' --rate 100/s --for 1m
  tmqtt pub sensor/{n} --size 4KB --count 1000 -q 1
  tail -f log | tmqtt pub log/web -l
  tmqtt pub --simulate plant.toml --seed 1 --for 10m

Templates in the topic and MESSAGE: {n} the number of the message, {now} and {ms} the time,
{uuid}, {random:1:6}, {choice:red,green}, {walk:18:24:0.5} and {sine:18:24:60} as of a sensor;
{{n}} writes {n}. Other braces, as in JSON, stay.

"""


def user_property_of(text: str) -> tuple[str, str]:
    try:
        return user_property(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--user-property'") from None


@app.command(cls=Client, epilog=_EXAMPLES + EXIT_CODES)
@connects("pub")
def pub(
    ctx: typer.Context,
    topic: Annotated[
        str | None,
        typer.Argument(metavar="TOPIC", help="Where to publish.", show_default=False),
    ] = None,
    message: Annotated[
        str | None,
        typer.Argument(
            metavar="MESSAGE",
            help="What to publish.  [default: Hello mqtt and the milliseconds since 1970]",
            show_default=False,
        ),
    ] = None,
    topics: Annotated[
        list[str] | None,
        typer.Option(
            "-t",
            "--topic",
            metavar="TOPIC",
            help="Publish to this topic as well. May be repeated.",
            rich_help_panel=_MESSAGE,
        ),
    ] = None,
    message_option: Annotated[
        str | None,
        typer.Option(
            "-m", "--message", metavar="TEXT", help="The message.", rich_help_panel=_MESSAGE
        ),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "-f",
            "--file",
            metavar="FILE",
            help="The message is this file; - is standard input.",
            rich_help_panel=_MESSAGE,
        ),
    ] = None,
    empty: Annotated[
        bool,
        typer.Option(
            "-n",
            "--null-message",
            help="The message is empty: with --retain it removes the one that is kept.",
            rich_help_panel=_MESSAGE,
        ),
    ] = False,
    whole_input: Annotated[
        bool,
        typer.Option(
            "-s",
            "--stdin-file",
            help="The message is all of standard input.",
            rich_help_panel=_MESSAGE,
        ),
    ] = False,
    lines: Annotated[
        bool,
        typer.Option(
            "-l",
            "--stdin-line",
            help="Each line of standard input is a message.",
            rich_help_panel=_MESSAGE,
        ),
    ] = False,
    zeros: Annotated[
        bool,
        typer.Option(
            "-0",
            "--stdin-null",
            help="As -l, with messages that end by a null byte: find -print0, jq --raw-output0.",
            rich_help_panel=_MESSAGE,
        ),
    ] = False,
    size: Annotated[
        int | None,
        typer.Option(
            "--size",
            metavar="SIZE",
            parser=reader(parse_size),
            help="The message is so many random bytes: 100, 4KB, 1MiB.",
            rich_help_panel=_MESSAGE,
        ),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="Take braces as they are: no templates.", rich_help_panel=_MESSAGE
        ),
    ] = False,
    qos: Qos = 0,
    retain: Annotated[
        bool, typer.Option("-r", "--retain", help="Have the broker keep it for new subscribers.")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "-v", "--verbose", help="Print every message; in a pipe, nothing is printed without."
        ),
    ] = False,
    debug: Debug = False,
    quiet: Quiet = False,
    every: Annotated[
        float | None,
        typer.Option(
            "--every",
            metavar="DURATION",
            parser=duration,
            help="Publish again and again, so far apart: 500ms, 3s, 5m, 1h.",
            rich_help_panel=_SCHEDULE,
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            metavar="RATE",
            parser=reader(partial(parse_rate, maximum=_FASTEST)),
            help="Publish again and again, so often: 100/s, 30/m.",
            rich_help_panel=_SCHEDULE,
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            metavar="N",
            parser=count_of,
            help="End after N messages.  [default: 1; with one of the others: never]",
            rich_help_panel=_SCHEDULE,
        ),
    ] = None,
    span: Annotated[
        float | None,
        typer.Option(
            "--for",
            metavar="DURATION",
            parser=duration,
            help="End after this time, connecting included.",
            rich_help_panel=_SCHEDULE,
        ),
    ] = None,
    in_flight: Annotated[
        int | None,
        typer.Option(
            "--max-inflight",
            metavar="N",
            parser=count_of,
            help="Have at most N messages of QoS 1 and 2 on their way at once; with 1 each waits"
            " for the one before.  [default: 100]",
            rich_help_panel=_SCHEDULE,
        ),
    ] = None,
    simulate: SimulationFile = None,
    seed: Seed = None,
    content_type: ContentType = None,
    text: Annotated[
        bool,
        typer.Option("--text", help="Mark the payload as UTF-8 text.", rich_help_panel=_PROPERTIES),
    ] = False,
    expiry: Annotated[
        int | None,
        typer.Option(
            "--expiry",
            metavar="DURATION",
            parser=reader(partial(parse_seconds, maximum=_LONGEST_EXPIRY)),
            help="How long the message is worth delivering.",
            rich_help_panel=_PROPERTIES,
        ),
    ] = None,
    response_topic: Annotated[
        str | None,
        typer.Option(
            "--response-topic",
            metavar="TOPIC",
            help="Where to answer.",
            rich_help_panel=_PROPERTIES,
        ),
    ] = None,
    correlation_data: Annotated[
        str | None,
        typer.Option(
            "--correlation-data",
            metavar="TEXT",
            help="What an answer shall carry.",
            rich_help_panel=_PROPERTIES,
        ),
    ] = None,
    user_properties: UserProperties = None,
    format_name: FormatName = None,
    descriptors: Descriptors = None,
    message_type: MessageType = None,
    *,
    connection: ConnectionOptions,
) -> None:
    """Publish a message, once or on a schedule.

    Where no broker answers at the start, that is an error (or see --wait); in a terminal, a
    schedule waits for it. A connection that a schedule loses later is made again, for as long as it
    takes. What the broker refuses is an error, with its code.
    """
    if topic is not None:
        check_is_no_address(topic, "topic", "TOPIC", otherwise="-t")
    connection = replace(connection, debug=debug)
    all_topics = [] if topic is None else [topic]
    all_topics += topics or []
    if not all_topics and simulate is None:
        ctx.fail("Missing argument 'TOPIC': where to publish, such as test or home/lamp.")
    words = message if message_option is None else message_option
    given = [
        name
        for name, there in (
            ("MESSAGE", message is not None),
            ("-m", message_option is not None),
            ("-f", file is not None),
            ("-n", empty),
            ("-s", whole_input),
            ("-l", lines),
            ("-0", zeros),
            ("--size", size is not None),
        )
        if there
    ]
    if simulate is not None and (all_topics or given or raw):
        ctx.fail("With --simulate, topics and messages are those of its file.")
    protocol = next((word for word in (topic, message) if word in _PROTOCOLS), None)
    if lines and protocol is not None and len(given) > 1:
        ctx.fail(
            f"-l sends each line of standard input. As MQTT.js has it, -l {protocol} is said by the"
            f" address: -b {protocol}://HOST."
        )
    if len(given) > 1:
        ctx.fail(f"There can be one message only, but there are {' and '.join(given)}.")
    if not given and topic is not None and topics:
        ctx.fail("Where topics are given by -t, give the message by -m.")
    if format_name is not None and (empty or size is not None or not (given or simulate)):
        ctx.fail("--payload-format needs a message, by MESSAGE, -m, -f, -s, -l or -0.")
    if every is not None and rate is not None:
        ctx.fail("Give either --every or --rate.")
    from tmqtt.pub.plan import IN_FLIGHT, PubOptions, Source, is_quick

    if rate is not None:
        every = 1 / rate
    forever = lines or zeros or simulate is not None
    if count is None and every is None and span is None and not forever:
        count = 1
    if not given and simulate is None:
        from tmqtt.pub.unread_input import look_for_input

        if look_for_input(patient=count == 1 and every is None):
            ctx.fail(
                "Something comes by standard input, but no message was asked for: -s sends all of"
                " it, -l each line; MESSAGE or -m sends another."
            )
    properties = dict(connection.packet_properties.get("publish", {}))
    for name, value in (
        ("content_type", content_type),
        ("payload_format_indicator", 1 if text else None),
        ("message_expiry_interval", expiry),
        ("response_topic", response_topic),
        ("correlation_data", correlation_data and correlation_data.encode(errors="replace")),
    ):
        if value is not None:
            put(properties, name, value)
    for pair in user_properties or ():
        put(properties, "user_property", user_property_of(pair))
    topics_of_file = simulation(simulate, every=every, qos=qos, retain=retain, fastest=_FASTEST)
    qos = max((one.qos for one in topics_of_file), default=qos)
    options = PubOptions(
        topics=tuple(all_topics),
        source=Source(
            message=words,
            file=file,
            empty=empty,
            whole_input=whole_input,
            lines=lines or zeros,
            line_end=b"\0" if zeros else b"\n",
            size=size,
        ),
        raw=raw,
        every=every,
        count=count,
        span=span,
        in_flight=in_flight or IN_FLIGHT,
        qos=qos,
        retain=retain,
        properties=properties,
        verbose=verbose,
        payload_format=payload_format(format_name, descriptors, message_type),
        seed=seed,
        simulation=topics_of_file,
    )
    if quiet:
        be_quiet(debug=debug)
    if is_quick(options):
        from tmqtt.pub.at_once import is_plain, publish_at_once

        if is_plain(options, connection):
            publish_at_once(options, connection)
        from tmqtt.pub.once import publish_once

        publish_once(options, connection)
    from tmqtt.pub.command import publish
    from tmqtt.terminal.running import run

    run(lambda terminal: publish(options, connection, terminal))
