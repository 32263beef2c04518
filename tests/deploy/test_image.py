"""The steps of deploy/Containerfile, done in a folder: no container engine has to be there.

What they build has to have all that the broker needs, from what they copy alone. They install
packages, so `nox -s image` runs this, and not every test run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.programs import DEADLINE
from tests.deploy.containerfile import BUILD, ROOT, exec_form, values


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the container's root would be, after the first stage."""
    root = tmp_path_factory.mktemp("image")
    (root / "opt").mkdir()
    for name, value in BUILD:
        if name == "COPY":
            *sources, target = value.split()
            _copy(sources, root / target.lstrip("/"), is_folder=target.endswith("/"))
        elif name == "RUN":
            command = value.replace("/opt/tmqtt", f"{root}/opt/tmqtt").replace(
                "/src", f"{root}/src"
            )
            # The container's Python has pip. So has the one of which the tests' environment is.
            command = command.replace("python3 ", f"{sys.base_prefix}/bin/python3 ")
            subprocess.run(["sh", "-ec", command], check=True, timeout=500, cwd=root)
    return root


def _copy(sources: list[str], target: Path, *, is_folder: bool) -> None:
    for source in sources:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            file = target / source if is_folder else target
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, file)


def run(built: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [built / "opt/tmqtt/bin/tmqtt", *words],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        cwd=built,
        env={"PATH": os.defpath, **variables},
    )


def test_what_is_built_has_all_that_the_broker_can_use(built: Path) -> None:
    python = built / "opt/tmqtt/bin/python"
    script = "import coredis, cryptography, hypercorn, jwt, prometheus_client, scramp, starlette"
    script += "; import trio_mqtt.configuration, trio_mqtt.web.server"
    subprocess.run([python, "-c", script], check=True, timeout=DEADLINE, cwd=built)
    script = "import pip"
    assert subprocess.run([python, "-c", script], check=False, capture_output=True).returncode
    assert run(built, "--version").stdout.startswith("tmqtt ")


def test_the_units_come_with_it(built: Path) -> None:
    shown = run(built, "service", "show", "--program", "/opt/tmqtt/bin/tmqtt")
    assert shown.stdout == (ROOT / "deploy/tmqtt.service").read_text(encoding="utf-8")


def test_its_own_settings_are_right(built: Path) -> None:
    source, target = values("COPY")[-1].split()
    _copy([source], built / target.lstrip("/"), is_folder=False)
    name = exec_form("ENTRYPOINT")[-1]
    assert name == target
    check = ("config", "check", str(built / name.lstrip("/")))
    assert "Anybody who can reach mqtt://0.0.0.0:1883" in run(built, *check).stderr
    checked = run(built, *check, TMQTT_ACCESS__ALLOW_ANONYMOUS="true")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_only_what_is_copied_is_needed(built: Path) -> None:
    made = {"build", "__pycache__"}
    assert {path.name for path in (built / "src").iterdir()} - made == {
        "LICENSE", "README.md", "cli", "hatch_build.py", "pyproject.toml", "trio_mqtt",
    }  # fmt: skip
