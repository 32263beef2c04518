"""`tmqtt config`: the options of its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.terminal.command import Command, group

_EXAMPLES = """\
Examples:
  tmqtt config example > broker.toml
  tmqtt config check broker.toml
  tmqtt config show broker.toml --set limits.maximum_connections=100
  tmqtt config schema > broker.schema.json
  tmqtt config import /etc/mosquitto/mosquitto.conf -o broker.toml

"""
_CODES = "Exit codes: 0 done; 1 something is wrong with the configuration; 2 the options are wrong."

app = group(
    "config",
    "Check, show and begin a configuration file, which `tmqtt broker --config` takes.",
    _EXAMPLES,
)

File = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE",
        help="The configuration, in TOML.  [default: what TMQTT_BROKER_CONFIG names]",
        show_default=False,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting that goes over the file, such as limits.maximum_connections=100.",
    ),
]


@app.command(cls=Command, epilog=_EXAMPLES + _CODES)
def check(file: File = None, set_: Set = None) -> None:
    """Tell all that is wrong with a configuration, each with its line.

    Certificates, passwords, rules, keys and plugins are read as well: where all is right, a broker
    starts, unless its ports are taken or its storage cannot be opened.
    """
    from tmqtt.config.command import check_file

    check_file(file, set_ or ())


@app.command(cls=Command, epilog=_EXAMPLES + _CODES)
def show(
    file: File = None,
    set_: Set = None,
    given: Annotated[
        bool, typer.Option("--given", help="Only what is given: leave out the defaults.")
    ] = False,
) -> None:
    """Show the configuration that holds, with where each value comes from.

    Variables (TMQTT_LIMITS__MAXIMUM_CONNECTIONS=100) go over the file, and --set over both. Secrets
    are hidden. In a pipe or a file it is TOML.
    """
    from tmqtt.config.command import show_file

    show_file(file, set_ or (), given_only=given)


@app.command("import", cls=Command, epilog=_EXAMPLES + _CODES)
def import_(
    file: Annotated[
        str, typer.Argument(metavar="MOSQUITTO.CONF", help="The configuration of Mosquitto 2.")
    ],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write; it must not exist."),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Write nothing where anything cannot be taken over."),
    ] = False,
) -> None:
    """Turn Mosquitto's configuration into one for `tmqtt broker --config`.

    Each setting says from which line it comes. What has no equal, or is another here, is told on
    stderr, line by line, with what to do instead.
    """
    from tmqtt.config.command import import_mosquitto

    import_mosquitto(file, output, strict=strict)


@app.command(cls=Command, epilog=_EXAMPLES + _CODES)
def schema() -> None:
    """Print the JSON Schema of the file, for editors that complete and check it."""
    from tmqtt.config.command import print_schema

    print_schema()


@app.command(cls=Command, epilog=_EXAMPLES + _CODES)
def example() -> None:
    """Print a file with all settings, commented out, with their defaults and what they mean."""
    from tmqtt.config.command import print_example

    print_example()
