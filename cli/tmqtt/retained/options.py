"""`tmqtt retained`: the options of its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.asking import ApiCaFile, ApiPlace, ApiTokenFile, AsJson, Limit
from tmqtt.terminal.command import Command, group
from tmqtt.terminal.confirming import Yes
from tmqtt.terminal.values import duration, one_of

_EXAMPLES = """\
Examples:
  tmqtt retained list 'home/#' --older-than 30d --api /var/lib/tmqtt
  tmqtt retained tree home --api /var/lib/tmqtt
  tmqtt retained show home/lamp --api http://127.0.0.1:8080
  tmqtt retained delete 'homeassistant/#' --author bridge-3 --orphaned silent --api /var/lib/tmqtt

"""
_CODES = (
    "Exit codes: 0 done; 1 it did not work, such as a topic at which nothing is retained; 2 the"
    " options are wrong."
)
_Older = Annotated[
    float | None,
    typer.Option(
        "--older-than", metavar="DURATION", parser=duration, help="Only what lies there so long."
    ),
]
_Search = Annotated[
    str | None, typer.Option("--search", metavar="TEXT", help="Only topics with this text.")
]
_Author = Annotated[
    str | None,
    typer.Option("--author", metavar="CLIENT", help="Only what this client has published."),
]
_Orphaned = Annotated[
    str | None,
    typer.Option(
        "--orphaned",
        metavar="gone|silent",
        parser=one_of("gone", "silent"),
        help="Only what its author has not published again: it is not connected, or has connected"
        " later.",
    ),
]

app = group("retained", "List, show and delete retained messages of a running broker.", _EXAMPLES)


@app.callback()
def retained() -> None:
    """List, show and delete retained messages of a running broker."""


@app.command("list", cls=Command, epilog=_EXAMPLES + _CODES)
def list_retained(
    topic_filter: Annotated[
        str, typer.Argument(metavar="FILTER", help="Whose topics match.")
    ] = "#",
    older_than: _Older = None,
    author: _Author = None,
    search: _Search = None,
    orphaned: _Orphaned = None,
    sort: Annotated[
        str,
        typer.Option(
            "--sort",
            metavar="BY",
            parser=one_of("stored_at", "topic", "size"),
            help="stored_at, topic or size.",
        ),
    ] = "stored_at",
    reverse: Annotated[
        bool, typer.Option("--reverse", help="Begin with the latest, or largest.")
    ] = False,
    limit: Limit = 100,
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """List them: since when each lies there, and who has left it. The oldest come first."""
    from tmqtt.connecting.api import api_of
    from tmqtt.retained.command import list_messages
    from tmqtt.terminal.running import run

    asked = {
        "topic_filter": topic_filter,
        "older_than": older_than,
        "author": author,
        "search": search,
        "orphaned": orphaned,
        "sort": sort,
        "descending": reverse or None,
    }
    run(
        lambda terminal: list_messages(
            api_of(api, token_file, ca_file), terminal, asked, limit, as_json=as_json
        )
    )


@app.command(cls=Command, epilog=_EXAMPLES + _CODES)
def show(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Its topic.")],
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the retained message of a topic: its payload, in a pipe as it is."""
    from tmqtt.connecting.api import api_of
    from tmqtt.retained.command import show_message
    from tmqtt.terminal.running import run

    run(
        lambda terminal: show_message(
            api_of(api, token_file, ca_file), terminal, topic, as_json=as_json
        )
    )


@app.command(cls=Command, epilog=_EXAMPLES + _CODES)
def delete(
    topic_filter: Annotated[str, typer.Argument(metavar="FILTER", help="Whose topics match.")],
    older_than: _Older = None,
    author: _Author = None,
    search: _Search = None,
    orphaned: _Orphaned = None,
    yes: Yes = False,
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Delete retained messages. Subscribers are not told.

    Where FILTER has wildcards, you are asked whether that is meant; in a pipe, --yes has to say so.
    """
    from tmqtt.connecting.api import Api, api_of
    from tmqtt.connecting.meant import check_is_meant

    def asked_broker() -> Api:
        return api_of(api, token_file, ca_file)

    if "#" in topic_filter or "+" in topic_filter:
        others = any(one is not None for one in (older_than, author, search, orphaned))
        which = f"{topic_filter!r} and the other options" if others else repr(topic_filter)
        check_is_meant(asked_broker, f"Delete all retained messages that match {which}?", yes=yes)
    from tmqtt.retained.command import delete_messages
    from tmqtt.terminal.running import run

    asked = {
        "topic_filter": topic_filter,
        "older_than": older_than,
        "author": author,
        "search": search,
        "orphaned": orphaned,
    }
    run(lambda terminal: delete_messages(asked_broker(), terminal, asked, as_json=as_json))


@app.command(cls=Command, epilog=_EXAMPLES + _CODES)
def tree(
    prefix: Annotated[
        str,
        typer.Argument(metavar="PREFIX", help="Below these levels, such as home/kitchen."),
    ] = "",
    search: Annotated[
        str, typer.Option("--search", metavar="TEXT", help="Only topics with this text.")
    ] = "",
    limit: Limit = 100,
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the levels below one of the topics with a retained message, and how many are below."""
    from tmqtt.connecting.api import api_of
    from tmqtt.retained.command import show_tree
    from tmqtt.terminal.running import run

    prefix = f"{prefix}/" if prefix and not prefix.endswith("/") else prefix
    asked = {"prefix": prefix or None, "search": search or None}
    run(
        lambda terminal: show_tree(
            api_of(api, token_file, ca_file), terminal, asked, limit, as_json=as_json
        )
    )
