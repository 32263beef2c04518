"""What a wheel and an sdist have: the files of the commit that belong there, and no other."""

from __future__ import annotations

import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

# What the build itself adds.
_OF_WHEEL = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
_OF_SDIST = {"PKG-INFO"}


def wheel_problems(wheel: Path, files: set[str]) -> Iterator[str]:
    """What is wrong with the files of a pure wheel; `files` are those of the commit."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    info = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    wanted = {f"{info}/{name}" for name in _OF_WHEEL}
    wanted |= {name for name in files if name.startswith("trio_mqtt/")}
    wanted |= {name.removeprefix("cli/") for name in files if name.startswith("cli/tmqtt/")}
    yield from _differences(wheel, names, wanted)


def sdist_problems(sdist: Path, files: set[str], roots: set[str]) -> Iterator[str]:
    """The same of an sdist, which has the files of the commit below the `roots`."""
    top = sdist.name.removesuffix(".tar.gz")
    with tarfile.open(sdist) as archive:
        members = [member for member in archive if not member.isdir()]
    for member in members:
        if not member.isfile():
            yield f"{sdist.name} has {member.name}, which is no plain file."
    names = {member.name.removeprefix(f"{top}/") for member in members}
    wanted = {name for name in files if name.partition("/")[0] in roots}
    yield from _differences(sdist, names, wanted | _OF_SDIST)


def roots_of_sdist(project: Path) -> set[str]:
    """What `pyproject.toml` wants in an sdist, and what the build puts into each."""
    settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    listed = settings["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
    return {*listed, "pyproject.toml", "README.md", "LICENSE", ".gitignore", "hatch_build.py"}


def _differences(path: Path, names: set[str], wanted: set[str]) -> Iterator[str]:
    for name in sorted(wanted - names):
        yield f"{path.name} lacks {name}."
    for name in sorted(names - wanted):
        yield f"{path.name} has {name}, which does not belong there."
