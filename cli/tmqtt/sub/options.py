"""`tmqtt sub`: its options."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tmqtt.connecting.options import EXIT_CODES, Client, check_is_no_address, connects, qos_of
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.connecting.shared_options import Debug, Quiet, be_quiet
from tmqtt.messages.payload_options import Descriptors, FormatName, MessageType, payload_format
from tmqtt.sub.selection_options import (
    AsPublished,
    DryRun,
    FilterOut,
    Identifier,
    NoLocal,
    NoRetained,
    RemoveRetained,
    RetainedOnly,
    RetainHandling,
    Share,
    Unsubscribe,
)
from tmqtt.terminal.command import CONTEXT
from tmqtt.terminal.values import count_of, duration

if TYPE_CHECKING:
    from tmqtt.sub.latency import Latency

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EXAMPLES = """\
Examples:
  tmqtt sub 'home/#'
  tmqtt sub 'home/+' 'alarm/#' -q 0 -q 2 -T 'home/attic' -C 10
  tmqtt sub 'home/#' -F '@H:@M:@S %-30t %p'
  tmqtt sub 'home/#' --watch --sort rate --plot .temperature
  tmqtt sub 'home/#' --record home.jsonl

"""
_SHOWN = "What is shown"
_WHICH = "Which messages"


def _seconds(text: str) -> float:
    """A duration, or a number of seconds as mosquitto_sub takes it."""
    return duration(f"{text}s" if text[-1:].isdecimal() else text)


def _order(text: str) -> str:
    if text not in ("topic", "rate", "age"):
        raise typer.BadParameter(f"there is no order {text!r}: write topic, rate or age.")
    return text


@app.command(cls=Client, epilog=_EXAMPLES + EXIT_CODES)
@connects("sub")
def sub(
    context: typer.Context,
    filters: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILTER", help="Topics or topic filters (+, #)."),
    ] = None,
    topics: Annotated[
        list[str] | None,
        typer.Option("-t", "--topic", metavar="FILTER", help="One more FILTER."),
    ] = None,
    qos: Annotated[
        list[str] | None,
        typer.Option(
            "-q",
            "--qos",
            metavar="0|1|2",
            help="Quality of service: once for all filters, or once for each in their order."
            "  [default: 0; with --record: 2]",
            show_default=False,
        ),
    ] = None,
    unsubscribe: Unsubscribe = None,
    filter_out: FilterOut = None,
    no_retained: NoRetained = False,
    retained_only: RetainedOnly = False,
    remove_retained: RemoveRetained = False,
    dry_run: DryRun = False,
    share: Share = None,
    count: Annotated[
        int | None,
        typer.Option(
            "-C",
            "--count",
            metavar="N",
            parser=count_of,
            help="End after N messages.",
            rich_help_panel=_WHICH,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "-W",
            "--timeout",
            metavar="DURATION",
            parser=_seconds,
            help="End after so long, connecting included, with the exit code 27.",
            rich_help_panel=_WHICH,
        ),
    ] = None,
    exit_after: Annotated[
        bool,
        typer.Option(
            "-E",
            "--exit-after-subscribing",
            help="End once the broker has granted the filters; for use with --session.",
            rich_help_panel=_WHICH,
        ),
    ] = False,
    no_local: NoLocal = False,
    as_published: AsPublished = False,
    handling: RetainHandling = None,
    identifier: Identifier = None,
    verbose: Annotated[
        bool,
        typer.Option(
            "-v",
            "--verbose",
            help="Print the topic before the payload, also in a pipe.",
            rich_help_panel=_SHOWN,
        ),
    ] = False,
    debug: Debug = False,
    quiet: Quiet = False,
    no_newline: Annotated[
        bool,
        typer.Option(
            "-N", "--no-newline", help="No newline after a message.", rich_help_panel=_SHOWN
        ),
    ] = False,
    text_format: Annotated[
        str | None,
        typer.Option(
            "-F",
            "--format",
            metavar="FORMAT",
            help="Print messages so: %t topic, %p payload, %j all as JSON, @H hour, ... as"
            " mosquitto_sub does.",
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print each message as a line of JSON.", rich_help_panel=_SHOWN
        ),
    ] = False,
    pretty: Annotated[
        bool,
        typer.Option(
            "--pretty",
            help="With --json, %j or %J: JSON on several lines, with indentation.",
            rich_help_panel=_SHOWN,
        ),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="A table that stays: a row a topic, with rate, age and last value.",
            rich_help_panel=_SHOWN,
        ),
    ] = False,
    tree: Annotated[
        bool,
        typer.Option("--tree", help="The topics as a tree, with counts.", rich_help_panel=_SHOWN),
    ] = False,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="topic|rate|age",
            parser=_order,
            help="The order of --watch.  [default: topic]",
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    plot: Annotated[
        str | None,
        typer.Option(
            "--plot",
            metavar="FIELD",
            help="With --watch: the field of JSON to draw, such as .temperature or .rooms[0].t.",
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            "--latency",
            metavar="payload|.FIELD|property:NAME",
            help="Show how long ago messages were sent, in milliseconds, by the time at the end of"
            " the payload, in a field of its JSON, or in a user property.",
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(
            "--record",
            metavar="FILE",
            help="Write all messages into a new file (- is stdout), for tmqtt replay.",
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    format_name: FormatName = None,
    descriptors: Descriptors = None,
    message_type: MessageType = None,
    *,
    connection: ConnectionOptions,
) -> None:
    """Subscribe, and print each message as it arrives.

    A terminal shows time, topic and payload for what they are, with what could steer it escaped.
    A pipe gets the payloads as they are, a line each. In a terminal, a broker that is not there yet
    is waited for; elsewhere that is an error (or see --wait). A connection that is lost later is
    made again, for as long as it takes.
    """
    from tmqtt.sub.command import SubOptions, subscribe
    from tmqtt.terminal.running import run
    from tmqtt.topics.numbers import parse_path
    from trio_mqtt import Subscription

    for one in filters or ():
        check_is_no_address(one, "topic filter", "FILTER", otherwise="-t")
    wanted = [*(filters or ()), *(topics or ())]
    if not (wanted or unsubscribe):
        context.fail("Missing argument 'FILTER': the topics to show, such as test or 'home/#'.")
    _only_one({"--watch": watch, "--tree": tree, "--json": as_json, "--format": text_format})
    for name, given in (
        ("--watch", watch),
        ("--tree", tree),
        ("--record -", record == "-"),
    ):
        _only_one({"--latency": latency, name: given})
    if debug and (watch or tree) and os.isatty(1) and os.isatty(2):
        raise typer.BadParameter(
            "packets would show where the topics are drawn: send them to a file, 2>packets.log.",
            param_hint="'--debug'",
        )
    if pretty and not (as_json or text_format):
        raise typer.BadParameter(
            "it goes with --json, or with -F and %j or %J.", param_hint="'--pretty'"
        )
    connection = replace(connection, debug=debug)
    both = {*wanted} & {*(unsubscribe or ())}
    if both:
        raise typer.BadParameter(
            f"{min(both)!r} is to be subscribed to, too: name it once.", param_hint="'-U'"
        )
    if dry_run and not remove_retained:
        raise typer.BadParameter("it goes with --remove-retained.", param_hint="'--dry-run'")
    try:
        path = parse_path(plot) if plot is not None else ()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--plot'") from None
    of_each = _qos_of_each(len(wanted), qos or (), 0 if record is None else 2)
    properties: dict[str, Any] = dict(connection.packet_properties.get("subscribe", {}))
    if identifier is None and "subscription_identifier" in properties:
        identifier = properties["subscription_identifier"][0]
    options = SubOptions(
        subscriptions=tuple(
            Subscription(one, level, no_local, as_published or record is not None, handling or 0)
            for one, level in zip(wanted, of_each, strict=True)
        ),
        identifier=identifier,
        unsubscribe=tuple(unsubscribe or ()),
        filter_out=tuple(filter_out or ()),
        no_retained=no_retained,
        retained_only=retained_only,
        remove_retained=remove_retained,
        dry_run=dry_run,
        share=share,
        count=count,
        timeout=timeout,
        exit_after_subscribing=exit_after,
        verbose=verbose,
        newline=not no_newline,
        text_format=text_format,
        json=as_json,
        pretty=pretty,
        watch=watch,
        tree=tree,
        sort=sort or "topic",  # type: ignore[arg-type] # read by _order
        plot=path,
        record=record,
        payload_format=payload_format(format_name, descriptors, message_type),
        latency=_latency(latency) if latency is not None else None,
    )
    if quiet:
        be_quiet(debug=debug)
    run(lambda terminal: subscribe(options, connection, terminal))


def _latency(where: str) -> Latency:
    from tmqtt.sub.latency import Latency

    try:
        return Latency(where)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--latency'") from None


def _only_one(given: dict[str, object]) -> None:
    names = [name for name, value in given.items() if value]
    if len(names) > 1:
        raise typer.BadParameter(f"{' and '.join(names)} do not go together.")


def _qos_of_each(filters: int, given: list[str] | tuple[()], default: int) -> list[int]:
    """The QoS of each filter."""
    try:
        levels = [qos_of(text) for text in given] or [default]
    except typer.BadParameter as error:
        error.param_hint = "'-q' / '--qos'"
        raise
    if len(levels) == 1:
        return levels * filters
    if len(levels) != filters:
        raise typer.BadParameter(
            f"there are {filters} filters and {len(levels)} of these:"
            " give it once for all, or once for each.",
            param_hint="'-q' / '--qos'",
        )
    return levels
