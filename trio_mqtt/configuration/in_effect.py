"""The configuration as it holds: each setting with its value and where that comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from trio_mqtt.broker.server import DEFAULT_URL
from trio_mqtt.cluster.settings import without_password
from trio_mqtt.configuration.configured import Configured
from trio_mqtt.configuration.description import Section, Setting, root
from trio_mqtt.configuration.places import Place, dotted
from trio_mqtt.configuration.sections import ListenerSettings
from trio_mqtt.configuration.sources import Source
from trio_mqtt.configuration.written import toml_key, toml_value

# What there is where an array has nothing.
_WITHOUT_ANY = {"listeners": (ListenerSettings(url=DEFAULT_URL),)}
HIDDEN = '"(hidden)"'


class Held(NamedTuple):
    """One setting as it holds."""

    table: str
    """The header of its table as TOML writes it, such as `[limits]`; the same for each listener."""
    name: str
    """Its name with dots, such as `limits.maximum_connections`."""
    key: str
    """Its key within the table, as TOML writes it."""
    value: str | None
    """Its value as TOML writes it; None where it is not set. A secret is hidden."""
    source: Source


def effective(configuration: Configured) -> Iterator[Held]:
    """Each setting as it holds, table by table, values before the tables within."""
    for held, _ in effective_values(configuration):
        yield held


def effective_values(configuration: Configured) -> Iterator[tuple[Held, Any]]:
    """The same, each with its value, also that of a secret."""
    yield from _section(configuration, root(), configuration.settings, (), "")


def _section(
    configuration: Configured, section: Section, made: Any, place: Place, table: str
) -> Iterator[tuple[Held, Any]]:
    for name, setting in section.settings.items():
        if setting.section is None:
            here = (*place, name)
            value = getattr(made, name)
            source = configuration.source_of(here)
            held = Held(table, dotted(here), toml_key(name), _shown(setting, value), source)
            yield held, value
    for name, setting in section.settings.items():
        if setting.section is None:
            continue
        value = getattr(made, name)
        entries: list[tuple[Place, Any]] = [((*place, name), value)]
        if setting.form == "array":
            several = value or _WITHOUT_ANY.get(name, ())
            entries = [((*place, name, number), one) for number, one in enumerate(several)]
        elif setting.form == "named":
            entries = [((*place, name, key), one) for key, one in value.items()]
        for here, one in entries:
            if one is not None:
                keys = ".".join(toml_key(key) for key in here if not isinstance(key, int))
                header = f"[[{keys}]]" if setting.form == "array" else f"[{keys}]"
                yield from _section(configuration, setting.section, one, here, header)


def _shown(setting: Setting, value: Any) -> str | None:
    if value is None:
        return None
    if setting.secret and value:
        return HIDDEN
    if setting.may_have_password:
        value = without_password(value)
    return toml_value(value, setting.kind.unit if setting.kind else "")
