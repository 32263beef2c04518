"""The kind of command that all of them are: quick to start, with its options in groups."""

from __future__ import annotations

from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

import typer
from typer._click.exceptions import BadOptionUsage
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter, Parameter

# Of every command.
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_PLAIN = (str, bool, list[str])
PROPERTY, LONG_PROPERTY = "-D", "--property"
HELP, HOST = "-h", "--host"
# Between the words of `-D COMMAND PROPERTY VALUE`, once they are one value. No argument holds it.
SEPARATOR = "\0"


class Command(TyperCommand):
    """A command whose options are text, choices, or read by a parser of their own.

    Typer loads a validator for every value, which takes longer than publishing a message. It is
    passed by here where there is nothing for it to do.
    """

    def get_params(self, ctx: Context) -> list[Parameter]:
        return lighten(super().get_params(ctx))

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        if any(LONG_PROPERTY in parameter.opts for parameter in self.params):
            args = _with_properties_joined(args)
        if HELP in args:
            args = _with_host(args, self.params)
        try:
            return super().parse_args(ctx, args)
        except BadOptionUsage as error:
            error.message += self._what_it_takes(error.option_name)
            error.ctx, error.cmd = ctx, self  # then the usage is shown as for other wrong options
            raise

    def _what_it_takes(self, name: str) -> str:
        """What the value of an option is, in a sentence."""
        option = next((one for one in self.params if name in one.opts), None)
        told = (getattr(option, "help", None) or "").partition("  [")[0]
        metavar = getattr(option, "metavar", None)
        return f" {metavar}: {told}" if metavar and told else ""

    def invoke(self, ctx: Context) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if error.ctx is None:  # then the usage is shown as for every other wrong option
                error.ctx, error.cmd = ctx, self
            raise

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                argument = parameter.param_type_name == "argument"
                if argument:  # without the name that its type has in Python
                    record = (record[0].partition(" <")[0], record[1])
                named = getattr(parameter, "rich_help_panel", None)
                group = named or ("Arguments" if argument else "Options")
                groups.setdefault(group, []).append(record)
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records)

    def format_epilog(self, ctx: Context, formatter: HelpFormatter) -> None:
        _write_lines(self.epilog, formatter)


class Group(TyperGroup):
    """A command that has commands, each told of in a whole sentence."""

    def get_params(self, ctx: Context) -> list[Parameter]:
        return lighten(super().get_params(ctx))

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        commands = [self.get_command(ctx, name) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (command.name or "", command.get_short_help_str(limit=1_000))
                    for command in commands
                    if command is not None
                ]
            )

    def format_epilog(self, ctx: Context, formatter: HelpFormatter) -> None:
        _write_lines(self.epilog, formatter)


def group(name: str, purpose: str, examples: str) -> typer.Typer:
    """A command that has commands; `examples` end by an empty line."""
    return typer.Typer(
        cls=Group,
        epilog=f"{examples}`tmqtt {name} COMMAND --help` shows the options and the exit codes.",
        context_settings=CONTEXT,
        rich_markup_mode=None,
        no_args_is_help=True,
        help=purpose,
    )


def _write_lines(epilog: str | None, formatter: HelpFormatter) -> None:
    """The epilog as it is written: examples are lines."""
    if epilog:
        formatter.write_paragraph()
        for line in epilog.splitlines():
            formatter.write(f"{line}\n")


def lighten(parameters: list[Parameter]) -> list[Parameter]:
    """The same options, their values read without Typer's validators where they need none."""
    for parameter in parameters:
        if (read := _reader(parameter)) is not None:
            process = partial(_process, parameter, read)
            parameter.process_value = process  # type: ignore[method-assign] # of this one
    return parameters


def _reader(parameter: Parameter) -> Any:
    """What turns the text of one value into what the command takes; None leaves it to Typer."""
    descriptor = getattr(parameter, "type_descriptor", None)
    if descriptor is None:  # another version of Typer: it knows best
        return None
    if descriptor.parameter_info.parser is not None:
        return descriptor.parameter_info.parser
    annotation = descriptor.annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return partial(_choice, annotation)
    return _as_it_is if annotation in _PLAIN else None


def _choice(choices: type[Enum], text: str) -> Enum:
    """The choice that is written so."""
    try:
        return choices(text)
    except ValueError:
        known = ", ".join(repr(choice.value) for choice in choices)
        raise typer.BadParameter(f"{text!r} is not one of {known}.") from None


def _as_it_is(value: Any) -> Any:
    return value


def _process(parameter: Any, read: Any, ctx: Context, value: Any) -> Any:
    many = parameter.multiple or parameter.nargs == -1
    if value is None:
        value = () if many else None
    elif many:
        value = [_read(parameter, read, ctx, one) for one in value]
    else:
        value = _read(parameter, read, ctx, value)
    if parameter.required and parameter.value_is_missing(value):
        # Typer's own check has the words for it.
        return type(parameter).process_value(parameter, ctx, None)
    if parameter.callback is not None:
        value = parameter.callback(ctx, parameter, value)
    return value


def _read(parameter: Any, read: Any, ctx: Context, value: Any) -> Any:
    if not isinstance(value, str):  # a default, or a flag
        return value
    try:
        return read(value)
    except typer.BadParameter as error:
        if error.ctx is None:
            error.ctx, error.cmd, error.param = ctx, ctx.command, parameter
        raise


def _with_properties_joined(args: list[str]) -> list[str]:
    """The arguments with each `-D COMMAND PROPERTY VALUE` (of a user property, two) as one value.

    Options of three or four values, as Mosquitto's commands have this one, Typer does not have.
    """
    if PROPERTY not in args and LONG_PROPERTY not in args:
        return args
    joined: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        joined.append(word)
        if word == "--":
            return joined + rest
        if word in (PROPERTY, LONG_PROPERTY):
            length = 4 if rest[1:2] == ["user-property"] else 3
            joined.append(SEPARATOR.join(rest[:length]))
            del rest[:length]
    return joined


def _with_host(args: list[str], parameters: list[Parameter]) -> list[str]:
    """The arguments with `--host` for a `-h` that has a word after it, as Mosquitto's commands do.

    Alone it asks for help. What is the value of another option is left as it is.
    """
    options = [entry for entry in parameters if entry.param_type_name == "option"]
    if not any(HOST in option.opts for option in options):
        return args
    with_value = {
        name for option in options if not getattr(option, "is_flag", False) for name in option.opts
    }
    found = list(args)
    at = 0
    while at < len(found) and found[at] != "--":
        word = found[at]
        follower = found[at + 1] if at + 1 < len(found) else ""
        if word == HELP and follower and not follower.startswith("-"):
            found[at] = HOST
            at += 1
        elif word in with_value:
            at += 1
        at += 1
    return found
