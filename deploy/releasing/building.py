"""Building sdist and wheel of a commit, and proving that whoever builds it again gets the same."""

from __future__ import annotations

import filecmp
import os
import shutil
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from releasing.running import ReleaseError, run

# What may differ from one machine to another, and must not be in what is built.
_ELSEWHERE = {"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "7", "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of the repository at `root`, whatever is checked out there meanwhile."""

    root: Path
    name: str

    @classmethod
    def checked_out(cls, root: Path) -> Commit:
        """The one that is there now."""
        return cls(root, run("git", "rev-parse", "HEAD", folder=root).strip())

    @property
    def seconds(self) -> str:
        """When it was made, since 1970."""
        return run("git", "log", "-1", "--format=%ct", self.name, folder=self.root).strip()

    @property
    def files(self) -> set[str]:
        """Its files, from the root."""
        words = ("git", "ls-tree", "-r", "-z", "--name-only", self.name)
        return {name for name in run(*words, folder=self.root).split("\0") if name}

    def unpack(self, folder: Path) -> None:
        """Put its files into a folder, and nothing that lies beside them."""
        archive = folder.with_suffix(".tar")
        words = ("git", "archive", "--format=tar", f"--output={archive}", self.name)
        run(*words, folder=self.root)
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")


def build(commit: Commit, scratch: Path) -> list[Path]:
    """Build a commit twice; return the sdist and the wheel of the first time.

    The wheel is made from the sdist, which has to have all that it takes. Raises ReleaseError
    where the second time gives other bytes.
    """
    variables = {"TRIO_MQTT_COMPILE": "0"}
    first = _build(commit, scratch / "first", variables)
    with _other_umask():
        second = _build(commit, scratch / "elsewhere" / "second", {**variables, **_ELSEWHERE})
    different = not_equal(first, second)
    if different:
        raise ReleaseError(
            f"Built again from the same commit, this is not the same: {', '.join(different)}."
        )
    return first


def not_equal(first: list[Path], second: list[Path]) -> list[str]:
    """The names of the files that only one of both has, or of which the bytes differ."""
    names = {path.name: path for path in first}
    others = {path.name: path for path in second}
    return sorted(
        name
        for name in names.keys() | others.keys()
        if name not in names
        or name not in others
        or not filecmp.cmp(names[name], others[name], shallow=False)
    )


def build_compiled(commit: Commit, scratch: Path) -> Path | None:
    """The wheel of this machine, compiled; None where there is no C compiler."""
    if not any(map(shutil.which, ("cc", "gcc", "clang", "cl"))):
        return None
    variables = {"TRIO_MQTT_COMPILE": "1"}
    (wheel,) = _build(commit, scratch / "compiled", variables, "--wheel")
    return wheel


def _build(
    commit: Commit, scratch: Path, variables: Mapping[str, str], *options: str
) -> list[Path]:
    source, built = scratch / "source", scratch / "built"
    source.mkdir(parents=True)
    commit.unpack(source)
    command = ("-m", "build", "--installer", "uv", "--outdir", str(built), *options)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": commit.seconds, **variables}
    run(sys.executable, *command, source, environment=environment)
    return sorted(built.iterdir())


@contextmanager
def _other_umask() -> Iterator[None]:
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
