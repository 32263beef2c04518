"""From what is written to settings: everything that is wrong is found, and told with its place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from trio_mqtt.cluster.engine.addresses import parse_engine_url
from trio_mqtt.cluster.settings import Cluster
from trio_mqtt.configuration.description import Section, Setting, all_settings, root
from trio_mqtt.configuration.places import Place, dotted
from trio_mqtt.configuration.problems import Problem
from trio_mqtt.configuration.sections import ListenerSettings
from trio_mqtt.configuration.sources import Layers
from trio_mqtt.errors import ConfigurationError, InvalidUrlError
from trio_mqtt.transport.urls import parse_url

_SHOWN = 60  # characters of a value
_LISTED = 15  # settings


class Validation:
    """Makes settings of what layers have, and gathers what is wrong with them."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self.problems: list[Problem] = []

    def settings(self) -> Any:
        """The settings; None, or without what is wrong, where there are problems."""
        settings = self._table(root(), self._layers.tree, ())
        if not self.problems:
            self._check_addresses(settings.listeners)
        return settings

    def wrong(self, place: Place, sentence: str) -> None:
        """Note a problem with what is at a place."""
        self.problems.append(Problem(dotted(place), sentence, self._layers.source_of(place)))

    def _check_addresses(self, listeners: tuple[ListenerSettings, ...]) -> None:
        """Note listeners for an address that another one has, which no broker could open."""
        numbers: dict[tuple[str, int, str], int] = {}
        for number, listener in enumerate(listeners):
            address = parse_url(listener.url, listening=True)
            is_unix = address.scheme == "unix"
            if address.port == 0 and not is_unix:
                continue  # a free one each
            key = (address.host, address.port, address.path if is_unix else "")
            first = numbers.setdefault(key, number)
            if first != number:
                place: Place = ("listeners", number, "url")
                hint = "" if is_unix else "; any:// serves MQTT, TLS and WebSocket at one port"
                self.wrong(
                    place, f"{dotted(place)}: listeners.{first} listens there already{hint}."
                )

    def _table(self, section: Section, written: Any, place: Place) -> Any:
        if section.alone is not None and isinstance(written, str):
            written = {section.alone: written}
        if not isinstance(written, Mapping):
            # It may be the secret itself that stands in place of its table.
            has_secret = any(
                setting.secret or setting.may_have_password for setting in section.settings.values()
            )
            came = "what is there" if has_secret else shown(written)
            self.wrong(place, f"{dotted(place)} is a table, not {came}.")
            return None
        taken: dict[str, Any] = {}
        before = len(self.problems)
        for name, value in written.items():
            setting = section.settings.get(name)
            if setting is None:
                self.wrong((*place, name), _unknown(section, place, name))
                continue
            read = self._setting(setting, value, (*place, name))
            if read is not None:
                taken[name] = read
        for name, setting in section.settings.items():
            if setting.required and name not in taken:
                if name not in written:
                    self.wrong(
                        place,
                        f"{dotted((*place, name))} is missing. {_first_sentence(setting.doc)}",
                    )
                return None
        made = self._made(section, taken, place)
        return made if len(self.problems) == before or made is not None else None

    def _setting(self, setting: Setting, value: Any, place: Place) -> Any:
        """What a setting's value means; None where it is wrong."""
        section = setting.section
        if section is None:
            return self._value(setting, value, place)
        if setting.form == "table":
            return self._table(section, value, place)
        if setting.form == "array":
            if not isinstance(value, list):
                wanted = f"an array of tables: [[{dotted(place)}]]"
                self.wrong(place, f"{dotted(place)} is {wanted}, not {shown(value)}.")
                return None
            several = [
                self._table(section, entry, (*place, index)) for index, entry in enumerate(value)
            ]
            return tuple(one for one in several if one is not None)
        if not isinstance(value, Mapping):
            self.wrong(place, f"{dotted(place)} is a table of tables, not {shown(value)}.")
            return None
        named = {name: self._table(section, one, (*place, name)) for name, one in value.items()}
        return {name: one for name, one in named.items() if one is not None}

    def _value(self, setting: Setting, value: Any, place: Place) -> Any:
        kind = setting.kind
        assert kind is not None  # noqa: S101  # it is a value, or a section
        try:
            read = kind.read(value)
        except ValueError:
            secret = setting.secret or setting.may_have_password
            came = "what is there" if secret else shown(value)
            self.wrong(place, f"{dotted(place)} is {kind.expected}, not {came}.")
            return None
        if kind.is_path:
            if not read:
                self.wrong(place, f"{dotted(place)} is {kind.expected}, not empty.")
                return None
            return os.path.join(self._layers.folder_of(place), os.path.expanduser(read))
        return tuple(read) if kind.is_list else read

    def _made(self, section: Section, taken: dict[str, Any], place: Place) -> Any:
        """The section's dataclass; where it refuses a value, a problem of this value's place."""
        while True:
            try:
                return _checked(section.cls(**taken))
            except (ConfigurationError, TypeError, ValueError) as error:
                is_url = isinstance(error, InvalidUrlError) and "url" in taken
                culprit = "url" if is_url else _culprit(section, taken, str(error))
                self._refused(section, place, culprit, str(error))
                if culprit is None or section.settings[culprit].required:
                    return None
                taken = {name: value for name, value in taken.items() if name != culprit}

    def _refused(self, section: Section, place: Place, culprit: str | None, sentence: str) -> None:
        where = place if culprit is None else (*place, culprit)
        if culprit is not None and sentence.startswith(f"{culprit} is "):
            sentence = f"{dotted(where)}{sentence.removeprefix(culprit)}"
        else:
            sentence = f"{dotted(where)}: {sentence[:1].upper()}{sentence[1:]}"
        self.wrong(where, sentence if sentence.endswith(".") else f"{sentence}.")


def _checked(made: Any) -> Any:
    """What was made, if it is right in itself. Raises InvalidUrlError."""
    if isinstance(made, ListenerSettings):
        parse_url(made.url, listening=True)
    elif isinstance(made, Cluster):
        parse_engine_url(made.url)
    return made


def _culprit(section: Section, taken: Mapping[str, Any], sentence: str) -> str | None:
    """The value without which the dataclass would not complain of this."""
    # What it begins with, if it names one of several.
    for name in sorted(taken, key=lambda name: not sentence.startswith(f"{name} ")):
        if section.settings[name].required:
            continue
        try:
            section.cls(**{other: value for other, value in taken.items() if other != name})
        except (ConfigurationError, TypeError, ValueError) as error:
            if str(error) == sentence:
                continue
        return name
    return next((name for name in taken if section.settings[name].required), None)


def _first_sentence(doc: str) -> str:
    sentence, stop, _ = doc.partition(". ")
    return f"{sentence}." if stop else doc


def _unknown(section: Section, place: Place, name: str) -> str:
    """What to say of a setting that there is not."""
    where = dotted((*place, name))
    elsewhere = [other for other, _ in all_settings(root()) if other[-1] == name]
    if elsewhere:
        there = min(elsewhere, key=lambda place: sum(isinstance(key, str) for key in place))
        header = "[[listeners]]" if there[0] == "listeners" else f"[{dotted(there[:-1])}]"
        hint = "" if place else f": in a file it stands below {header}"
        return f"There is no setting {where}, but {dotted(there)}{hint}."
    near = get_close_matches(name, section.settings, n=1, cutoff=0.7)
    if near:
        return f"There is no setting {where}. Did you mean {dotted((*place, near[0]))}?"
    if len(section.settings) > _LISTED:
        return f"There is no setting {where}: `tmqtt config example` shows all that there are."
    what = f"Those of {dotted(place)} are" if place else "Sections are"
    return f"There is no setting {where}. {what} {', '.join(section.settings)}."


def shown(value: object) -> str:
    """A value as it is shown to a person, near to how TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = f'"{value}"'
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(map(shown, value))}]"
    elif isinstance(value, Mapping):
        return "a table"
    else:
        text = str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
