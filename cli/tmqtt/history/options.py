"""`tmqtt history`: its options."""

from __future__ import annotations

import time
from typing import Annotated, Literal, cast

import typer

from tmqtt.connecting.asking import ApiCaFile, ApiPlace, ApiTokenFile
from tmqtt.connecting.options import EXIT_CODES, check_is_no_address, connects
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.terminal.command import CONTEXT, Command
from tmqtt.terminal.confirming import Yes
from tmqtt.terminal.values import count_of, duration, one_of

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

# For what something was removed, or never kept, as the API has it.
REASONS = ("age", "size", "messages", "asked", "lost", "topics")

_EXAMPLES = """\
Examples:
  tmqtt history 'sensors/#' --since 2h
  tmqtt history sensors/kitchen --last 20 --path .temperature
  tmqtt history 'sensors/+' --since 2026-11-29 --every 15m mean --json
  tmqtt history 'sensors/old/#' --remove --until 30d --api /var/lib/tmqtt
  tmqtt history '#' --data /var/lib/tmqtt > kept.tsv

"""


@app.command(cls=Command, epilog=_EXAMPLES + EXIT_CODES)
@connects("history")
def history(
    topic_filter: Annotated[
        str | None, typer.Argument(metavar="FILTER", help="Of which topics.", show_default=False)
    ] = None,
    how: Annotated[
        str | None,
        typer.Argument(
            metavar="mean|min|max|last|count",
            help="With --every, what of the numbers is shown.  [default: mean]",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="MOMENT",
            help="From then on: 2h ago, a local time (2026-11-29T12:00), or seconds since 1970."
            "  [default: 1h; without it with --last or --until]",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="MOMENT", help="Before then.")
    ] = None,
    last: Annotated[
        int | None,
        typer.Option("--last", metavar="N", parser=count_of, help="Only so many, the newest."),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            "--every",
            metavar="DURATION",
            parser=duration,
            help="Not the messages: a line for each topic and so long, from its numbers.",
        ),
    ] = None,
    path: Annotated[
        str,
        typer.Option(
            "--path",
            metavar="PATH",
            help="The number at a place in JSON, such as .rooms[0].t, in place of the payload.",
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print lines of JSON.")] = False,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Ask no broker: read what one keeps in DIR, or in a file, while it does not run.",
        ),
    ] = None,
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    remove: Annotated[
        bool,
        typer.Option(
            "--remove",
            help="Have a running broker, that of --api, remove what matches FILTER, and came"
            " --until then.",
        ),
    ] = False,
    yes: Yes = False,
    removals: Annotated[
        bool,
        typer.Option("--removals", help="Show what was removed or never kept, and why: by --api."),
    ] = False,
    reason: Annotated[
        str | None,
        typer.Option(
            "--reason",
            metavar="REASON",
            parser=one_of(*REASONS),
            help=f"With --removals, what went for this alone: {', '.join(REASONS)}.",
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            "-W",
            "--timeout",
            metavar="DURATION",
            parser=duration,
            help="How long to wait for the broker, and for each page.  [default: 30s]",
            show_default=False,
        ),
    ] = 30.0,
    *,
    connection: ConnectionOptions,
) -> None:
    """Show what came on topics, as the broker has kept it: one with --history, over MQTT 5.

    In a terminal lines are for people; in a pipe they are the time, the topic and the payload as it
    came, with tabs between them. What you may not read is left out. --api asks over HTTP instead.
    """
    if yes and not remove:
        raise typer.BadParameter("--yes goes with --remove.")
    if removals:
        others = (topic_filter, how, since, until, last, every, data, path or None, remove or None)
        if any(one is not None for one in others):
            raise typer.BadParameter("--removals shows what went: leave out the rest.")
        from tmqtt.connecting.api import api_of
        from tmqtt.history.removing import show_removals
        from tmqtt.terminal.running import run

        run(
            lambda terminal: show_removals(
                api_of(api, token_file, ca_file), terminal, reason, as_json=as_json
            )
        )
    if reason is not None:
        raise typer.BadParameter("--reason goes with --removals.")
    if topic_filter is None:
        raise typer.BadParameter("Which topics? Give a FILTER, such as 'sensors/#'.")
    check_is_no_address(topic_filter, "topic filter", "FILTER")
    if how is not None and every is None:
        raise typer.BadParameter(f"{how!r} goes with --every.", param_hint="'mean|min|max|…'")
    if remove and any(one is not None for one in (since, last, every, data, path or None)):
        raise typer.BadParameter(
            "--remove takes a FILTER, and --until MOMENT: a running broker does it, which --api"
            " names."
        )
    if api is not None and data is not None:
        raise typer.BadParameter("Give --api, or --data.")
    from tmqtt.connecting.api import Api, api_of
    from tmqtt.history.command import show, show_answered
    from tmqtt.history.removing import remove_messages
    from tmqtt.terminal.running import run
    from trio_mqtt import LocalProtocolError
    from trio_mqtt.history import HistoryQuery, parse_moment

    now = time.time()
    moments = {}
    if since is None and until is None and last is None and not remove:
        since = "1h"
    for name, text in (("since", since), ("until", until)):
        if text is not None:
            try:
                moments[name] = parse_moment(text, now)
            except ValueError as error:
                raise typer.BadParameter(str(error), param_hint=f"'--{name}'") from None
    try:
        query = HistoryQuery(
            topic_filter=topic_filter,
            since=moments.get("since"),
            until=moments.get("until"),
            last=last,
            every=every,
            summary=cast(Literal["mean", "min", "max", "last", "count"], how or "mean"),
            path=path,
        )
    except LocalProtocolError as error:
        raise typer.BadParameter(str(error)) from None
    if remove:
        from tmqtt.connecting.meant import check_is_meant

        def asked_broker() -> Api:
            return api_of(api, token_file, ca_file)

        if "#" in topic_filter or "+" in topic_filter:
            question = f"Remove the history of all topics that match {topic_filter!r}?"
            check_is_meant(asked_broker, question, yes=yes)
        run(
            lambda terminal: remove_messages(
                asked_broker(), terminal, topic_filter, query.until, as_json=as_json
            )
        )
    if api is not None:
        run(
            lambda terminal: show_answered(
                query, api_of(api, token_file, ca_file), terminal, as_json=as_json
            )
        )
    run(
        lambda terminal: show(
            query, connection, terminal, data=data, patience=timeout, as_json=as_json
        )
    )
