"""The commands by name. A command and its options are imported only when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup
from typer.main import get_command

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter

# By what they are for: the name of each command, which is that of its module, and what it does.
COMMANDS = {
    "Broker": {
        "broker": "Run a broker until Ctrl-C, and show its traffic.",
        "passwd": "Set, remove and check passwords in a password file.",
    },
    "Client": {
        "pub": "Publish a message, once or on a schedule.",
        "sub": "Subscribe, and print each message as it arrives.",
    },
}
_NAMES = [name for commands in COMMANDS.values() for name in commands]


class _Commands(TyperGroup):
    """Commands that are loaded when they are called: `--help` loads none of them."""

    def list_commands(self, ctx: Context) -> list[str]:
        return _NAMES

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        if cmd_name not in _NAMES:
            return None
        command = get_command(import_module(f"tmqtt.commands.{cmd_name}").app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        for purpose, commands in COMMANDS.items():
            with formatter.section(purpose):
                formatter.write_dl(list(commands.items()))


app = typer.Typer(
    name="tmqtt",
    cls=_Commands,
    help="An MQTT broker, publisher and subscriber for the terminal.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tmqtt {version('trio-mqtt')}")
        raise typer.Exit


@app.callback()
def tmqtt(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """An MQTT broker, publisher and subscriber for the terminal."""
