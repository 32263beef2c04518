"""What systemd's own programs are asked to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tmqtt.service.units import USER
from tmqtt.terminal.plainly import say


@dataclass(frozen=True, slots=True, kw_only=True)
class Systemd:
    """The systemd of this system, of this user, or of a system that does not run."""

    for_user: bool
    root: Path | None
    """Where the system is that does not run: what needs a running one is left out."""

    @property
    def systemctl(self) -> list[str]:
        return ["systemctl", *(["--user"] if self.for_user else [])]

    @property
    def journal(self) -> list[str]:
        """What shows the log of its units."""
        return ["journalctl", *(["--user"] if self.for_user else [])]

    def check(self) -> None:
        """Raises ValueError where there is none."""
        if self.root is None and shutil.which("systemctl") is None:
            raise ValueError(
                "There is no systemd here (no systemctl). `tmqtt service show` prints the unit,"
                " and --root DIR writes the files for another machine."
            )

    def tell(self, *words: str) -> bool:
        """Whether systemctl could do it; what it says is shown where it could not."""
        if self.root is None:
            return _run([*self.systemctl, *words])
        offline = [word for word in words if word != "--now"]
        if offline[0] not in ("enable", "disable") or shutil.which("systemctl") is None:
            return True
        return _run(["systemctl", f"--root={self.root}", *offline])

    def runs(self, unit: str) -> bool:
        """Whether a unit is active."""
        return _run([*self.systemctl, "is-active", "--quiet", unit])

    def make_account(self, configuration: str) -> None:
        """Make the broker's own user, where there is none yet, from a file of sysusers.d.

        Raises ValueError where that does not work.
        """
        if self.root is None and _is_known(USER):
            return
        program = shutil.which("systemd-sysusers")
        root = [] if self.root is None else [f"--root={self.root}"]
        if program is None or not _run([program, *root, configuration]):
            raise ValueError(
                f"The user {USER} could not be made by systemd-sysusers. Make it, and install"
                " once more: useradd --system --user-group --no-create-home"
                f" --shell /usr/sbin/nologin {USER}"
            )


def _is_known(user: str) -> bool:
    if sys.platform == "win32":
        return False
    import pwd

    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _run(words: Sequence[str]) -> bool:
    """Run a program; what it says is shown where it fails."""
    ran = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 # ours
    if ran.returncode:
        for line in (ran.stdout + ran.stderr).splitlines():
            say(line, problem=True)
    return ran.returncode == 0
