"""What is made of the settings: the schema, the example, and the tables of the documentation."""

from __future__ import annotations

import re
import tomllib
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from trio_mqtt.configuration import Settings, example, load, reference, schema
from trio_mqtt.configuration.annotated import EXAMPLES
from trio_mqtt.configuration.description import all_settings, find, root
from trio_mqtt.configuration.places import dotted

NAMES = {dotted(place): setting for place, setting in all_settings(root())}


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(schema())
    return Draft202012Validator(schema())


@pytest.mark.parametrize("name", NAMES)
def test_each_setting_says_what_it_is_for(name: str) -> None:
    setting = NAMES[name]
    assert setting.doc
    if setting.kind is None or isinstance(setting.default, bool):
        return
    # By its first word it is known what a number counts.
    is_time = name.endswith(("timeout", "expiry", "keep_alive", "leeway", "interval"))
    is_size = name.endswith(("_bytes", "_size", "_buffer", "bytes_in_all"))
    if is_time or is_size:
        assert setting.kind.unit == ("seconds" if is_time else "bytes")


def test_the_example_as_it_is_says_nothing_but_defaults(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(example(), encoding="utf-8")
    assert load(file, environment={}).settings == Settings()


def uncommented(text: str) -> str:
    return re.sub(r"^#(?=[\w\"\[])", "", text, flags=re.MULTILINE)


def test_the_example_has_each_setting_once_and_its_defaults_are_true() -> None:
    tree = tomllib.loads(uncommented(example()))
    for name, setting in NAMES.items():
        found: Any = tree
        for key in find(name.split("."))[1]:
            found = found[key]
        if setting.kind is None or name in EXAMPLES:
            continue
        value = setting.kind.read(found)
        if setting.default not in (MISSING, None):
            assert setting.kind.read(value) == value
            default = setting.default
            assert value == (list(default) if isinstance(default, tuple) else default)


def test_the_examples_own_values_are_those_of_settings() -> None:
    assert not [name for name in EXAMPLES if name not in NAMES]


def test_the_schema_takes_the_example_with_all_settings(validator: Draft202012Validator) -> None:
    validator.validate(tomllib.loads(uncommented(example())))


@pytest.mark.parametrize(
    "text",
    [
        "colour = 1",
        "limits.connect_timeout = 'soon'",
        "limits.receive_maximum = 1.5",
        "options.shared_strategy = 'none'",
        "listeners = [{}]",
        "plugins.hooks = 3",
        "limits.receive_maximum = 65_536",
        "limits.connect_timeout = -1",
        "listeners = [{ url = 'mqtt://localhost', limits.maximum_packet_size = 1 }]",
        "access.tokens.audience = 'a'",
    ],
)
def test_the_schema_refuses_what_the_command_refuses(
    text: str, validator: Draft202012Validator
) -> None:
    assert not validator.is_valid(tomllib.loads(text))


def test_the_tables_have_each_setting() -> None:
    text = reference()
    for name, setting in NAMES.items():
        if setting.kind is not None:
            assert f"| `{name.rpartition('.')[2]}` | {setting.kind.expected}" in text
