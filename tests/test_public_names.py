"""The public faces have exactly what is meant to be public, and all of it says what it is for."""

from __future__ import annotations

import ast
import dataclasses
import importlib.metadata
import inspect
import pickle
import re
import subprocess
import sys
import types
from difflib import unified_diff
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ForwardRef, get_origin, get_type_hints

import pytest

import trio_mqtt
from tests.public_api import FACES, HOW_TO_WRITE, WRITTEN, api, names

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# What each face has. The client without async has names of its own that are those of the other.
PUBLIC = {face: names(face) for face in FACES if face != "trio_mqtt.sync"}
# What they have beside these: the version, and each other.
BESIDE = {
    "trio_mqtt": {
        *(
            "__version__",
            "access",
            "administration",
            "configuration",
            "durability",
            "events",
            "history",
        ),
        "monitoring",
        "web",
    }
}
NAMES = [(face, name) for face, listed in PUBLIC.items() for name in listed]
# Classes and functions, but no names for types such as a Literal.
THINGS = [
    pytest.param(face, thing, id=f"{face}.{name}")
    for face, name in NAMES
    if hasattr(thing := getattr(import_module(face), name), "__qualname__")
    and get_origin(thing) is None
]


def test_the_public_api_is_as_it_is_written() -> None:
    written, found = WRITTEN.read_text(encoding="utf-8"), api()
    changes = unified_diff(written.splitlines(), found.splitlines(), WRITTEN.name, "the code", n=3)
    told = "\n".join(changes)
    assert written == found, f"If this change is meant, run `{HOW_TO_WRITE}`:\n{told}"


def test_type_checkers_know_the_type_of_each_public_attribute() -> None:
    assert [line for line in api().splitlines() if re.fullmatch(r" +\w+", line)] == []


@pytest.mark.parametrize("face", PUBLIC)
def test_the_public_names_are_these(face: str) -> None:
    module = import_module(face)
    listed = PUBLIC[face]
    assert dir(module) == sorted({*listed, *BESIDE.get(face, set())})
    brought: dict[str, object] = {}
    exec(f"from {face} import *", brought)  # noqa: S102 # what a program would write
    brought.pop("__builtins__")
    assert {*brought} == {*listed, *BESIDE.get(face, set())} - {"__version__"}
    assert all(brought[name] is getattr(module, name) for name in listed)
    assert not hasattr(module, "no_such_name")


def test_each_public_name_is_in_one_face() -> None:
    listed = [name for _, name in NAMES]
    assert sorted(listed) == sorted({*listed})


@pytest.mark.parametrize("face", PUBLIC)
def test_type_checkers_see_the_same_names_as_the_interpreter(face: str) -> None:
    tree = ast.parse(Path(str(import_module(face).__file__)).read_text(encoding="utf-8"))
    block = tree.body[-1]
    assert isinstance(block, ast.If)
    seen = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert len(seen) == len(block.body)
    assert all(alias.name == alias.asname for node in seen for alias in node.names)
    assert sorted(alias.name for node in seen for alias in node.names) == dir(import_module(face))
    for node in seen:
        for alias in node.names:
            thing = getattr(import_module(face), alias.name)
            if thing not in sys.modules.values():
                assert thing is getattr(import_module(str(node.module)), alias.name)


@pytest.mark.parametrize(("face", "thing"), THINGS)
def test_public_things_say_where_they_are_public(face: str, thing: type) -> None:
    assert thing.__module__ == face
    assert pickle.loads(pickle.dumps(thing)) is thing  # noqa: S301 # our own


def test_programs_may_derive_from_public_classes() -> None:
    classes = [
        value
        for face, name in NAMES
        if isinstance(value := getattr(import_module(face), name), type)
    ]
    derived = [types.new_class("Derived", (one,)) for one in classes if not issubclass(one, Enum)]
    assert len(derived) > 100


@pytest.mark.parametrize(
    "annotated",
    [
        trio_mqtt.Limits,
        trio_mqtt.BrokerOptions,
        trio_mqtt.Listen,
        trio_mqtt.ListenerLimits,
        trio_mqtt.ListenerOptions,
        trio_mqtt.ServerTls,
        trio_mqtt.TlsOptions,
        trio_mqtt.Will,
        trio_mqtt.ClientStatus,
        trio_mqtt.Cluster,
        trio_mqtt.Message,
        trio_mqtt.access.ClientInfo,
        trio_mqtt.access.Publication,
        trio_mqtt.access.AccessRefused,
        trio_mqtt.events.MessagePublished,
        trio_mqtt.events.Connected,
        trio_mqtt.events.ConnectionLost,
    ],
)
def test_annotations_of_public_classes_can_be_resolved(annotated: type) -> None:
    hints = get_type_hints(annotated)
    assert hints
    assert not any(isinstance(hint, (str, ForwardRef)) for hint in hints.values())


def test_what_the_library_raises_shows_its_public_name() -> None:
    program = "import trio_mqtt; trio_mqtt.parse_listen('gopher://here')"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.stderr.splitlines()[-1].startswith("trio_mqtt.InvalidUrlError: ")


@pytest.mark.parametrize(
    "error",
    ["FileNotFoundError", "UnicodeDecodeError('utf-8', b'', 0, 0, 'compiled')"],
    ids=["no file", "a compiled file"],
)
def test_without_their_source_the_faces_have_the_same_names(error: str) -> None:
    program = (
        "import builtins, sys\n"
        "from importlib.machinery import SourceFileLoader\n"
        f"def absent(*_, **__): raise {error}\n"
        "builtins.open, SourceFileLoader.get_source = absent, lambda *_: None\n"
        "import trio_mqtt.events\n"
        "assert 'trio_mqtt.broker.broker' in sys.modules\n"
        "print(trio_mqtt.Broker.__name__, trio_mqtt.events.Connected.__name__)"
    )
    shown = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert shown == "Broker Connected\n"


def test_the_version_is_that_of_the_package() -> None:
    assert trio_mqtt.__version__ == importlib.metadata.version("trio-mqtt")
    assert "__version__" in dir(trio_mqtt)


def test_importing_the_package_loads_nothing_yet() -> None:
    program = (
        "import sys; before = {*sys.modules}; import trio_mqtt; print(*{*sys.modules} - before)"
    )
    loaded = subprocess.check_output([sys.executable, "-I", "-c", program], text=True).split()
    ours = [name for name in loaded if name.startswith("trio_mqtt.")]
    assert ours == ["trio_mqtt.lazy_names"]
    assert not {"importlib.metadata", "anyio", "trio", "ssl"} & {*loaded}


def test_a_client_does_not_load_the_broker() -> None:
    program = "import sys, trio_mqtt; trio_mqtt.open_client; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert "trio_mqtt.client.client" in loaded
    assert [name for name in loaded if name.startswith(("trio_mqtt.broker", "trio."))] == []


def test_all_that_a_broker_shows_says_what_it_is_for() -> None:
    shown = [name for name in dir(trio_mqtt.Broker) if not name.startswith("_")]
    assert all(inspect.getdoc(getattr(trio_mqtt.Broker, name)) for name in shown)


def test_every_public_name_says_what_it_is_for() -> None:
    silent = [
        name
        for face, name in NAMES
        if callable(value := getattr(import_module(face), name))
        and get_origin(value) is None
        and not inspect.getdoc(value)
    ]
    assert silent == []


@pytest.mark.parametrize(
    "documented",
    [
        trio_mqtt.Limits,
        trio_mqtt.BrokerOptions,
        trio_mqtt.Cluster,
        trio_mqtt.Statistics,
        trio_mqtt.Listen,
        trio_mqtt.ListenerLimits,
        trio_mqtt.ListenerOptions,
        trio_mqtt.ServerTls,
        trio_mqtt.TlsOptions,
        trio_mqtt.Origin,
        trio_mqtt.ClientCertificate,
        trio_mqtt.Security,
        trio_mqtt.access.ClientInfo,
        trio_mqtt.access.WaysIn,
        trio_mqtt.monitoring.LogOptions,
        trio_mqtt.monitoring.MetricsOptions,
    ],
)
def test_help_tells_of_every_attribute(documented: type[DataclassInstance]) -> None:
    shown = str(inspect.getdoc(documented))
    names = [field.name for field in dataclasses.fields(documented)]
    assert [name for name in names if f"\n    {name}: " not in shown] == []


def test_every_error_is_an_mqtt_error() -> None:
    errors = [getattr(trio_mqtt, name) for _, name in NAMES if name.endswith("Error")]
    assert len(errors) > 5
    assert all(issubclass(error, trio_mqtt.MqttError) for error in errors)
