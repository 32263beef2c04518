"""The options of a connection as Typer takes them, and what else commands that connect share."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer._click.exceptions import BadOptionUsage, NoSuchOption

from tmqtt.connecting.settings import ConnectionOptions, SettingError, connection_options
from tmqtt.connecting.table import OPTIONS
from tmqtt.connecting.table import qos_of as parse_qos
from tmqtt.connecting.variables import idle_variables
from tmqtt.terminal.command import PROPERTY, SEPARATOR, Command
from tmqtt.terminal.option import Option, declared
from tmqtt.terminal.plainly import say
from tmqtt.terminal.values import reader

if TYPE_CHECKING:
    from typer._click import Context

# What addresses begin with, here and in other programs.
_SCHEMES = ("mqtt", "mqtts", "ws", "wss", "unix", "tcp", "ssl", "tls", "http", "https", "any")

EXIT_CODES = (
    "Exit codes: 0 done; 1 it did not work; 2 the options are wrong; 27 the time is over;\n"
    "130 ended by Ctrl-C. Where the broker refuses, its reason code (such as 135: not\n"
    "authorized); of MQTT 3, its return code (1 to 5).\n\n"
    "Each option of the connection is a variable too (TMQTT_ and its name: TMQTT_BROKER,\n"
    "TMQTT_PASSWORD) and a line of a profile in ~/.config/tmqtt/config.toml."
)


def check_is_no_address(text: str, kind: str, name: str, *, otherwise: str = "") -> None:
    """Refuse what stands in place of a topic, but is the address of a broker.

    `otherwise` names the option that takes a topic of that name all the same.
    """
    scheme, separator, _ = text.partition("://")
    if separator and scheme.lower() in _SCHEMES:
        but = f" If it is a {kind} after all, give it by {otherwise}." if otherwise else ""
        raise typer.BadParameter(
            f"{text!r} is the address of a broker, which is given by -b.{but}",
            param_hint=f"'{name}'",
        )


qos_of = reader(parse_qos)

Qos = Annotated[
    int,
    typer.Option("-q", "--qos", metavar="0|1|2", parser=qos_of, help="Quality of service."),
]

_PROFILE = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="Options of the connection from the configuration file.",
        rich_help_panel="Connection",
    ),
]
_CONFIG = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The configuration file.  [default: ~/.config/tmqtt/config.toml]",
        rich_help_panel="Connection",
    ),
]
_PROPERTIES = Annotated[
    list[str] | None,
    typer.Option(
        PROPERTY,
        "--property",
        metavar="COMMAND PROPERTY VALUE",
        help="A property of MQTT 5, as Mosquitto's commands take it: -D publish content-type"
        " text/plain, -D connect user-property NAME VALUE.",
        rich_help_panel="Session and limits",
    ),
]


class Client(Command):
    """A command that has counterparts of Mosquitto and MQTT.js, whose options it takes as well."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, list(args))
        except NoSuchOption as error:
            # Loaded only here: whoever writes our own options does without.
            from tmqtt.connecting.foreign import (
                ForeignOptionError,
                MissingValueError,
                told_in_ours,
            )

            options = [one for one in self.params if one.param_type_name == "option"]
            with_value = {
                name
                for option in options
                if not getattr(option, "is_flag", False)
                for name in option.opts
            }
            try:
                told = told_in_ours(self.name or "", args, error.option_name, with_value)
            except MissingValueError as incomplete:
                raise BadOptionUsage(incomplete.name, str(incomplete), ctx=ctx) from None
            except ForeignOptionError as refused:
                what = "Option" if refused.known else "No such option:"
                text = f"{what} {refused.name}: {refused}"
                raise NoSuchOption(refused.name, text, ctx=ctx) from None
            if told is None:
                raise
            return super().parse_args(ctx, told)


def connects(
    name: str, *, address: str = ""
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of a connection; it takes them as one argument, `connection`.

        @app.command(cls=Command, epilog=EXIT_CODES)
        @connects("pub")
        def pub(topic: …, *, connection: ConnectionOptions) -> None: ...

    `name` is in the client identifier where none is given. `address` is the command's own argument,
    if it has one, that may stand in place of --broker; the command gets it as well.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        def command(**values: Any) -> None:
            connection = _connection(name, values, values.get(address))
            function(**values, connection=connection)

        signature = inspect.signature(function, eval_str=True)
        own = [entry for entry in signature.parameters.values() if entry.name != "connection"]
        shared = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for key, kind in _shared().items()
        ]
        command.__name__ = function.__name__
        command.__doc__ = function.__doc__
        command.__signature__ = signature.replace(  # type: ignore[attr-defined] # what Typer reads
            parameters=[entry.replace(kind=entry.KEYWORD_ONLY) for entry in own] + shared
        )
        command.__annotations__ = {entry.name: entry.annotation for entry in own + shared}
        return command

    return decorate


def _shared() -> dict[str, Any]:
    kinds: dict[str, Any] = {"c_profile": _PROFILE, "c_config": _CONFIG}
    kinds |= {_key(option): declared(option, reads=False) for option in OPTIONS}
    return {**kinds, "c_properties": _PROPERTIES}


def _key(option: Option) -> str:
    """The name of an option as that of an argument, which no command has for its own."""
    return f"c_{option.key}"


def _connection(name: str, values: dict[str, Any], url: str | None) -> ConnectionOptions:
    """The connection that the values ask for; takes them out of `values`."""
    profile = values.pop("c_profile") or os.environ.get("TMQTT_PROFILE")
    file = values.pop("c_config") or os.environ.get("TMQTT_CONFIG")
    properties = [words.split(SEPARATOR) for words in values.pop("c_properties") or ()]
    given = {option.name: values.pop(_key(option)) for option in OPTIONS}
    if url is not None:
        if given["broker"] is not None:
            raise typer.BadParameter(
                f"{url!r} is a second broker beside {given['broker']!r} of --broker: name one.",
                param_hint="'URL'",
            )
        given["broker"] = url
    for sentence in idle_variables(os.environ):
        say(f"Warning: {sentence}", problem=True)
    lines: dict[str, object] = {}
    try:
        if profile:
            from tmqtt.connecting.profiles import default_file, load_profile

            try:
                lines = load_profile(Path(file) if file else default_file(os.environ), profile)
            except ValueError as error:
                raise SettingError(str(error), "'--profile'") from None
        elif file:
            raise SettingError("say which of its profiles by --profile.", "'--config'")
        return connection_options(name, given, properties, os.environ, lines)
    except SettingError as error:
        raise typer.BadParameter(str(error), param_hint=error.where) from None
