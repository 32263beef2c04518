"""Where each value comes from: the file, the environment, or an option."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from trio_mqtt.configuration.places import Place, lines_of
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.records import record

PREFIX = "TMQTT_"  # of variables that are settings
BETWEEN = "__"  # their keys
FILE_VARIABLE = "TMQTT_BROKER_CONFIG"  # TMQTT_CONFIG names the profiles of clients


def is_setting(variable: str, text: str) -> bool:
    """Whether a variable of the environment says something of the configuration."""
    return variable.startswith(PREFIX) and BETWEEN in variable and text != ""


class File:
    """A TOML file of settings: its path, its text, and its lines where somebody asks for them."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text

    @property
    def folder(self) -> str:
        """What paths in it are relative to."""
        return os.path.dirname(self.path)

    @cached_property
    def lines(self) -> Mapping[Place, int]:
        """The line on which each setting and each table begins."""
        return lines_of(self.text)

    def line(self, place: Place) -> int | None:
        """The line of a setting, or of the innermost table around it that is written there."""
        while place:
            if place in self.lines:
                return self.lines[place]
            place = place[:-1]
        return None


class Override(NamedTuple):
    """A setting given from outside, such as by an option: `limits.maximum_connections`, 100.

    A text is read as the setting needs it: "100" is a number where one is wanted, "30s" a duration.
    `name` says in messages who gave it.
    """

    setting: str
    value: Any
    name: str = "the program"

    @classmethod
    def written(cls, text: str) -> Override:
        """What `NAME=VALUE` says, as the value of an option `--set`. Raises ConfigurationError."""
        setting, equals, value = text.partition("=")
        if not equals:
            raise ConfigurationError(
                f"--set {text}: write --set NAME=VALUE, for example"
                " --set limits.maximum_connections=100."
            )
        return cls(setting.strip(), value.strip(), f"--set {setting.strip()}")


@record
class Source:
    """Where a value comes from, shown as `broker.toml, line 12`, `TMQTT_…` or `--set …`."""

    kind: Literal["default", "file", "environment", "option"]
    name: str = ""
    """The path of the file, the name of the variable, or the option."""
    line: int | None = None
    """The line of the file."""

    def __str__(self) -> str:
        if self.kind == "default":
            return self.kind
        return self.name if self.line is None else f"{self.name}, line {self.line}"


class Layers:
    """Settings from several sources: each that is added goes over those before it."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {}
        self._sources: dict[Place, Source | File] = {}

    def add_file(self, file: File, tree: Mapping[str, Any]) -> None:
        """Add all that a file says."""
        for place, value in leaves(tree):
            self.add(place, value, file)

    def add(self, place: Place, value: Any, source: Source | File) -> None:
        """Add one value. Raises LookupError where there is no such place in what is there."""
        node: Any = self.tree
        for key, following in pairwise(place):
            there = _at(node, key)
            if not isinstance(there, list if isinstance(following, int) else dict):
                there = [] if isinstance(following, int) else {}
                _put(node, key, there)
            node = there
        _put(node, place[-1], value)
        for known in [known for known in self._sources if known[: len(place)] == place]:
            del self._sources[known]
        self._sources[place] = source

    def source_of(self, place: Place) -> Source | None:
        """Where a value comes from; of a table, where that is which has the first of its values.

        None where there is none.
        """
        if self.value_at(place) is None:
            return None
        within = (self._sources[known] for known in self._sources if known[: len(place)] == place)
        given = self._given(place) or next(within, None)
        if isinstance(given, File):
            return Source("file", given.path, given.line(place))
        return given

    def value_at(self, place: Place) -> Any:
        """The value at a place as it was given, or None."""
        node: Any = self.tree
        for key in place:
            node = _at(node, key) if isinstance(node, dict | list) else None
        return node

    def places_in(self, file: File) -> Iterator[Place]:
        """Where the values are that a file gives."""
        return (place for place, source in self._sources.items() if source is file)

    def folder_of(self, place: Place) -> str:
        """What a path at this place is relative to; empty where that is the current folder."""
        given = self._given(place)
        return given.folder if isinstance(given, File) else ""

    def _given(self, place: Place) -> Source | File | None:
        """Who gave the value at a place, or one around it."""
        for length in range(len(place), 0, -1):
            if place[:length] in self._sources:
                return self._sources[place[:length]]
        return None


def leaves(
    tree: Mapping[str, Any] | Sequence[Any], above: Place = ()
) -> Iterator[tuple[Place, Any]]:
    """Each value with its place; arrays are values, unless tables are in them."""
    entries = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
    for key, value in entries:
        place = (*above, key)
        has_tables = isinstance(value, list) and any(isinstance(one, Mapping) for one in value)
        if has_tables or (isinstance(value, Mapping) and value):
            yield from leaves(value, place)
        else:
            yield place, value


def _at(node: Any, key: str | int) -> Any:
    """What is there, or None."""
    if isinstance(node, dict):
        return node.get(str(key))
    index = int(key)
    return node[index] if index < len(node) else None


def _put(node: Any, key: str | int, value: Any) -> None:
    if isinstance(node, dict):
        node[str(key)] = value
        return
    index = int(key)
    if index > len(node):
        raise LookupError(f"there are {len(node)}, so that the next one is number {len(node)}")
    node[index : index + 1] = [value]
