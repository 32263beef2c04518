"""Commands that pages show are taken by `tmqtt`, and do what they are shown for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from tmqtt.app import NAMES, command_of
from typer._click import Command as Taken
from typer._click import Context

from tests.docs import not_run
from tests.docs.blocks import Block, each, pages, parts
from tests.docs.commands import BLOCKS, Command, all_commands, commands_of
from tests.docs.files import Files
from tests.docs.running import House, move_away, open_house, run

# What sessions run beside it.
_RUN = ("python", "pytest", "mv")
_INLINE = re.compile(r"(?<!`)`(tmqtt [^`]+)`(?!`)", re.DOTALL)


def taken(words: tuple[str, ...] | list[str]) -> tuple[Taken, list[str]]:
    """The command that the words call, and its own words."""
    name, *rest = words
    command: Any = command_of(name)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        command = command.commands[rest.pop(0)]
    return command, rest


@pytest.mark.parametrize("block", each(BLOCKS))
def test_each_command_of_a_block_is_taken(
    block: Block, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files.folder)
    for command in commands_of(block):
        if command.program != "tmqtt":
            assert command.program in not_run.PROGRAMS or command.program in _RUN, str(command)
        elif not command.words[1].startswith("-"):
            leaf, words = taken(command.words[1:])
            try:
                leaf.make_context(leaf.name, list(words)).close()
            except typer.Exit:  # it was --help
                pass
            except Exception as error:
                raise AssertionError(f"{command}: {error}") from error


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id="/".join(parts(page)))
        for page in pages()
        if page.name != "CHANGELOG.md"  # which tells of what is no more
    ],
)
def test_options_within_sentences_are_there(page: Path) -> None:
    for shown in _INLINE.findall(page.read_text(encoding="utf-8")):
        try:
            words = shlex.split(shown.replace("\n", " "), comments=True)[1:]
        except ValueError:
            continue
        if not words or words[0] not in NAMES:
            assert not words or not re.fullmatch(r"[a-z]+", words[0]), f"no such command: {shown}"
            continue
        command, rest = taken([word for word in words if word != "…"])
        known = {
            name
            for one in command.get_params(Context(command))
            for name in (*one.opts, *one.secondary_opts)
        }
        for word in rest:
            option = word.split("=")[0]
            if re.fullmatch(r"--?[a-z][\w-]*", option):
                assert option in known | {"--help", "-h"}, f"{shown} has no {option}"


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("house")) as running:
        yield running


def why_not(command: Command) -> str | None:
    """Why a command is not run; None where it is."""
    if command.program not in ("tmqtt", "mv"):
        return not_run.PROGRAMS.get(command.program, "a session runs it")
    for option, why in not_run.OPTIONS.items():
        if option in command.words:
            return why
    return next(
        (why for start, why in not_run.COMMANDS.items() if command.shown.startswith(start)), None
    )


def runnable() -> dict[str, list[Command]]:
    """The commands of each page that are run, of blocks that show no output."""
    found: dict[str, list[Command]] = {}
    for command in all_commands():
        if command.block.kind != "console" and not why_not(command):
            found.setdefault(command.block.page, []).append(command)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("page", runnable())
def test_the_commands_of_a_page_do_it(page: str, house: House, files: Files) -> None:
    wrong = []
    for command in runnable()[page]:
        if command.program == "mv":
            move_away(command, files.folder)
            continue
        code, shown = run(command, house, files.folder)
        if code or re.search(r"^(Error|Traceback|Usage)", shown, re.MULTILINE):
            wrong.append(f"{command} ends with {code}:\n{shown}")
    assert not wrong, "\n".join(wrong)


def test_nothing_is_listed_that_no_page_shows() -> None:
    commands = all_commands()
    programs = {command.program for command in commands}
    assert not_run.PROGRAMS.keys() <= programs, not_run.PROGRAMS.keys() - programs
    for start in not_run.COMMANDS:
        assert any(command.shown.startswith(start) for command in commands), start
