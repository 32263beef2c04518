"""`tmqtt service install` and `uninstall`: which files come and go, and what systemd is told."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from tmqtt.app import app
from tmqtt.service.program import hindrance, parts_of_this_program
from typer.testing import CliRunner

import trio_mqtt

UNITS = "etc/systemd/system"


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["service", *map(str, arguments)], prog_name="tmqtt")
    return result.exit_code, result.stdout, result.stderr


def files_in(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*tmqtt*")
        if path.is_symlink() or path.is_file()
    } | {str(path.relative_to(folder)) for path in folder.glob("etc/tmqtt/*")}


# -- below another root, as packages and images have it -------------------------------------------

with_sysusers = pytest.mark.skipif(
    shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not there"
)


@with_sysusers
def test_it_writes_its_files_below_the_root_and_takes_them_away(tmp_path: Path) -> None:
    code, out, err = run("install", "--root", tmp_path, "--program", "/opt/tmqtt/bin/tmqtt")
    assert (code, err) == (0, "")
    assert files_in(tmp_path) == {
        f"{UNITS}/tmqtt.service",
        "etc/sysusers.d/tmqtt.conf",
        "etc/tmqtt/broker.toml",
    }
    assert out.count("Wrote") == 3
    unit = (tmp_path / UNITS / "tmqtt.service").read_text(encoding="utf-8")
    assert run("show", "--program", "/opt/tmqtt/bin/tmqtt") == (0, unit, "")
    assert stat.S_IMODE((tmp_path / UNITS / "tmqtt.service").stat().st_mode) == 0o644
    assert "tmqtt:x:" in (tmp_path / "etc/passwd").read_text(encoding="utf-8")
    code, out, err = run("uninstall", "--root", tmp_path)
    assert (code, err) == (0, "")
    assert files_in(tmp_path) == {"etc/tmqtt/broker.toml"}
    settings = f"its settings in {tmp_path}/etc/tmqtt"
    assert f"There still are the user tmqtt and {settings}.\n" in out
    code, out, _ = run("uninstall", "--root", tmp_path)
    assert (code, "There is no service" in out) == (0, True)


@with_sysusers
def test_the_settings_are_for_the_broker_to_read_and_not_for_others(tmp_path: Path) -> None:
    assert run("install", "--root", tmp_path)[0] == 0
    folder = (tmp_path / "etc/tmqtt").stat()
    assert stat.S_IMODE(folder.st_mode) == 0o2750
    if os.geteuid() == 0:
        group = (tmp_path / "etc/group").read_text(encoding="utf-8").split(":")[2]
        assert (folder.st_uid, folder.st_gid) == (0, int(group))
    assert stat.S_IMODE((tmp_path / "etc/tmqtt/broker.toml").stat().st_mode) == 0o640


@with_sysusers
def test_once_more_it_brings_up_to_date_and_leaves_what_is_the_operators(tmp_path: Path) -> None:
    sockets = ("--socket", "0.0.0.0:1883", "--socket", "/run/tmqtt.sock")
    assert run("install", "--root", tmp_path, "--now", *sockets)[0] == 0
    settings = tmp_path / "etc/tmqtt/broker.toml"
    settings.write_text("[limits]\n")
    socket = tmp_path / UNITS / "tmqtt.socket"
    listens = [line for line in socket.read_text().splitlines() if line.startswith("Listen")]
    assert listens == ["ListenStream=0.0.0.0:1883", "ListenStream=/run/tmqtt.sock"]
    code, out, err = run("install", "--root", tmp_path, "--program", "/usr/bin/tmqtt")
    assert (code, err) == (0, "")
    assert f"Wrote {tmp_path / UNITS / 'tmqtt.service'}\n" in out
    assert "ExecStart=/usr/bin/tmqtt broker" in (tmp_path / UNITS / "tmqtt.service").read_text()
    assert settings.read_text() == "[limits]\n"
    assert not [name for name in files_in(tmp_path) if name.endswith(".socket")]


@with_sysusers
@pytest.mark.skipif(shutil.which("systemctl") is None, reason="systemctl is not there")
def test_enabled_below_the_root_it_starts_with_that_machine(tmp_path: Path) -> None:
    assert run("install", "--root", tmp_path, "--now", "--socket", "1883")[0] == 0
    links = {
        f"{UNITS}/multi-user.target.wants/tmqtt.service",
        f"{UNITS}/sockets.target.wants/tmqtt.socket",
    }
    assert links < files_in(tmp_path)
    assert run("uninstall", "--root", tmp_path)[0] == 0
    assert not links & files_in(tmp_path)


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_what_somebody_else_made_is_left_alone(command: str, tmp_path: Path) -> None:
    unit = tmp_path / UNITS / "tmqtt.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    code, out, err = run(command, "--root", tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith(f"Error: {unit} is not from `tmqtt service install`")
    assert files_in(tmp_path) == {f"{UNITS}/tmqtt.service"}


def test_a_dry_run_shows_every_file_and_writes_none(tmp_path: Path) -> None:
    arguments = ("--root", tmp_path, "--socket", "1883", "--dry-run")
    code, out, err = run("install", *arguments)
    assert (code, err) == (0, "")
    for name in (f"{UNITS}/tmqtt.service", f"{UNITS}/tmqtt.socket", "etc/sysusers.d/tmqtt.conf"):
        assert f"Would write {tmp_path / name}:\n" in out
    for line in ("[Service]", "ListenStream=1883", "u tmqtt -", 'path = "/var/lib/tmqtt"'):
        assert f"\n{line}" in out
    assert list(tmp_path.iterdir()) == []


@with_sysusers
def test_a_dry_run_of_uninstall_removes_nothing(tmp_path: Path) -> None:
    assert run("install", "--root", tmp_path)[0] == 0
    before = files_in(tmp_path)
    code, out, _ = run("uninstall", "--root", tmp_path, "--dry-run")
    assert (code, out.count("Would remove")) == (0, 2)
    assert files_in(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_who_may_not_write_is_told_of_sudo_and_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    code, _, err = run("install", "--root", tmp_path)
    assert code == 1
    assert "cannot be written to. For a service of the system, run this by sudo;" in err


# -- one's own ------------------------------------------------------------------------------------


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Whoever runs the tests keeps their services: what systemctl was told, in its place."""
    told = tmp_path / "told"
    fake = tmp_path / "bin" / "systemctl"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\necho "$@" >> {told}\n[ "$2" != "$FAILS" ] || {{ echo "No bus"; exit 1; }}\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=os.pathsep)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / 'own "state"'))

    def lines() -> list[str]:
        return told.read_text().splitlines() if told.exists() else []

    return lines


def test_a_service_of_ones_own_is_written_started_and_removed(
    systemctl: Callable[[], list[str]], tmp_path: Path
) -> None:
    unit = tmp_path / "config/systemd/user/tmqtt.service"
    code, out, err = run("install", "--user", "--now")
    assert (code, err) == (0, "")
    assert "It runs. How it fares: systemctl --user status tmqtt.service\n" in out
    assert run("show", "--user") == (0, unit.read_text(), "")
    assert stat.S_IMODE((tmp_path / "config/tmqtt").stat().st_mode) == 0o700
    settings = tomllib.loads((tmp_path / "config/tmqtt/broker.toml").read_text())
    assert settings["storage"] == {"path": str(tmp_path / 'own "state"/tmqtt')}
    assert settings["logging"] == {"destination": "journal"}
    assert systemctl() == [
        "--user daemon-reload",
        "--user stop tmqtt.service",
        "--user enable tmqtt.service",
        "--user restart tmqtt.service",
    ]
    assert run("uninstall", "--user")[0] == 0
    assert systemctl()[4:] == ["--user disable --now tmqtt.service", "--user daemon-reload"]
    assert not unit.exists()
    assert (tmp_path / "config/tmqtt/broker.toml").exists()


def test_without_now_it_tells_how_to_start_it(
    systemctl: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "is-active")
    code, out, _ = run("install", "--user", "--socket", "1883")
    assert code == 0
    assert (
        "To start it, now and always: systemctl --user enable --now tmqtt.socket tmqtt.service\n"
        in out
    )
    monkeypatch.setenv("FAILS", "")
    code, out, _ = run("install", "--user")  # the sockets are let go of, and it runs already
    assert "It runs on as it was until systemctl --user restart tmqtt.service\n" in out
    assert "--user disable --now tmqtt.socket" in systemctl()


@pytest.mark.parametrize(
    ("fails", "code", "sentence"),
    [
        ("daemon-reload", 0, "systemd does not know of it yet: systemctl --user daemon-reload"),
        ("restart", 1, "It says why in journalctl --user --unit tmqtt.service"),
    ],
)
def test_what_systemd_cannot_do_is_told(
    fails: str,
    code: int,
    sentence: str,
    systemctl: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAILS", fails)
    ended, _, err = run("install", "--user", "--now")
    assert ended == code
    assert sentence in err
    assert "No bus" in err
    assert systemctl()


def test_without_systemd_it_says_what_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    code, out, err = run("install", "--user")
    assert (code, out) == (1, "")
    assert err.startswith("Error: There is no systemd here (no systemctl).")
    assert not (tmp_path / "config").exists()


def test_a_root_is_not_for_ones_own(tmp_path: Path) -> None:
    code, _, err = run("install", "--user", "--root", tmp_path)
    assert code == 2
    assert "--root is for a service of the system" in err


# -- whether the service can read what it runs ----------------------------------------------------


@pytest.fixture
def opt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that everybody can read, as /opt is."""
    monkeypatch.setattr("tmqtt.service.program._TEMPORARY", ())
    monkeypatch.setattr("tmqtt.service.program._HOMES", (str(tmp_path / "home"),))
    folder = tmp_path / "opt"
    folder.mkdir(mode=0o755)
    return folder


def test_what_everybody_can_read_can_be_run(opt: Path) -> None:
    program = opt / "tmqtt"
    program.touch(0o755)
    assert hindrance([program, opt], opt) is None


def test_what_is_closed_to_others_is_named(opt: Path) -> None:
    program = opt / "bin" / "tmqtt"
    program.parent.mkdir()
    program.touch(0o750)
    assert hindrance([program], opt) == f"not everybody may read {program}"
    program.chmod(0o755)
    program.parent.chmod(0o700)
    assert hindrance([program], opt) == f"not everybody may enter {program.parent}"
    assert hindrance([opt / "none"], opt) == f"{opt / 'none'} is not there"


def test_all_that_is_needed_to_run_it_is_looked_at() -> None:
    parts = parts_of_this_program(["/opt/tmqtt/bin/tmqtt"])
    assert parts[:2] == [Path("/opt/tmqtt/bin/tmqtt"), Path(sys.executable)]
    for module in (trio_mqtt, typer, json):
        assert any(Path(module.__file__ or "").is_relative_to(part) for part in parts)
    assert Path(trio_mqtt.__file__ or "") in parts  # its own mode counts, not its folder's alone


def test_a_link_into_a_home_counts_as_in_the_home(opt: Path, tmp_path: Path) -> None:
    target = tmp_path / "home" / "ann" / "python"
    target.parent.mkdir(parents=True)
    target.touch(0o755)
    link = opt / "python"
    link.symlink_to(target)
    assert hindrance([link], opt) == f"{target} is in somebody's home"


def test_a_program_in_a_folder_that_the_unit_hides_is_refused() -> None:
    code, out, err = run("install", "--dry-run", "--program", "/tmp/none/tmqtt")  # noqa: S108
    assert (code, out) == (1, "")
    assert "The service runs as the user tmqtt, who could not run this: " in err
    assert "tmqtt service install --user" in err
