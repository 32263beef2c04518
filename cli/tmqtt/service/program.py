"""What the service starts, and whether the user that it runs as can read it."""

from __future__ import annotations

import os
import stat
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import tmqtt
import trio_mqtt

_TOP = Path("/")
# What the unit hides from the service (ProtectHome=, PrivateTmp=).
_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 # named to be refused


def this_program() -> list[str]:
    """The words that run this very `tmqtt`: its script, or else its interpreter."""
    script = Path(sysconfig.get_path("scripts"), "tmqtt")
    if os.access(script, os.X_OK):
        return [str(script)]
    # -P: no module comes from the folder in which the service runs.
    return [sys.executable, "-P", "-m", "tmqtt"]


def parts_of_this_program(program: Sequence[str]) -> list[Path]:
    """All that has to be read to run it: the script, the interpreter, and where modules are.

    Of the modules, two stand for what was installed with them.
    """
    found = [Path(program[0]), Path(sys.executable), Path(sys.base_prefix)]
    found += [Path(entry) for entry in sys.path if entry and Path(entry).exists()]
    found += [Path(module.__file__ or "") for module in (tmqtt, trio_mqtt)]
    return list(dict.fromkeys(found))


def hindrance(paths: Sequence[Path], top: Path = _TOP) -> str | None:
    """Why a user of the system's own cannot read one of `paths`, as the unit has it.

    None where all can be read. A link counts with what it leads to. Folders count up to `top`.
    """
    for path in paths:
        for place in dict.fromkeys((path.absolute(), path.resolve())):
            reason = _why_not(place, top)
            if reason is not None:
                return reason
    return None


def _why_not(path: Path, top: Path) -> str | None:
    if not path.exists():
        return f"{path} is not there"
    if _is_below(path, _HOMES):
        return f"{path} is in somebody's home"
    if _is_below(path, _TEMPORARY):
        return f"{path} is in a folder for what is temporary"
    if not path.stat().st_mode & stat.S_IROTH:
        return f"not everybody may read {path}"
    for folder in (path, *path.parents):
        is_closed = folder.is_dir() and not folder.stat().st_mode & stat.S_IXOTH
        if is_closed and folder.is_relative_to(top):
            return f"not everybody may enter {folder}"
    return None


def _is_below(path: Path, folders: Sequence[str]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
