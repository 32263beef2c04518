"""What comes of Mosquitto's configuration: settings with the lines they come from, and notes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

Value = bool | int | str | list[str]


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody should know: what was not taken over, or is another here."""

    place: str  # empty where it is about all of the file
    text: str
    # Whether something is missing, not only otherwise.
    is_lost: bool = True

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


@dataclass(slots=True)
class Table:
    """Settings of one section, each with where it comes from."""

    settings: dict[str, tuple[Value, str]] = field(default_factory=dict)

    def set(self, name: str, value: Value, source: str) -> None:
        """Give a setting its value; a later line goes over an earlier one, as in Mosquitto."""
        self.settings[name] = value, source

    def has(self, name: str) -> bool:
        """Whether a setting is given."""
        return name in self.settings

    def lines(self) -> Iterator[str]:
        """The settings in TOML."""
        for name, (value, source) in self.settings.items():
            yield f"{name} = {toml(value)}  # {source}"


def toml(value: Value) -> str:
    """A value in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        # JSON's texts are TOML's, but for DEL.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    return f"[{', '.join(map(toml, value))}]"


@dataclass(slots=True)
class Draft:
    """A configuration file of ours that is to be."""

    path: str
    listeners: list[Table]
    sections: Mapping[str, Table]
    notes: list[Note]

    def text(self) -> str:
        """The file."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"# From {self.path}, by `tmqtt config import`."
        if self.notes:
            yield "#"
            yield "# Not taken over, or another here:"
            yield from (f"# - {one}" for one in self.notes)
        for listener in self.listeners:
            yield from _table("[[listeners]]", listener.lines())
        for name, section in self.sections.items():
            if section.settings:
                yield from _table(f"[{name}]", section.lines())


def _table(header: str, lines: Iterable[str]) -> Iterator[str]:
    yield ""
    yield header
    yield from lines
