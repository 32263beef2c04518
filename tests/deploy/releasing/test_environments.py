"""What is tried of each release is all that there is of it."""

from __future__ import annotations

import importlib
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from releasing import environments, materials
from releasing.running import ReleaseError, run

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Those for who works on it.
OTHERS = {"bench", "dev", "docs", "interop", "lint", "release", "test"}


def test_each_extra_is_tried() -> None:
    assert {*PROJECT["optional-dependencies"]} - OTHERS == {*environments.EXTRAS}


@pytest.mark.parametrize("modules", environments.EXTRAS.values(), ids=environments.EXTRAS)
def test_what_is_tried_of_an_extra_is_there(modules: tuple[str, ...]) -> None:
    for name in modules:
        importlib.import_module(name)


def test_each_python_is_tried_that_the_metadata_name() -> None:
    least = PROJECT["requires-python"]
    assert least == f">={environments.PYTHONS[0]}"
    prefix = "Programming Language :: Python :: 3."
    told = {name.removeprefix(prefix[:-2]) for name in PROJECT["classifiers"] if prefix in name}
    assert told <= {*environments.PYTHONS}


def test_a_program_that_fails_is_told_with_what_it_said() -> None:
    script = "import sys; print('so far'); sys.exit('and no further')"
    with pytest.raises(ReleaseError, match=r"status 1.*\nso far\nand no further"):
        run(sys.executable, "-c", script)
    with pytest.raises(ReleaseError, match=r"no-such-program cannot be run"):
        run("no-such-program")


def bill(folder: Path, **changes: Any) -> Path:
    component = {"name": "trio-mqtt", "version": "1.2.0"}
    whole = {
        "metadata": {"component": component},
        "components": [{"name": "trio", "version": "0.31"}, {"name": "h11", "version": "0.14"}],
    }
    path = folder / "it.cdx.json"
    path.write_text(json.dumps({**whole, **changes}), encoding="utf-8")
    return path


def test_a_bill_names_all_that_is_needed(tmp_path: Path) -> None:
    assert list(materials.bill_problems(bill(tmp_path), "1.2.0", {"trio", "h11"})) == []
    (lacks,) = materials.bill_problems(bill(tmp_path), "1.2.0", {"trio", "rich"})
    assert lacks == "it.cdx.json does not name rich."
    (other,) = materials.bill_problems(bill(tmp_path), "1.3.0", set())
    assert other == "it.cdx.json is about trio-mqtt 1.2.0."


def test_a_bill_says_versions_and_nothing_of_the_machine(tmp_path: Path) -> None:
    parts = [{"name": "trio", "purl": "file:///home/ann/trio.whl"}]
    sentences = list(materials.bill_problems(bill(tmp_path, components=parts), "1.2.0", set()))
    assert [re.sub(r"^it\.cdx\.json ", "", sentence) for sentence in sentences] == [
        "does not say which version of trio it is.",
        "names a file of this machine.",
    ]
