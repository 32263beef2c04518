"""`tmqtt cluster`: the options of its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.terminal.command import Command, group
from tmqtt.terminal.values import duration

_EXAMPLES = """\
Examples:
  tmqtt cluster status --cluster redis://engine.example:6379
  tmqtt cluster status --config broker.toml --watch
  tmqtt cluster status --json | jq '.nodes[].clients'

"""
_CODES = (
    "Exit codes: 0 done; 1 it did not work, such as an engine that cannot be reached; 2 the options"
    " are wrong."
)

app = group("cluster", "Show how a cluster of brokers fares.", _EXAMPLES)


@app.callback()
def cluster() -> None:
    """Show how a cluster of brokers fares."""


@app.command(cls=Command, epilog=_EXAMPLES + _CODES)
def status(
    url: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="URL",
            help="The cluster's engine, as tmqtt broker is told; or TMQTT_CLUSTER__URL.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--cluster-name",
            metavar="NAME",
            help="The cluster's name.  [default: tmqtt]",
            show_default=False,
        ),
    ] = None,
    password_file: Annotated[
        str | None,
        typer.Option(
            "--cluster-password-file",
            metavar="FILE",
            help="The engine's password: the first line of FILE.",
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="The configuration of a broker that says it; or TMQTT_BROKER_CONFIG.",
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again and again, until Ctrl-C or q.")
    ] = False,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval",
            metavar="DURATION",
            parser=duration,
            help="How often --watch looks.  [default: 2s]",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON: once, or at each interval.")
    ] = False,
) -> None:
    """Show the nodes of a cluster: since when, their clients, their load, and how far they lag.

    It asks the engine alone, so that it works from any machine that reaches that.
    """
    if interval is not None and not watch:
        raise typer.BadParameter("--interval says how often --watch looks: give that too.")
    from tmqtt.cluster.command import cluster_of, show_status
    from tmqtt.terminal.running import run

    given = {
        "cluster.url": (url, "--cluster"),
        "cluster.name": (name, "--cluster-name"),
        "cluster.password_file": (password_file, "--cluster-password-file"),
    }
    run(
        lambda terminal: show_status(
            cluster_of(config, given),
            terminal,
            interval=(interval or 2.0) if watch else None,
            as_json=as_json,
        )
    )
