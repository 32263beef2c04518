"""What is built has the files of the commit that belong there, and no other."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from releasing.building import Commit, not_equal
from releasing.checksums import write_checksums
from releasing.contents import roots_of_sdist, sdist_problems, wheel_problems

ROOT = Path(__file__).parents[3]
FILES = {
    "LICENSE",
    "README.md",
    "cli/tmqtt/app.py",
    "cli/tmqtt/py.typed",
    "pyproject.toml",
    "tests/test_it.py",
    "trio_mqtt/py.typed",
    "trio_mqtt/web/page/index.html",
}
ROOTS = {"LICENSE", "README.md", "cli", "pyproject.toml", "tests", "trio_mqtt"}
INFO = "trio_mqtt-1.2.0.dist-info/"
OF_WHEEL = {
    *("tmqtt/app.py", "tmqtt/py.typed", "trio_mqtt/py.typed", "trio_mqtt/web/page/index.html"),
    *(f"{INFO}{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")),
    f"{INFO}licenses/LICENSE",
}


def wheel(folder: Path, names: Iterable[str]) -> Path:
    path = folder / "trio_mqtt-1.2.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return path


def sdist(folder: Path, names: Iterable[str], *, link: str | None = None) -> Path:
    path = folder / "trio_mqtt-1.2.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(f"trio_mqtt-1.2.0/{name}"), io.BytesIO())
        if link is not None:
            member = tarfile.TarInfo(f"trio_mqtt-1.2.0/{link}")
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    return path


def test_a_wheel_that_has_all_is_right(tmp_path: Path) -> None:
    assert list(wheel_problems(wheel(tmp_path, OF_WHEEL), FILES)) == []


@pytest.mark.parametrize(
    "name", ["trio_mqtt/py.typed", f"{INFO}licenses/LICENSE", "trio_mqtt/web/page/index.html"]
)
def test_what_a_wheel_lacks_is_told(tmp_path: Path, name: str) -> None:
    (sentence,) = wheel_problems(wheel(tmp_path, OF_WHEEL - {name}), FILES)
    assert sentence == f"trio_mqtt-1.2.0-py3-none-any.whl lacks {name}."


@pytest.mark.parametrize("name", ["tests/test_it.py", "venv/pyvenv.cfg", "trio_mqtt/scratch.py"])
def test_what_does_not_belong_into_a_wheel_is_told(tmp_path: Path, name: str) -> None:
    (sentence,) = wheel_problems(wheel(tmp_path, OF_WHEEL | {name}), FILES)
    assert sentence.endswith(f" has {name}, which does not belong there.")


def test_an_sdist_has_what_is_committed_below_its_roots(tmp_path: Path) -> None:
    names = FILES | {"PKG-INFO"}
    more = FILES | {".github/workflows/tests.yml"}
    assert list(sdist_problems(sdist(tmp_path, names), more, ROOTS)) == []
    lacks, has = sdist_problems(
        sdist(tmp_path, names - {"tests/test_it.py"} | {"venv/pyvenv.cfg"}), FILES, ROOTS
    )
    assert (lacks.split()[-1], has.split()[2]) == ("tests/test_it.py.", "venv/pyvenv.cfg,")


def test_an_sdist_has_no_links(tmp_path: Path) -> None:
    built = sdist(tmp_path, FILES | {"PKG-INFO"}, link="LICENSE.txt")
    sentences = list(sdist_problems(built, FILES, ROOTS))
    assert any("which is no plain file" in sentence for sentence in sentences)


def test_the_roots_of_an_sdist_are_there() -> None:
    assert {name for name in roots_of_sdist(ROOT) if not (ROOT / name).exists()} == set()
    assert {"trio_mqtt", "cli", "tests", "deploy", "LICENSE"} <= roots_of_sdist(ROOT)


def test_what_is_committed_is_read_from_the_commit(tmp_path: Path) -> None:
    git = ("git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    (tmp_path / "größe.txt").write_text("", encoding="utf-8")
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "--no-gpg-sign", "-m", "It")):
        subprocess.run([*git, *words], cwd=tmp_path, check=True, timeout=60)
    (tmp_path / "scratch.txt").write_text("", encoding="utf-8")
    commit = Commit.checked_out(tmp_path)
    assert commit.files == {"größe.txt"}
    commit.unpack(tmp_path / "unpacked")
    assert [path.name for path in (tmp_path / "unpacked").iterdir()] == ["größe.txt"]
    assert int(commit.seconds) > 0


def test_what_is_not_the_same_both_times_is_named(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
        (folder / "same").write_bytes(b"same")
        (folder / "other").write_bytes(folder.name[:5].encode())
    (folders[1] / "more").write_bytes(b"")
    first, second = (sorted(folder.iterdir()) for folder in folders)
    assert not_equal(first, second) == ["more", "other"]
    assert not_equal(first, first) == []


def test_checksums_are_those_that_sha256sum_reads(tmp_path: Path) -> None:
    (tmp_path / "b.whl").write_bytes(b"abc")
    (tmp_path / "a.tar.gz").write_bytes(b"")
    for _ in range(2):  # its own file is not among them
        sums = write_checksums(tmp_path)
    assert sums.read_text(encoding="ascii").splitlines() == [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a.tar.gz",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  b.whl",
    ]


def test_what_is_compiled_and_typed_is_listed_by_names_that_are_there() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    for package in packages:
        assert (ROOT / package / "py.typed").is_file()
