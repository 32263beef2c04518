"""`tmqtt drain`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.connecting.engines import ClusterName, ClusterPasswordFile, ClusterUrl, ConfigFile
from tmqtt.terminal.command import CONTEXT, Command
from tmqtt.terminal.values import duration

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)

_EPILOG = """\
Examples:
  tmqtt drain floor-2 --cluster redis://engine.example:6379
  tmqtt drain floor-2 --to floor-3.example:1883 --config broker.toml

Exit codes: 0 its clients have gone; 1 it did not work, such as a node that there is not; 2 the
options are wrong; 27 some were still there when the time was over."""


@app.command(cls=Command, epilog=_EPILOG)
def drain(
    node: Annotated[
        str,
        typer.Argument(
            metavar="NODE", help="The node, by its name: tmqtt cluster status lists them."
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="HOST:PORT",
            help="Where its clients are sent (MQTT 5).  [default: the other nodes by turns, as far"
            " as they say where clients reach them]",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="DURATION",
            parser=duration,
            help="How long to wait until its clients have gone.  [default: 1m]",
            show_default=False,
        ),
    ] = None,
    url: ClusterUrl = None,
    name: ClusterName = None,
    password_file: ClusterPasswordFile = None,
    config: ConfigFile = None,
) -> None:
    """Have a node of a cluster send its clients elsewhere, and take no more.

    Their sessions go on wherever they connect next. The node runs on without clients; a broker that
    is told to stop (SIGTERM) does the same by itself before it ends.
    """
    from tmqtt.connecting.engines import cluster_of
    from tmqtt.drain.command import drain_node
    from tmqtt.terminal.running import run

    run(
        lambda terminal: drain_node(
            cluster_of(config, url, name, password_file),
            terminal,
            node,
            to or "",
            patience=60.0 if timeout is None else timeout,
        )
    )
