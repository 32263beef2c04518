"""The units as systemd reads them, and that there is one text of each."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tmqtt.service.program import this_program
from tmqtt.service.units import account, service_unit, socket_unit

DEPLOY = Path(__file__).parents[3] / "deploy"
EXAMPLE = ["/opt/tmqtt/bin/tmqtt"]
ANALYZE = shutil.which("systemd-analyze")

with_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not there")


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    return subprocess.run(
        [ANALYZE, *words], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tmqtt.service", service_unit(EXAMPLE, for_user=False)),
        ("tmqtt.socket", socket_unit(["127.0.0.1:1883"], for_user=False)),
        ("tmqtt.sysusers", account()),
    ],
)
def test_what_is_in_deploy_is_what_install_writes(name: str, text: str) -> None:
    # By `tmqtt service show --program /opt/tmqtt/bin/tmqtt`, --socket 127.0.0.1:1883 for sockets.
    assert (DEPLOY / name).read_text(encoding="utf-8") == text


@with_systemd
@pytest.mark.slow
@pytest.mark.parametrize("for_user", [False, True], ids=["system", "user"])
@pytest.mark.parametrize("folder", ["plain", "all of 100% own $HOME"])
def test_systemd_finds_nothing_wrong(
    for_user: bool, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / folder / "tmqtt"
    program.parent.mkdir()
    program.symlink_to(sys.executable)
    sockets = ["127.0.0.1:1883", "[::1]:8883", str(tmp_path / folder / "s")]
    units = tmp_path / "tmqtt.service", tmp_path / "tmqtt.socket"
    units[0].write_text(service_unit([str(program)], for_user=for_user))
    units[1].write_text(socket_unit(sockets, for_user=for_user))
    kind = "--user" if for_user else "--system"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # as a user has it who is logged in
    ran = analyze("verify", kind, "--man=no", "--generators=no", "--recursive-errors=no", *units)
    ours = [line for line in ran.stderr.splitlines() if "tmqtt" in line]
    assert (ours, ran.returncode) == ([], 0), ran.stderr


@pytest.mark.parametrize("name", ['a"b', "a'b", "a\\b", "a\nb"])
def test_a_name_that_systemd_does_not_take_is_told(name: str) -> None:
    with pytest.raises(ValueError, match="systemd runs no program whose name"):
        service_unit([f"/opt/{name}/tmqtt"], for_user=False)


@with_systemd
@pytest.mark.slow
def test_a_program_that_is_not_there_is_found(tmp_path: Path) -> None:
    # Else the test above could find nothing because it reads nothing.
    unit = tmp_path / "tmqtt.service"
    unit.write_text(service_unit([str(tmp_path / "none")], for_user=False))
    ran = analyze("verify", "--man=no", "--generators=no", "--recursive-errors=no", unit)
    assert ran.returncode
    assert "is not executable" in ran.stderr


@with_systemd
@pytest.mark.slow
def test_the_service_is_hardly_exposed(tmp_path: Path) -> None:
    unit = tmp_path / "tmqtt.service"
    unit.write_text(service_unit(EXAMPLE, for_user=False))
    # Of 100; what is left is that it may use the network, and has no root folder of its own.
    ran = analyze("security", "--offline=true", "--no-pager", "--threshold=20", unit)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "→ Overall exposure level for tmqtt.service: 1." in ran.stdout


def test_a_service_of_a_user_asks_for_nothing_that_takes_root() -> None:
    unit = service_unit(EXAMPLE, for_user=True)
    for setting in ("User", "Capability", "Protect", "PrivateTmp", "PrivateDevices", "Keyring"):
        assert f"\n{setting}" not in unit
    assert not re.search(r"@[A-Z]|^@", unit, re.MULTILINE)  # all places are filled in
    assert "\nWantedBy=default.target\n" in unit
    assert "\nSocketUser" not in socket_unit(["1883"], for_user=True)


def test_this_program_runs_as_the_service_would(tmp_path: Path) -> None:
    ran = subprocess.run(
        [*this_program(), "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=tmp_path,
        env={},
    )
    assert ran.stdout.startswith("tmqtt ")
