"""Each setting works through the command: in a file, as a variable, and by `--set`."""

from __future__ import annotations

import math
import os
import tomllib
from enum import Enum
from pathlib import Path

import pytest
from tmqtt.app import app
from typer.testing import CliRunner

from trio_mqtt.configuration.annotated import EXAMPLES
from trio_mqtt.configuration.description import Setting, all_settings, find, root
from trio_mqtt.configuration.places import Place, dotted
from trio_mqtt.configuration.written import toml_value

VALUES = [(place, setting) for place, setting in all_settings(root()) if setting.kind is not None]
# What a setting needs beside it, and what is required in its table.
BESIDE = {
    "listeners.0": {"url": '"mqtt://127.0.0.1:0"'},
    "listeners.0.tls": {"certificate": '"chain.pem"'},
    "listeners.0.access.tokens": {"keys": '"keys.pem"'},
    "listeners.0.access.scram": {"users": '{ alice = "hers" }'},
    "access.tokens": {"keys": '"keys.pem"'},
    "access.scram": {"users": '{ alice = "hers" }'},
    "storage.durability": {"path": '"data"'},
    "cluster": {"url": '"redis://127.0.0.1"'},
    "history": {"path": '"history.sqlite3"'},
    "options.server_moved": {"server_reference": '"elsewhere"'},
    "listeners.0.options.server_moved": {"server_reference": '"elsewhere"'},
    "logging.rotate_bytes": {"file": '"broker.log"'},
    "logging.rotate_every": {"file": '"broker.log"'},
    "logging.rotated_kept": {"file": '"broker.log"'},
    "plugins.hooks": {"factory": '"house:Part"'},
    "plugins.passwords": {"factory": '"house:Part"'},
    "plugins.rules": {"factory": '"house:Part"'},
    "plugins.storage": {"factory": '"house:Part"'},
    "web.key": {"certificate": '"server.pem"'},
    "web.tokens.NAME": {"token": '"what nobody guesses, so long"'},
    "plugins.authenticators.NAME": {"factory": '"house:Part"'},
}
# Where not any value of its kind will do, and none of the annotated example.
OTHERS = {
    "listeners.0.url": '"mqtt://127.0.0.1:1"',
    "listeners.0.origins": '["https://example.org"]',
    "listeners.0.mount_point": '"house/"',
    "cluster.name": '"house"',
    "cluster.lease": '"12s"',  # its timeout is half of it at most
    "logging.destination": '"syslog"',
    "logging.levels": '{ access = "error" }',
}


def other_value(name: str, setting: Setting) -> str:
    """A value that is not the default, as TOML writes it."""
    default, kind = setting.default, setting.kind
    default = setting.usual if default is None else default
    assert kind is not None
    if name in OTHERS or name in EXAMPLES:
        return OTHERS.get(name) or EXAMPLES[name]
    if isinstance(default, bool):
        return toml_value(not default)
    if isinstance(default, Enum):
        return toml_value(next(one for one in type(default) if one is not default))
    if isinstance(default, int | float):
        if default in (0, math.inf):
            return toml_value(type(default)(1) if default == 0 else 5.0, kind.unit)
        return toml_value(default * 3 // 4 or 2, kind.unit)
    if isinstance(default, str) and kind.example != '"..."':  # one of several
        return toml_value(next(one for one in kind.expected.split('"')[1::2] if one != default))
    return kind.example


def table_with(name: str, value: str) -> str:
    """The lines of a file that give a setting a value, and all that this needs."""
    tables: dict[str, dict[str, str]] = {}
    for at, beside in BESIDE.items():
        if name == at or name.startswith(f"{at}."):
            table = at if at not in dict(map(_named, VALUES)) else at.rpartition(".")[0]
            tables.setdefault(table, {}).update(beside)
    table, _, key = name.rpartition(".")
    tables.setdefault(table, {})[key] = value
    lines = []
    for header, values in sorted(tables.items()):
        keys = header.replace(".0", "")
        lines += [f"[[{keys}]]" if header == "listeners.0" else f"[{keys}]"]
        lines += [f"{one} = {written}" for one, written in values.items()]
    return "\n".join(lines)


def _named(entry: tuple[Place, Setting]) -> tuple[str, Setting]:
    return dotted(entry[0]), entry[1]


def given(file: Path, *arguments: str, **variables: str) -> tuple[dict[str, object], str]:
    """What `config show` tells of a configuration: its values, and all of its text."""
    shown = CliRunner(env=variables).invoke(
        app, ["config", "show", str(file), "--given", *arguments], prog_name="tmqtt"
    )
    assert (shown.exit_code, shown.stderr) == (0, "")
    return tomllib.loads(shown.stdout), shown.stdout


def value_at(tree: object, place: Place) -> object:
    for key in place:
        assert isinstance(tree, dict | list)
        tree = tree[key]  # type: ignore[index, call-overload, unused-ignore] # by its keys
    return tree


@pytest.mark.parametrize(("place", "setting"), VALUES, ids=[dotted(place) for place, _ in VALUES])
def test_each_setting_comes_from_a_file_a_variable_and_an_option(
    place: Place, setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, kind = dotted(place), setting.kind
    assert kind is not None
    value = other_value(name, setting)
    meant = kind.read(tomllib.loads(f"value = {value}")["value"])
    file = tmp_path / "broker.toml"
    file.write_text(table_with(name, value), encoding="utf-8")
    tree, text = given(file)
    by_file = value_at(tree, place)
    assert f"  # {file}, line " in text
    if setting.secret:
        assert by_file == "(hidden)"
    elif kind.is_path:
        assert by_file == os.path.join(tmp_path, meant)
    else:
        assert kind.read(by_file) == meant

    # The same in the place of another value, of the file or the default.
    if setting.required:
        file.write_text(table_with(name, kind.example), encoding="utf-8")
    else:
        lines = table_with(name, value).splitlines()
        kept = [line for line in lines if not line.startswith(f"{place[-1]} = ")]
        file.write_text("\n".join(kept), encoding="utf-8")
    bare = value.strip('"') if kind.takes_text else value
    variable = f"TMQTT_{name.replace('.', '__').upper()}"
    for source, arguments, variables in (
        (f"--set {name}", ("--set", f"{name}={bare}"), {}),
        (variable, (), {variable: bare}),
    ):
        if "NAME" in name and variables:
            continue  # variables have no small letters for a name
        tree, text = given(file, *arguments, **variables)
        found = value_at(tree, place)
        assert f"  # {source}\n" in text
        assert found == "(hidden)" if setting.secret else kind.read(found) == meant


def test_names_are_found_as_they_are_listed() -> None:
    for place, setting in VALUES:
        found, where = find(dotted(place).split("."))
        assert found is not None
        assert (found.name, found.doc, where) == (setting.name, setting.doc, place)
