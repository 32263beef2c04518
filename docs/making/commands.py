"""The reference of all commands of `tmqtt`, in Markdown: made from the commands themselves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from making.markdown import anchor, block, cell, code, prose, table
from tmqtt.app import COMMANDS, app, command_of
from typer._click import Command, Context
from typer.main import get_command

# A group of options that so many commands of a page have, and of at least so many options, stands
# once on the page.
_SHARED_BY = 2
_LONG = 4
_EXTRA = re.compile(r"\s\s\[([^\[\]]*)\]$")
_FLAGS = ("install_completion", "show_completion")

Row = tuple[str, str, str]


class Shown(NamedTuple):
    """A command as the page has it."""

    path: str
    usage: str
    text: str
    epilog: str
    groups: dict[str, tuple[Row, ...]]
    commands: tuple[Shown, ...]


def page(purpose: str) -> str:
    """All commands that are for this, each under a heading of its own, and what they share."""
    shown = [_shown(f"tmqtt {name}", command_of(name)) for name in COMMANDS[purpose]]
    every = [one for command in shown for one in (command, *command.commands)]
    counted = Counter(
        (title, rows) for one in every for title, rows in one.groups.items() if len(rows) >= _LONG
    )
    shared = [group for group, count in counted.items() if count >= _SHARED_BY]
    names = _names(shared)
    parts = [part for one in shown for part in _sections(one, names, 2)]
    if shared:
        parts += ["## Options of several commands\n"]
        for title, rows in shared:
            users = [f"`{one.path}`" for one in every if one.groups.get(title) == rows]
            parts += [f"### {names[title, rows]}\n", f"Of {', '.join(users)}.\n", _options(rows)]
    return "\n".join(parts)


def whole() -> str:
    """`tmqtt` itself: its options, and the list of all commands, which leads to each."""
    command = get_command(app)
    context = Context(command, info_name="tmqtt")
    rows = []
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None:
            rows.append(_row(record, option=True))
    parts = [_options(tuple(rows))]
    for purpose, commands in COMMANDS.items():
        parts.append(f"## {purpose}\n")
        file = f"commands/{anchor(purpose)}.md"
        parts.append(
            table(
                ("command", "what it does"),
                (
                    (f"[`tmqtt {name}`]({file}#{anchor(f'tmqtt {name}')})", cell(text))
                    for name, text in commands.items()
                ),
            )
        )
    return "\n".join(parts)


def _shown(path: str, command: Command) -> Shown:
    context = Context(command, info_name=path, terminal_width=10_000, max_content_width=10_000)
    groups: dict[str, list[Row]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or parameter.name in _FLAGS:
            continue
        is_option = parameter.param_type_name == "option"
        title = getattr(parameter, "rich_help_panel", None)
        title = title or ("Options" if is_option else "Arguments")
        groups.setdefault(title, []).append(_row(record, option=is_option))
    return Shown(
        path=path,
        usage=" ".join([path, *command.collect_usage_pieces(context)]),
        text=_text(command.help or ""),
        epilog=command.epilog or "",
        groups={title: tuple(rows) for title, rows in groups.items()},
        commands=tuple(
            _shown(f"{path} {name}", one) for name, one in getattr(command, "commands", {}).items()
        ),
    )


def _row(record: tuple[str, str], *, option: bool) -> Row:
    name, text = record
    if not option:  # without the name that its type has in Python
        name = name.partition(" <")[0]
    found = _EXTRA.search(text)
    if found is None:
        return name, text, ""
    extra = found[1]
    text = text[: found.start()]
    if extra == "required":
        return name, text, "must be given"
    return name, text, extra.removeprefix("default: ")


def _names(shared: list[tuple[str, tuple[Row, ...]]]) -> dict[tuple[str, tuple[Row, ...]], str]:
    """A heading for each group of options that is told once; the same titles are numbered."""
    seen: Counter[str] = Counter()
    names = {}
    for title, rows in shared:
        seen[title] += 1
        names[title, rows] = title if seen[title] == 1 else f"{title} ({seen[title]})"
    return names


def _sections(
    one: Shown, names: dict[tuple[str, tuple[Row, ...]], str], level: int
) -> Iterator[str]:
    yield f"{'#' * level} `{one.path}`\n"
    yield f"{prose(one.text)}\n"
    yield block("text", one.usage)
    if one.epilog:
        yield block("text", one.epilog)
    also = []
    for title, rows in one.groups.items():
        if (title, rows) in names:
            also.append(f"[{names[title, rows]}](#{anchor(names[title, rows])})")
            continue
        if title not in ("Options", "Arguments"):
            yield f"**{prose(title)}**\n"
        yield _options(rows)
    if also:
        yield f"And the options {', '.join(also)}.\n"
    for command in one.commands:
        yield from _sections(command, names, level + 1)


def _options(rows: tuple[Row, ...]) -> str:
    return table(
        ("option" if rows[0][0].startswith("-") else "argument", "what it does", "default"),
        ((code(name).replace("|", "\\|"), cell(text), cell(value)) for name, text, value in rows),
    )


def _text(text: str) -> str:
    """A help text in paragraphs."""
    return "\n\n".join(" ".join(part.split()) for part in text.replace("\b", "").split("\n\n"))
