"""Running programs: what they say is shown only where they fail."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


class ReleaseError(Exception):
    """There is no release; the text says why, for a person."""


def run(
    *words: str | os.PathLike[str],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,  # all variables; by default those of this process
    timeout: float = 900.0,  # seconds: compiling under load takes a few minutes
) -> str:
    """What a program prints. Raises ReleaseError with all that it says where it fails."""
    command = [os.fspath(word) for word in words]
    shown = " ".join(command)
    try:
        ran = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except OSError as error:
        raise ReleaseError(f"{command[0]} cannot be run: {error.strerror}.") from error
    except subprocess.TimeoutExpired as error:
        raise ReleaseError(f"It took more than {timeout:.0f} s: {shown}") from error
    if ran.returncode:
        said = f"{ran.stdout}{ran.stderr}".strip()
        raise ReleaseError(f"This failed with status {ran.returncode}: {shown}\n{said}")
    return ran.stdout
