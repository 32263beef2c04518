"""The lines of mosquitto.conf(5), with those of the files that it includes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class WrongLineError(Exception):
    """Mosquitto itself would not start with a line; the text says where, and what is wrong."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One option as it is written: its name, and what follows."""

    name: str
    value: str
    path: str
    line: int
    # Whether it is the first of its file: what belongs to a listener or a bridge ends there.
    begins_file: bool = False
    # What its file is called beside the main one, which need not be named each time.
    included_as: str = ""

    @property
    def place(self) -> str:
        """Where it stands."""
        return ", ".join(filter(None, (self.included_as, f"line {self.line}")))

    @property
    def word(self) -> str:
        """The first word of the value: where one is wanted, Mosquitto passes over the rest."""
        return self.value.split(" ")[0]

    def wrong(self, problem: str) -> WrongLineError:
        """That Mosquitto would not start with it."""
        return WrongLineError(f"{self.path}, line {self.line}: {self.name} {problem}")

    def text(self) -> str:
        """The value, which must not be empty."""
        if not self.value:
            raise self.wrong("needs a value.")
        return self.value

    def whole(self, least: int = -(2**31), most: int = 2**63) -> int:
        """The value as a whole number."""
        try:
            number = int(self.word)
        except ValueError:
            raise self.wrong(f"is a whole number, not {self.value!r}.") from None
        if not least <= number <= most:
            raise self.wrong(f"is from {least:,} to {most:,}, not {number:,}.")
        return number

    def truth(self) -> bool:
        """The value as yes or no."""
        if self.word not in ("true", "false", "1", "0"):
            raise self.wrong(f"is true or false, not {self.value!r}.")
        return self.word in ("true", "1")


def read(path: Path, *, included_as: str = "") -> Iterator[Statement]:
    """The options of a file in order, and of those that it includes.

    Raises WrongLineError, also for files that cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise WrongLineError(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        raise WrongLineError(f"{path} is no text in UTF-8: byte {error.start}.") from None
    begins = True
    for number, line in enumerate(lines, 1):
        if line.startswith("#") or not line.strip():
            continue
        name, _, value = line.strip(" ").partition(" ")
        statement = Statement(name, value.strip(" \t"), str(path), number, begins, included_as)
        if name != "include_dir":
            begins = False
            yield statement
        elif included_as:
            raise statement.wrong("is for the main file only.")
        else:
            yield from _included(statement)
            begins = False


def _included(statement: Statement) -> Iterator[Statement]:
    """What the files of a folder say, in the order of their names."""
    folder = Path(statement.text())
    try:
        files = [one for one in folder.iterdir() if one.name.endswith(".conf")]
    except OSError as error:
        reason = error.strerror or error
        raise statement.wrong(f"{str(folder)!r} cannot be read: {reason}.") from None
    for file in sorted(files, key=_in_its_order):
        beside = Path(statement.path).parent
        name = file.relative_to(beside) if file.is_relative_to(beside) else file
        yield from read(file, included_as=str(name))


def _in_its_order(file: Path) -> list[tuple[str, str]]:
    """Letters in the order of the alphabet, of each its capital first: A, a, B, b."""
    return [(letter.upper(), letter) for letter in file.name]
