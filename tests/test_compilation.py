"""The same sources, compiled or not: all that is to be compiled is, or nothing, and it is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import trio_mqtt
from tests.compilation import PROJECT, is_extension, modules_to_compile


def test_what_is_listed_is_there() -> None:
    listed = modules_to_compile()
    assert len(listed) == len({*listed}) > 0
    for name in listed:
        assert (PROJECT.parent / f"{name.replace('.', '/')}.py").is_file()


def test_all_of_it_is_compiled_or_nothing() -> None:
    compiled = {name: is_extension(name) for name in modules_to_compile()}
    assert {*compiled.values()} == {trio_mqtt.is_compiled}


def test_what_runs_is_what_was_asked_for(request: pytest.FixtureRequest) -> None:
    assert trio_mqtt.is_compiled is request.config.getoption("--compiled")
    is_of_the_clone = Path(str(trio_mqtt.__file__)).is_relative_to(PROJECT.parent / "trio_mqtt")
    assert is_of_the_clone is not trio_mqtt.is_compiled


def test_the_processes_that_tests_start_run_the_same() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tmqtt", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    kind = "compiled" if trio_mqtt.is_compiled else "pure Python"
    assert ran.stdout == f"tmqtt {trio_mqtt.__version__} ({kind})\n"
