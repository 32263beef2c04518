"""Which cluster is meant: options that name its engine, and the configuration of a broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tmqtt.terminal.sentences import CommandError

if TYPE_CHECKING:
    import trio_mqtt

ClusterUrl = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="URL",
        help="The cluster's engine, as tmqtt broker is told; or TMQTT_CLUSTER__URL.",
    ),
]
ClusterName = Annotated[
    str | None,
    typer.Option(
        "--cluster-name",
        metavar="NAME",
        help="The cluster's name.  [default: tmqtt]",
        show_default=False,
    ),
]
ClusterPasswordFile = Annotated[
    str | None,
    typer.Option(
        "--cluster-password-file",
        metavar="FILE",
        help="The engine's password: the first line of FILE.",
    ),
]
ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The configuration of a broker that says it; or TMQTT_BROKER_CONFIG.",
    ),
]

_PATIENCE = 5.0  # seconds that an engine has to answer a person


def cluster_of(
    config: str | None, url: str | None, name: str | None, password_file: str | None
) -> trio_mqtt.Cluster:
    """The cluster that options, variables and a configuration file name. Raises CommandError."""
    from dataclasses import replace

    from trio_mqtt.configuration import InvalidConfiguration, Override, load

    overrides = [
        Override(setting, value, option)
        for setting, value, option in (
            ("cluster.url", url, "--cluster"),
            ("cluster.name", name, "--cluster-name"),
            ("cluster.password_file", password_file, "--cluster-password-file"),
        )
        if value is not None
    ]
    try:
        cluster = load(config, overrides=overrides).settings.cluster
    except InvalidConfiguration as error:
        first, *others = map(str, error.problems)
        raise CommandError(first, code=2, others=others) from None
    if cluster is None:
        raise CommandError(
            "Which cluster? --cluster URL says where its engine is, for example"
            " --cluster redis://localhost:6379; so do TMQTT_CLUSTER__URL, and [cluster] in a"
            " --config FILE.",
            code=2,
        )
    return replace(cluster, timeout=min(cluster.timeout, _PATIENCE))
