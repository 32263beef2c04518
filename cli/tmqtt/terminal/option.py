"""An option as a table has it: written once, from which its declaration for Typer follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from tmqtt.terminal.values import reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option. `name` is its long name, `also` another one that other commands have.

    Without a `metavar` it is a flag, and takes no value. `default` is written as a person would.
    Without one the option shows none: it may be left out, and its help says what that means. A flag
    that is `deniable` has `--no-NAME` beside it: neither of them leaves it to the command. `group`
    is where help shows it.
    """

    name: str
    short: str = ""
    also: str = ""
    metavar: str = ""
    help: str
    group: str = ""
    read: Callable[[str], Any] = str
    default: str | None = None
    deniable: bool = False
    repeats: bool = False

    @property
    def flag(self) -> bool:
        """Whether it takes no value."""
        return not self.metavar

    @property
    def key(self) -> str:
        """The name as an identifier."""
        return self.name.replace("-", "_")


def declared(option: Option, *, reads: bool) -> Any:
    """What Typer takes for the option. Unless it `reads` them, values come as they were written."""
    kind: Any = str
    if option.flag:
        kind = bool
    elif option.repeats:
        kind = list[str]
    names = [option.short] if option.short else []
    names.append(f"--{option.name}/--no-{option.name}" if option.deniable else f"--{option.name}")
    names += [f"--{option.also}"] if option.also else []
    info = typer.Option(
        *names,
        metavar=option.metavar or None,
        parser=reader(option.read) if reads and option.metavar else None,
        help=option.help,
        show_default=option.default is not None,
        rich_help_panel=option.group or None,
    )
    return Annotated[kind | None, info]
