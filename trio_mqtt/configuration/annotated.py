"""An example of the file, with all that there is to set and what it means."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from trio_mqtt.configuration.description import Section, Setting, root
from trio_mqtt.configuration.places import Place, dotted
from trio_mqtt.configuration.written import toml_key, toml_value

_WIDTH = 98
_HEAD = """\
# The configuration of a broker, for `tmqtt broker --config FILE`; `tmqtt config check FILE` says
# what is wrong with one. All that follows is commented out and shows the default, or an example of
# what has none: take the # away from what you change, and from the [section] that it stands in.
# Durations are seconds or texts such as "30s", "5m", "1h" and "2d", sizes are bytes or "64 KiB",
# "16 MiB" and "1 GiB". Paths are relative to the folder of this file. Each setting is a variable
# too, and goes over this file then: TMQTT_LIMITS__MAXIMUM_CONNECTIONS=100; with _FILE at its end
# it names a file with the value.
"""
# What would be told by "..." only.
EXAMPLES = {
    "listeners.0.url": '"mqtts://0.0.0.0:8883"',
    "listeners.0.tls.certificate": '"chain.pem"',
    "listeners.0.tls.key": '"key.pem"',
    "listeners.0.tls.ca": '"clients.pem"',
    "listeners.0.origins": '["https://example.org"]',
    "listeners.0.hosts": '["broker.example.org"]',
    "listeners.0.mode": "0o660",
    "listeners.0.group": '"mqtt"',
    "listeners.0.access.passwords": '"users"',
    "listeners.0.access.rules": '"access.toml"',
    "listeners.0.access.tokens.keys": '"issuer.pem"',
    "listeners.0.access.scram.users": '{ alice = "her password" }',
    "access.passwords": '"users"',
    "access.rules": '"access.toml"',
    "access.dynamic": '"dynamic-security.json"',
    "access.tokens.keys": '"issuer.pem"',
    "access.scram.users": '{ alice = "her password" }',
    "storage.path": '"data"',
    "cluster.url": '"redis://127.0.0.1:6379"',
    "cluster.node": '"floor-2"',
    "cluster.server_reference": '"floor-2.example.org:1883"',
    "cluster.username": '"tmqtt"',
    "cluster.password_file": '"engine.password"',
    "history.filters": '["sensors/#"]',
    "history.ages": '{ "sensors/+/battery" = "365d" }',
    "history.path": '"history.sqlite3"',
    "metrics.listen": '"127.0.0.1:9883"',
    "web.listen": '"127.0.0.1:8080"',
    "web.roles": '{ alice = "administrate" }',
    "web.tokens.NAME.token": '"what openssl rand -hex 32 says"',
    "web.certificate": '"server.pem"',
    "web.key": '"server.key"',
    "web.trusted_proxies": '["127.0.0.1"]',
    "options.response_topic_prefix": '"responses/"',
    "options.server_reference": '"other.example.org:1883"',
    "plugins.folder": '"."',
    "plugins.hooks.factory": '"house.access:Hooks"',
    "plugins.passwords.factory": '"house.access:Passwords"',
    "plugins.rules.factory": '"house.access:Rules"',
    "plugins.authenticators.NAME.factory": '"house.access:Exchanges"',
    "plugins.storage.factory": '"house.storage:Storage"',
}


def example() -> str:
    """The example: read as it is, it says nothing but defaults."""
    return f"{_HEAD}\n{''.join(_section(root(), (), is_there=True))}"


def _section(section: Section, place: Place, *, is_there: bool) -> Iterator[str]:
    """The lines of a table's settings, then those of the tables within it."""
    for name, setting in section.settings.items():
        if setting.section is None:
            yield from _value(setting, (*place, name))
    for name, setting in section.settings.items():
        if setting.section is not None:
            yield from _table(setting, setting.section, (*place, name), is_there=is_there)


def _value(setting: Setting, place: Place) -> Iterator[str]:
    yield from _comment(setting.doc)
    yield f"#{toml_key(setting.name)} = {example_value(setting, place)}\n\n"


def example_value(setting: Setting, place: Place) -> str:
    """The default as TOML writes it; where there is none, an example."""
    kind = setting.kind
    default = setting.usual if setting.default is None else setting.default
    if not setting.required and default is not None and dotted(place) not in EXAMPLES:
        return toml_value(default, kind.unit if kind else "")
    return EXAMPLES.get(dotted(place)) or (kind.example if kind else "{}")


def _table(setting: Setting, section: Section, place: Place, *, is_there: bool) -> Iterator[str]:
    # What may be left out as a whole, and has no values then, must not be there.
    is_there = is_there and setting.form == "table" and setting.default is not None
    if setting.form == "named":
        place = (*place, "NAME")
    keys = ".".join(toml_key(key) for key in place if not isinstance(key, int))
    header = f"[[{keys}]]" if setting.form == "array" else f"[{keys}]"
    yield from _comment(setting.doc)
    yield f"{'' if is_there else '#'}{header}\n\n"
    within = (*place, 0) if setting.form == "array" else place
    yield from _section(section, within, is_there=is_there)


def _comment(doc: str) -> Iterator[str]:
    for line in textwrap.wrap(doc, width=_WIDTH):
        yield f"# {line}\n"
