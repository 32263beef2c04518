"""The commands in terminal blocks, as a shell takes them apart."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from tests.docs.blocks import Block, of

BLOCKS = of("sh", "bash", "shell", "console")
PROMPT = "$ "
_SUBSTITUTED = re.compile(r"\$\([^()]*\)")
_SEPARATORS = "|&;<>"
_INTO_FILES = (">", ">>", "<")
# Words after which a command begins.
_BEFORE = ("do", "then", "else", "!")


@dataclass(frozen=True)
class Command:
    """One command of a block, by its words.

    `piped` says that another one's output goes into it; `source` and `into` are the files that it
    reads and writes instead of the terminal.
    """

    block: Block
    words: tuple[str, ...]
    piped: bool = False
    source: str = ""
    into: str = ""

    @property
    def program(self) -> str:
        """What is run, without its folder."""
        return self.words[0].rpartition("/")[2]

    @property
    def shown(self) -> str:
        """The command, for people."""
        return " ".join((self.program, *self.words[1:]))

    def __str__(self) -> str:
        return f"{self.block.place}: {self.shown}"


def lines_of(block: Block) -> list[str]:
    """What is typed there: without prompts, continued lines as one."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.kind == "console":
        lines = [line.removeprefix(PROMPT) for line in lines if line.startswith(PROMPT)]
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def commands_of(block: Block) -> Iterator[Command]:
    """Each command of a block."""
    for line in lines_of(block):
        yield from _commands_in(line, block)


def _commands_in(line: str, block: Block) -> Iterator[Command]:
    lexer = shlex.shlex(_SUBSTITUTED.sub("12", line), posix=True, punctuation_chars=_SEPARATORS)
    lexer.whitespace_split = True
    words: list[str] = []
    files: dict[str, str] = {}
    arrow, piped = "", False
    for token in (*lexer, ";"):
        if arrow:
            files["source" if arrow == "<" else "into"] = token
            arrow = ""
        elif token in _INTO_FILES:
            arrow = token
        elif token.strip(_SEPARATORS) or not token:
            words.append(token)
        else:
            if bare := _bare(words):
                yield Command(block, bare, piped, **files)
            words, files, piped = [], {}, token == "|"


def _bare(words: list[str]) -> tuple[str, ...]:
    """A command without what stands before it: `sudo`, variables, words of the shell."""
    rest = list(words)
    while rest:
        if rest[0] in _BEFORE or re.match(r"\w+=", rest[0]):
            del rest[0]
        elif rest[0] == "sudo":
            del rest[: 3 if rest[1:2] == ["-u"] else 1]
        else:
            break
    return tuple(rest)


def all_commands() -> list[Command]:
    """Each command of all pages."""
    return [command for block in BLOCKS for command in commands_of(block)]
