"""Configurations that nobody thought of: right ones start, wrong ones are told in sentences."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import trio_mqtt
from trio_mqtt.configuration import InvalidConfiguration, differences, load
from trio_mqtt.configuration.description import Setting, all_settings, root, section_of
from trio_mqtt.configuration.places import Place, dotted
from trio_mqtt.configuration.written import toml_key, toml_value

MANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

LEAVES = [(place, setting) for place, setting in all_settings(root()) if setting.kind is not None]
SECTIONS = {"limits": trio_mqtt.Limits, "options": trio_mqtt.BrokerOptions}
# What only some values of another setting allow.
TOGETHER = {"server_moved": {"server_reference": "elsewhere"}}

scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=20),
    st.dates(),
)
junk = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)


def right_values(setting: Setting) -> st.SearchStrategy[Any]:
    """Values, as a file may have them, that the broker takes whatever else there is."""
    default = setting.default
    if isinstance(default, bool):
        return st.booleans()
    if isinstance(default, Enum):
        return st.sampled_from([member.value for member in type(default)])
    if isinstance(default, int | float) and setting.kind is not None:
        values = [default] if default in (0, math.inf) else [default, default * 3 // 4 or 1]
        texts = [toml_value(value, setting.kind.unit).strip('"') for value in values]
        both = [*values, *(text for text in texts if setting.kind.unit and text[-1].isalpha())]
        return st.sampled_from([one for one in both if one != "inf"])
    return st.just("some text")


@st.composite
def right_tables(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = {}
    for name, cls in SECTIONS.items():
        section = section_of(cls)
        chosen = draw(st.lists(st.sampled_from(sorted(section.settings)), unique=True, max_size=8))
        table = tables[name] = {one: draw(right_values(section.settings[one])) for one in chosen}
        for one in chosen:
            table.update(TOGETHER.get(one, {}))
    return tables


def written(tables: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, table in tables.items():
        yield f"[{name}]\n"
        for key, value in table.items():
            yield f"{toml_key(key)} = {toml_value(value)}\n"


@MANY
@given(tables=right_tables())
def test_right_ones_start_with_what_they_say(
    tables: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(
        'listeners = [{ url = "mqtt://127.0.0.1:0" }]\n' + "".join(written(tables)),
        encoding="utf-8",
    )
    configuration = load(file, environment={})

    async def open_and_look() -> None:
        async with configuration.open() as broker:
            assert broker.limits == configuration.settings.limits
            assert broker.options == configuration.settings.options

    trio.run(open_and_look)
    for name, table in tables.items():
        section = section_of(SECTIONS[name])
        for key, value in table.items():
            kind = section.settings[key].kind
            assert kind is not None
            assert getattr(getattr(configuration.settings, name), key) == kind.read(value)


@settings(MANY, max_examples=30)
@given(first=right_tables(), second=right_tables(), wrong=st.booleans())
def test_what_is_read_again_holds_as_a_whole_or_not_at_all(
    first: dict[str, dict[str, Any]],
    second: dict[str, dict[str, Any]],
    wrong: bool,
    tmp_path: Path,
) -> None:
    file = tmp_path / "broker.toml"
    listeners = 'listeners = [{ url = "mqtt://127.0.0.1:0" }]\n'
    file.write_text(listeners + "".join(written(first)), encoding="utf-8")
    configuration = load(file, environment={})

    async def open_and_reload() -> None:
        async with configuration.run() as running:
            urls = running.broker.urls
            mistake = "[storage]\ncolour = 'red'\n" if wrong else ""
            file.write_text(listeners + "".join(written(second)) + mistake, encoding="utf-8")
            assert await running.try_reload() is not wrong
            meant = configuration if wrong else load(file, environment={})
            assert running.configuration.settings == meant.settings
            assert running.broker.limits == meant.settings.limits
            assert running.broker.options == meant.settings.options
            assert running.broker.urls == urls
            changes = differences(configuration, running.configuration)
            assert running.changes == changes
            assert bool(changes) == (configuration.settings != meant.settings)

    trio.run(open_and_reload)


def check_sentences(problems: tuple[trio_mqtt.configuration.Problem, ...], file: Path) -> None:
    lines = file.read_text(encoding="utf-8").count("\n") + 1
    assert problems
    for problem in problems:
        assert problem.sentence.endswith((".", "?")), problem.sentence
        assert not problem.sentence.startswith(("Traceback", "None"))
        if problem.source is not None:
            assert problem.source.name == str(file)
            assert problem.source.line is None or 1 <= problem.source.line <= lines


@MANY
@given(
    values=st.lists(st.tuples(st.sampled_from(LEAVES), junk), min_size=1, max_size=6),
    unknown=st.dictionaries(st.text(min_size=1, max_size=12), scalars, max_size=2),
)
def test_whatever_stands_there_is_taken_or_told_in_sentences(
    values: list[tuple[tuple[Place, Setting], Any]], unknown: dict[str, Any], tmp_path: Path
) -> None:
    tree: dict[str, Any] = dict(unknown)
    for (place, _), value in values:
        node = tree
        for key in place[:-1]:
            if isinstance(key, int):
                continue  # of the only listener, which is put into an array at the end
            if not isinstance(node.get(key), dict):
                node[key] = {}
            node = node[key]
        node[str(place[-1])] = value
    if isinstance(tree.get("listeners"), dict):
        tree["listeners"] = [tree["listeners"]]
    file = tmp_path / "broker.toml"
    text = "".join(f"{toml_key(key)} = {toml_value(value)}\n" for key, value in tree.items())
    file.write_text(text, encoding="utf-8", newline="")
    try:
        load(file, environment={})
    except InvalidConfiguration as error:
        check_sentences(error.problems, file)


@MANY
@given(text=st.text(max_size=80) | st.text(alphabet="[]{}=\"'#.\n\\a1_-", max_size=40))
def test_whatever_text_is_in_the_file_is_taken_or_told_in_sentences(
    text: str, tmp_path: Path
) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(text, encoding="utf-8", newline="")
    try:
        load(file, environment={})
    except InvalidConfiguration as error:
        check_sentences(error.problems, file)


@MANY
@given(text=st.text(max_size=30), data=st.data())
def test_whatever_a_variable_says_is_taken_or_told_in_sentences(
    text: str, data: st.DataObject
) -> None:
    place, _ = data.draw(st.sampled_from(LEAVES))
    variable = f"TMQTT_{'__'.join(map(str, place)).upper()}"
    try:
        load(environment={variable: text})
    except InvalidConfiguration as error:
        for problem in error.problems:
            assert problem.sentence.endswith((".", "?")), problem.sentence


@MANY
@given(value=junk)
def test_values_are_written_as_toml_reads_them(value: object) -> None:
    read = tomllib.loads(f"value = {toml_value(value)}")["value"]
    assert read == value or repr(read) == repr(value)  # nan is not equal to itself


@pytest.mark.parametrize(("place", "setting"), LEAVES, ids=[dotted(place) for place, _ in LEAVES])
def test_the_example_of_each_kind_is_right(place: Place, setting: Setting) -> None:
    assert setting.kind is not None
    setting.kind.read(tomllib.loads(f"value = {setting.kind.example}")["value"])
    if setting.default not in (MISSING, None):
        written_default = toml_value(setting.default, setting.kind.unit)
        read = setting.kind.read(tomllib.loads(f"value = {written_default}")["value"])
        assert read == setting.default or tuple(read) == setting.default
