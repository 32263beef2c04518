"""The command line of a release, `python -m releasing` with this folder's on the path."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

from releasing import building, contents, environments, materials
from releasing.building import Commit
from releasing.checksums import write_checksums
from releasing.environments import Environment
from releasing.ready import hindrances, strangers, version_of
from releasing.running import ReleaseError, run

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Make the release that the command line asks for; the status says whether there is one."""
    options = _parse()
    try:
        with tempfile.TemporaryDirectory(prefix="releasing-") as scratch:
            _release(options, Path(scratch))
    except ReleaseError as error:
        print(f"There is no release. {error}", file=sys.stderr)
        return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m releasing", description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT / "dist", metavar="FOLDER")
    parser.add_argument("--tag", help="the tag that the release is for: it has to fit the version")
    parser.add_argument(
        "--trial",
        action="store_true",
        help="go on where something stands in the way, and keep nothing of what is built",
    )
    parser.add_argument(
        "--not-compiled", action="store_true", help="leave the compiled wheel of this machine out"
    )
    return parser.parse_args()


def _release(options: argparse.Namespace, scratch: Path) -> None:
    version = version_of(ROOT)
    _say(f"trio-mqtt {version}")
    in_the_way = list(hindrances(ROOT, options.tag))
    if options.trial:
        for sentence in in_the_way:
            _say(f"In the way of a release, not of this trial: {sentence}")
    else:
        _check([*in_the_way, *strangers(options.into)])
    commit = Commit.checked_out(ROOT)
    sdist, wheel = _build(commit, scratch)
    _look_at(commit, sdist, wheel)
    bill = _install(version, sdist, wheel, scratch)
    if not options.not_compiled:
        _try_compiled(commit, version, scratch)
    if options.trial:
        _say("All of it would do.")
        return
    into: Path = options.into
    into.mkdir(parents=True, exist_ok=True)
    for old in into.iterdir():
        old.unlink()
    for path in (sdist, wheel, bill):
        shutil.copyfile(path, into / path.name)
    write_checksums(into)
    for path in sorted(into.iterdir()):
        _say(f"{path.stat().st_size:>9,} bytes  {into.name}/{path.name}")


def _build(commit: Commit, scratch: Path) -> tuple[Path, Path]:
    _say("Building, twice")
    built = building.build(commit, scratch)
    (wheel,) = (path for path in built if path.suffix == ".whl")
    (sdist,) = (path for path in built if path.name.endswith(".tar.gz"))
    _say(f"The same bytes both times: {sdist.name}, {wheel.name}")
    return sdist, wheel


def _look_at(commit: Commit, sdist: Path, wheel: Path) -> None:
    files = commit.files
    _check(contents.wheel_problems(wheel, files))
    _check(contents.sdist_problems(sdist, files, contents.roots_of_sdist(ROOT)))
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
    run(sys.executable, "-m", "check_wheel_contents", wheel, folder=ROOT)
    _say("They have what they should, and their metadata is right")


def _install(version: str, sdist: Path, wheel: Path, scratch: Path) -> Path:
    """Install both on each Python that is here; return the bill of all that comes with it."""
    here = environments.pythons_here()
    if not here:
        raise ReleaseError(f"None of these is here: Python {', '.join(environments.PYTHONS)}.")
    extras = sorted(environments.EXTRAS)
    bill = scratch / f"{wheel.name.removesuffix('-py3-none-any.whl')}.cdx.json"
    for python, place in here.items():
        for package in (wheel, sdist):
            environment = Environment(scratch / f"{python}-{package.suffix[1:]}", place)
            environment.install(package)
            environment.try_out(version)
        for extra in extras:
            environment = Environment(scratch / f"{python}-{extra}", place)
            environment.install(wheel, [extra])
            environment.try_extra(extra)
        environment = Environment(scratch / f"{python}-all", place)
        environment.install(wheel, extras)
        environment.import_all()
        environment.try_out(version)
        if not bill.exists():
            materials.write_bill(environment, ROOT, version, bill)
        _say(f"Python {python}: wheel and sdist serve, so do {len(extras)} extras")
    _check(materials.bill_problems(bill, version, _needed()))
    missing = [python for python in environments.PYTHONS if python not in here]
    if missing:
        _say(f"Not tried, as they are not here: Python {', '.join(missing)}")
    return bill


def _try_compiled(commit: Commit, version: str, scratch: Path) -> None:
    _say("Compiling")
    wheel = building.build_compiled(commit, scratch)
    if wheel is None:
        _say("Not compiled, as there is no C compiler here")
        return
    environment = Environment(scratch / "compiled-environment", sys.executable)
    environment.install(wheel)
    environment.try_out(version, compiled=True)
    _say(f"{wheel.name} serves; those of a release are built by cibuildwheel, for all systems")


def _needed() -> set[str]:
    """The packages that `pyproject.toml` names for who uses this one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"]]
    for extra in environments.EXTRAS:
        wanted += project["optional-dependencies"][extra]
    return {re.split(r"[^\w.-]", name.lower().replace("_", "-"))[0] for name in wanted}


def _check(problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        raise ReleaseError("\n".join(found))


def _say(sentence: str) -> None:
    print(sentence, flush=True)


if __name__ == "__main__":
    sys.exit(main())
