"""`tmqtt broker`: its options."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Annotated

import typer

from tmqtt.broker.durability import Durability
from tmqtt.broker.levels import Level, LogFormat
from tmqtt.broker.protecting import (
    AccessFile,
    AllowAnonymous,
    AllowedHosts,
    CaFile,
    CertificateFile,
    CertificateUsername,
    ClientCertificates,
    DynamicSecurity,
    JwtAccessClaim,
    JwtAudience,
    JwtIssuer,
    JwtKeyFile,
    JwtUserClaim,
    KeyFile,
    Origins,
    PasswordFile,
    ProxyProtocol,
    TrustedProxies,
)
from tmqtt.connecting.property_values import whole_number
from tmqtt.terminal.command import CONTEXT, Command
from tmqtt.terminal.values import reader

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)


_LISTENING = "Where to listen"
_CONFIGURATION = "Configuration"
_DATA = "What outlives the broker"
_CLUSTER = "Several brokers that behave as one"
_OUTPUT = "Output"

_MOST_WORKERS = 256
_port = reader(partial(whole_number, minimum=0, maximum=65_535))


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _number_of_workers(text: str) -> int:
    if text == "auto":
        return cores()
    return whole_number(text, minimum=1, maximum=_MOST_WORKERS)


_workers = reader(_number_of_workers)

_EPILOG = """\
Examples:
  tmqtt broker
  tmqtt broker -p 1884
  tmqtt broker --data /var/lib/tmqtt
  tmqtt broker --cluster redis://engine.example:6379 --node floor-2
  tmqtt broker --workers auto --data /var/lib/tmqtt
  tmqtt broker --config broker.toml --set limits.maximum_connections=100
  tmqtt broker mqtt://0.0.0.0 --password-file users --access-file access.conf
  tmqtt broker mqtts://0.0.0.0 ws://0.0.0.0:8080 --cert chain.pem --key key.pem --allow-anonymous
  tmqtt broker --log-level info any://localhost:1883 >> broker.log
  tmqtt broker --log-file broker.log --log-format json

Exit codes: 0 ended by Ctrl-C or SIGTERM; 1 it did not work, such as a port in use;
2 the options are wrong."""


@app.command(cls=Command, epilog=_EPILOG)
def broker(
    urls: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="URL",
            help="Where to listen.  [default: mqtt://127.0.0.1:1883, this machine only]",
            show_default=False,
            rich_help_panel=_LISTENING,
        ),
    ] = None,
    port: Annotated[
        list[int] | None,
        typer.Option(
            "-p",
            "--port",
            metavar="PORT",
            parser=_port,
            help="The port, where one URL without it or none is given; over that of a file. May be"
            " repeated.",
            show_default=False,
            rich_help_panel=_LISTENING,
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="The configuration, in TOML (tmqtt config example has all of it); or"
            " TMQTT_BROKER_CONFIG. Options go over it.",
            rich_help_panel=_CONFIGURATION,
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any setting of that file, such as limits.maximum_connections=100; or"
            " TMQTT_LIMITS__MAXIMUM_CONNECTIONS.",
            rich_help_panel=_CONFIGURATION,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Keep sessions, the messages that wait in them, and retained messages in DIR, a"
            " folder for this broker alone: what it has acknowledged is there.  [default: they end"
            " with the broker]",
            show_default=False,
            rich_help_panel=_DATA,
        ),
    ] = None,
    durability: Annotated[
        Durability | None,
        typer.Option(
            "--durability",
            metavar="fsync|commit|memory",
            help="What it survives. fsync: a power cut; commit: the end of the process, however it"
            " comes, and takes less time; memory: nothing.  [default: fsync with --data, else"
            " memory]",
            show_default=False,
            rich_help_panel=_DATA,
        ),
    ] = None,
    history: Annotated[
        list[str] | None,
        typer.Option(
            "--history",
            metavar="FILTER",
            help="Keep what comes on these topics, to look back: `tmqtt history` shows it. How long"
            " and how much of it, history.age and its like say.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    history_file: Annotated[
        str | None,
        typer.Option(
            "--history-file",
            metavar="FILE",
            help="Where that is kept.  [default: history.sqlite3 in the folder of --data]",
            show_default=False,
            rich_help_panel=_DATA,
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="URL",
            help="Be a node of a cluster: brokers that share an engine, Redis or Valkey, which"
            " keeps what outlives them. redis://HOST:PORT, rediss:// (TLS), unix:///PATH,"
            " redis+sentinel://HOST:PORT/NAME, redis+cluster://HOST:PORT.",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    cluster_name: Annotated[
        str | None,
        typer.Option(
            "--cluster-name",
            metavar="NAME",
            help="The cluster's name, where several share an engine.  [default: tmqtt]",
            show_default=False,
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    cluster_password_file: Annotated[
        str | None,
        typer.Option(
            "--cluster-password-file",
            metavar="FILE",
            help="The engine's password: the first line of FILE.",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    cluster_wait: Annotated[
        str | None,
        typer.Option(
            "--cluster-wait",
            metavar="SECONDS",
            help="How long to wait at the start for an engine that cannot be reached, as after a"
            " power cut.  [default: as long as it takes]",
            show_default=False,
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    node: Annotated[
        str | None,
        typer.Option(
            "--node",
            metavar="NAME",
            help="This node's name, for people.  [default: the machine's name]",
            show_default=False,
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    node_reference: Annotated[
        str | None,
        typer.Option(
            "--node-reference",
            metavar="HOST:PORT",
            help="How clients reach this node: who is sent away by another one is told so"
            " (MQTT 5).",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N|auto",
            parser=_workers,
            help="Be N processes that share the listeners, or one for each core: nodes of the"
            " cluster, or with an engine of their own, which keeps things in --data.",
            show_default=False,
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    password_file: PasswordFile = None,
    access_file: AccessFile = None,
    dynamic_security: DynamicSecurity = None,
    jwt_key: JwtKeyFile = None,
    jwt_audience: JwtAudience = None,
    jwt_issuer: JwtIssuer = None,
    jwt_user_claim: JwtUserClaim = None,
    jwt_access_claim: JwtAccessClaim = None,
    allow_anonymous: AllowAnonymous = None,
    cert: CertificateFile = None,
    key: KeyFile = None,
    ca: CaFile = None,
    client_certificates: ClientCertificates = None,
    certificate_username: CertificateUsername = None,
    origin: Origins = None,
    allowed_host: AllowedHosts = None,
    trusted_proxy: TrustedProxies = None,
    proxy_protocol: ProxyProtocol = None,
    log_level: Annotated[
        Level | None,
        typer.Option(
            "--log-level",
            metavar="error|warning|info|all",
            help="What to tell. error: what does not work; warning: also what may be wrong, whom it"
            " turns away and what it refuses; info: also who comes and goes; all: also messages, as"
            " many as a person can read.  [default: all; with --config, where there is no terminal,"
            " info]",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    log_file: Annotated[
        str | None,
        typer.Option(
            "--log-file",
            metavar="FILE",
            help="Write a log to FILE as well, which is made anew once it was moved away. It tells"
            " what --log-level says; info, where that is not given.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            "--log-format",
            metavar="human|json",
            help="How the log is written: lines for people, or JSON objects.  [default: human]",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics",
            metavar="HOST:PORT",
            help="Answer Prometheus (/metrics) and health checks (/healthz, /readyz) there by HTTP,"
            " for example 127.0.0.1:9883.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    web: Annotated[
        str | None,
        typer.Option(
            "--web",
            metavar="HOST:PORT",
            help="Serve what can be seen and done on the broker there by HTTP (/api/v1), for"
            " example 127.0.0.1:8080. Who may ask is in the configuration: web.roles, web.tokens.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option(
            "-q", "--quiet", help="The same as --log-level warning.", rich_help_panel=_OUTPUT
        ),
    ] = False,
) -> None:
    """Run a broker until Ctrl-C, and show its traffic.

    mqtt://0.0.0.0:1883 and mqtt://[::]:1883 listen at all addresses of this machine: say then who
    may connect. Port 0 takes a free one. Several URLs listen at all of them, and each may have its
    own options, in quotes for the shell: 'mqtts://0.0.0.0?cert=FILE&key=FILE',
    'unix:///run/mqtt.sock?mode=660', any://localhost for MQTT, TLS and WebSocket on one port. At
    SIGHUP the configuration is read again, and certificates, keys, passwords and access. In a pipe
    or a file each line has its date and time, and what is wrong with the broker itself goes to
    stderr.
    """
    if quiet and log_level is not None:
        raise typer.BadParameter("--quiet says the same as --log-level: give one of them.")

    from tmqtt.broker.asked import Asked

    options = {
        "data": data,
        "durability": durability and durability.value,
        "history": history or None,
        "history_file": history_file,
        "cluster": cluster,
        "cluster_name": cluster_name,
        "cluster_password_file": cluster_password_file,
        "cluster_wait": cluster_wait,
        "node": node,
        "node_reference": node_reference,
        "password_file": password_file,
        "access_file": access_file,
        "dynamic_security": dynamic_security,
        "jwt_key": jwt_key,
        "jwt_audience": jwt_audience or None,
        "jwt_issuer": jwt_issuer or None,
        "jwt_user_claim": jwt_user_claim,
        "jwt_access_claim": jwt_access_claim,
        "allow_anonymous": allow_anonymous,
        "log_file": log_file,
        "log_format": log_format and log_format.value,
        "metrics": metrics,
        "web": web,
    }
    given = {
        "cert": cert,
        "key": key,
        "ca": ca,
        "client-certificates": client_certificates,
        "username": certificate_username,
        "origin": origin,
        "host": allowed_host,
        "forwarded": trusted_proxy,
        "proxy": proxy_protocol,
    }
    defaults = {name: value for name, value in given.items() if value}
    asked = Asked(
        urls=urls or (),
        ports=port or (),
        defaults=defaults,
        config=config,
        settings=set_ or (),
        options=options,
        level=Level.WARNING if quiet else log_level,
    )
    if workers is not None:
        if sys.platform != "win32":
            from tmqtt.broker.supervising import run_supervised

            run_supervised(asked, workers)
            return
        raise typer.BadParameter("processes cannot share a port on Windows: no --workers.")
    from tmqtt.broker.command import serve
    from tmqtt.terminal.running import run

    run(
        lambda terminal: serve(
            asked.listen_at(), terminal, configuration=asked.configuration(), level=asked.level
        ),
        stopped=0,
    )
