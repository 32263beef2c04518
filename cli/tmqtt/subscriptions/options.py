"""`tmqtt subscriptions`: the options of its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.asking import (
    ApiCaFile,
    ApiPlace,
    ApiTokenFile,
    AsJson,
    Client,
    Limit,
    MountPoint,
)
from tmqtt.terminal.command import Command, group

_EXAMPLES = """\
Examples:
  tmqtt subscriptions list --topic home/lamp/set --api /var/lib/tmqtt
  tmqtt subscriptions give lamp-7 'home/all/#' -q 1 --api http://127.0.0.1:8080
  tmqtt subscriptions take lamp-7 'home/all/#' --api /var/lib/tmqtt

"""
_CODES = (
    "Exit codes: 0 done; 1 it did not work, such as a client that the broker does not know; 2 the"
    " options are wrong."
)
_Filter = Annotated[str, typer.Argument(metavar="FILTER", help="Its topic filter.")]

app = group("subscriptions", "List, give and take subscriptions at a running broker.", _EXAMPLES)


@app.callback()
def subscriptions() -> None:
    """List, give and take subscriptions at a running broker."""


@app.command("list", cls=Command, epilog=_EXAMPLES + _CODES)
def list_subscriptions(
    search: Annotated[str, typer.Argument(metavar="TEXT", help="Part of the filter.")] = "",
    client: Annotated[
        str | None, typer.Option("--client", metavar="ID", help="Only those of this client.")
    ] = None,
    mount_point: MountPoint = "",
    topic: Annotated[
        str | None,
        typer.Option("--topic", metavar="TOPIC", help="Only those that match this topic."),
    ] = None,
    topic_filter: Annotated[
        str | None, typer.Option("--filter", metavar="FILTER", help="Only those to this filter.")
    ] = None,
    shared: Annotated[bool, typer.Option("--shared", help="Only those that are shared.")] = False,
    unshared: Annotated[
        bool, typer.Option("--unshared", help="Only those that are not shared.")
    ] = False,
    limit: Limit = 100,
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """List them: whose each is, its QoS, what waits in it, and whether it rests."""
    if shared and unshared:
        raise typer.BadParameter("--shared and --unshared leave nothing: give one of them.")
    from tmqtt.connecting.api import api_of
    from tmqtt.subscriptions.command import show_subscriptions
    from tmqtt.terminal.running import run

    asked = {
        "search": search or None,
        "client_id": client,
        "mount_point": mount_point or None,
        "topic": topic,
        "topic_filter": topic_filter,
        "shared": True if shared else False if unshared else None,
    }
    run(
        lambda terminal: show_subscriptions(
            api_of(api, token_file, ca_file), terminal, asked, limit, as_json=as_json
        )
    )


@app.command(cls=Command, epilog=_EXAMPLES + _CODES)
def give(
    client: Client,
    topic_filter: _Filter,
    qos: Annotated[
        int, typer.Option("-q", "--qos", metavar="0|1|2", min=0, max=2, help="At which QoS.")
    ] = 0,
    no_local: Annotated[
        bool, typer.Option("--no-local", help="Without what the client itself publishes.")
    ] = False,
    retain_as_published: Annotated[
        bool, typer.Option("--retain-as-published", help="Messages keep their RETAIN flag.")
    ] = False,
    no_retained: Annotated[
        bool, typer.Option("--no-retained", help="Without the retained messages.")
    ] = False,
    mount_point: MountPoint = "",
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a client a subscription, as if it had asked for it: its rules are asked as well."""
    from tmqtt.connecting.api import api_of
    from tmqtt.subscriptions.command import give_subscription
    from tmqtt.terminal.running import run

    asked = {
        "client_id": client,
        "mount_point": mount_point,
        "topic_filter": topic_filter,
        "qos": qos,
        "no_local": no_local,
        "retain_as_published": retain_as_published,
        "retained": not no_retained,
    }
    run(
        lambda terminal: give_subscription(
            api_of(api, token_file, ca_file), terminal, asked, as_json=as_json
        )
    )


@app.command(cls=Command, epilog=_EXAMPLES + _CODES)
def take(
    client: Client,
    topic_filter: _Filter,
    mount_point: MountPoint = "",
    api: ApiPlace = None,
    token_file: ApiTokenFile = None,
    ca_file: ApiCaFile = None,
    as_json: AsJson = False,
) -> None:
    """Take a subscription from a client, as if it had given it up."""
    from tmqtt.connecting.api import api_of
    from tmqtt.subscriptions.command import take_subscription
    from tmqtt.terminal.running import run

    asked = {"client_id": client, "mount_point": mount_point, "topic_filter": topic_filter}
    run(
        lambda terminal: take_subscription(
            api_of(api, token_file, ca_file), terminal, asked, as_json=as_json
        )
    )
