"""What goes over a file: variables of the environment, and options."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from trio_mqtt.configuration.description import Setting, find
from trio_mqtt.configuration.places import Place, dotted
from trio_mqtt.configuration.problems import Problem
from trio_mqtt.configuration.sources import (
    BETWEEN,
    PREFIX,
    Layers,
    Override,
    Source,
    is_setting,
)
from trio_mqtt.configuration.toml import parse

_FILE = "_file"  # the variable names a file, in which the value is


class Overlay:
    """Puts settings over those of a file, and gathers what is wrong with their names."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self.problems: list[Problem] = []

    def add_environment(self, environment: Mapping[str, str]) -> None:
        """Add variables such as `TMQTT_LIMITS__MAXIMUM_CONNECTIONS`; empty ones say nothing."""
        for variable, text in sorted(environment.items()):
            if not is_setting(variable, text):
                continue
            keys = variable.removeprefix(PREFIX).lower().split(BETWEEN)
            source = Source("environment", variable)
            if find(keys)[0] is None and keys[-1].endswith(_FILE):
                keys[-1] = keys[-1].removesuffix(_FILE)
                try:
                    with open(text, encoding="utf-8") as file:
                        text = file.read().removesuffix("\n")
                except (OSError, UnicodeDecodeError) as error:
                    reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
                    sentence = f"The file {text} cannot be read: {reason}."
                    self.problems.append(Problem(".".join(keys), sentence, source))
                    continue
            self._add(keys, text, source)

    def add(self, overrides: Iterable[Override]) -> None:
        """Add what was given from outside, one after the other."""
        for override in overrides:
            source = Source("option", override.name)
            try:
                keys = _keys(override.setting)
            except tomllib.TOMLDecodeError:
                sentence = f"{override.setting!r} names no setting, as limits.write_buffer does."
                self.problems.append(Problem(override.setting, sentence, source))
                continue
            self._add(keys, override.value, source)

    def _add(self, keys: list[str], value: Any, source: Source) -> None:
        setting, place = find(keys)
        if isinstance(value, str):
            value = _read(setting, place, value)
        try:
            self._layers.add(place, value, source)
        except LookupError as error:
            sentence = f"There is no {dotted(place)}: {error}."
            self.problems.append(Problem(dotted(place), sentence, source))


def _keys(name: str) -> list[str]:
    """The keys of a dotted name, which may be quoted as in TOML."""
    keys = []
    node: Any = parse(f"{name} = 0") if "\n" not in name else {}
    while isinstance(node, dict) and node:
        ((key, node),) = node.items()
        keys.append(key)
    if not keys:
        raise tomllib.TOMLDecodeError
    return keys


def _read(setting: Setting | None, place: Place, text: str) -> Any:
    """What a text says: what the setting takes of it, as it is, as TOML, or as a list."""
    try:
        parsed = parse(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = text
    if setting is None or setting.name != place[-1]:  # nothing is known of it
        return parsed
    kind = setting.kind
    if kind is None:  # a table, or the text that may stand for one
        return text if setting.section and setting.section.alone and parsed == text else parsed
    candidates: list[object] = [text] if kind.takes_text else []
    candidates += [kind.words[text.lower()]] if text.lower() in kind.words else []
    candidates += [parsed]
    candidates += [[part.strip() for part in text.split(",")]] if kind.is_list else []
    for candidate in candidates:
        try:
            kind.read(candidate)
        except ValueError:
            continue
        return candidate
    return parsed
