"""The commands by name. A command and its options are imported only when it is called."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer
from typer.main import get_command

from tmqtt.terminal.command import Group

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter
    from typer._click.shell_completion import CompletionItem

# By what they are for: the name of each command, which is that of its folder, and what it does.
COMMANDS = {
    "Broker": {
        "broker": "Run a broker until Ctrl-C, and show its traffic.",
        "config": "Check, show and begin a configuration file.",
        "passwd": "Set, remove and check passwords in a password file.",
        "acl": "Explain the rules of an access file.",
        "store": "Look into what a broker keeps, and move it.",
        "cluster": "Show how a cluster of brokers fares.",
        "drain": "Have a node of a cluster give up its clients.",
        "service": "Have systemd run the broker, from the start of the machine on.",
    },
    "Running broker": {
        "overview": "Show how a broker is.",
        "clients": "Show who is connected, or away, and what waits for them.",
        "client": "Show one client, and its subscriptions.",
        "disconnect": "Disconnect a client.",
        "ban": "Have somebody not connect any more, or again.",
        "sessions": "Show what waits in sessions, and end one.",
        "subscriptions": "List, give and take subscriptions.",
        "retained": "List, show and delete retained messages.",
        "send": "Have the broker publish a message, or send it to one client.",
        "trace": "Show the packets of a client, or what becomes of a topic.",
        "events": "Show what happens.",
        "who": "Show whom a message would reach, and why others do not get it.",
        "may": "Show whether a client may do something, and which rule says so.",
        "dynsec": "Show and change users, groups and roles of dynamic security.",
    },
    "Client": {
        "pub": "Publish a message, once or on a schedule.",
        "sub": "Subscribe, and print each message as it arrives.",
        "explore": "Go through a broker's topics by keys: a tree, values, history, publishing.",
        "replay": "Publish messages again that sub --record has written.",
        "request": "Send a request, and print the response.",
        "history": "Show what came on topics, as a broker has kept it.",
        "check": "Show what a broker can do, by asking and by trying.",
    },
    "Measuring": {
        "bench": "Measure a broker: throughput, latency, losses, and what it takes.",
        "top": "Watch a broker live, by its $SYS topics.",
    },
}
_EPILOG = """\
Three terminals, to begin with:
  tmqtt broker
  tmqtt sub test
  tmqtt pub test --every 3s

`tmqtt COMMAND --help` has more examples, all options, and the exit codes. They are 0: done;
1: it did not work; 2: the options are wrong; 27: the time is over; 130: ended by Ctrl-C."""
_COMPLETION = ("install_completion", "show_completion")
NAMES = [name for commands in COMMANDS.values() for name in commands]


class _Commands(Group):
    """Commands that are loaded when they are called: `--help` loads none of them."""

    def list_commands(self, ctx: Context) -> list[str]:
        return NAMES

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        if args and args[0] not in NAMES and not ctx.resilient_parsing:
            near = [name for name in NAMES if name.startswith(args[0])]
            near = near or _alike(args[0])
            if near and not args[0].startswith("-"):
                known = " or ".join(repr(name) for name in near)
                ctx.fail(f"No such command {args[0]!r}. Did you mean {known}?")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        # The commands' own words would have every one of them loaded at each press of the key.
        from typer._click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=purpose)
            for commands in COMMANDS.values()
            for name, purpose in commands.items()
            if name.startswith(incomplete)
        ]

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        return command_of(cmd_name) if cmd_name in NAMES else None

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        for purpose, commands in COMMANDS.items():
            with formatter.section(purpose):
                formatter.write_dl(list(commands.items()))


app = typer.Typer(
    name="tmqtt",
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=_EPILOG,
)


@cache
def command_of(name: str) -> Command:
    """The command of this name."""
    command = get_command(import_module(f"tmqtt.{name}.options").app)
    command.name = name
    # Completion is installed for all of them together.
    command.params = [entry for entry in command.params if entry.name not in _COMPLETION]
    return command


def _alike(word: str) -> list[str]:
    from difflib import get_close_matches  # which the help does without

    return get_close_matches(word, NAMES)


def _print_version(wanted: bool) -> None:
    if wanted:
        from tmqtt.terminal.plainly import put
        from trio_mqtt import __version__, is_compiled

        put(f"tmqtt {__version__} ({'compiled' if is_compiled else 'pure Python'})\n")
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
