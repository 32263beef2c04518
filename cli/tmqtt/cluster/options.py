"""`tmqtt cluster`: the options of its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.engines import ClusterName, ClusterPasswordFile, ClusterUrl, ConfigFile
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
    url: ClusterUrl = None,
    name: ClusterName = None,
    password_file: ClusterPasswordFile = None,
    config: ConfigFile = None,
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
    from tmqtt.cluster.command import show_status
    from tmqtt.connecting.engines import cluster_of
    from tmqtt.terminal.running import run

    run(
        lambda terminal: show_status(
            cluster_of(config, url, name, password_file),
            terminal,
            interval=(interval or 2.0) if watch else None,
            as_json=as_json,
        )
    )
