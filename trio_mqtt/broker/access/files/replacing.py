"""Replacing the files that say who may do what: whole or not at all, and for their owner only."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from pathlib import Path

from trio_mqtt.errors import ConfigurationError


def replace_file(path: str | os.PathLike[str], data: bytes, what: str) -> None:
    """Put `data` in the place of a file, on the disk, whatever happens in between.

    `what` names the kind of file. Raises ConfigurationError where it cannot be written.

    A new file is for its owner only; one that was there keeps owner, group and mode, but for what
    the mode allows to everybody.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        before = path.stat() if path.exists() else None
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                if before is not None and sys.platform != "win32":
                    mode = stat.S_IMODE(before.st_mode) & 0o770 | 0o600
                    try:
                        os.fchown(file.fileno(), before.st_uid, before.st_gid)
                    except PermissionError:  # only root gives files away
                        mode &= 0o700
                    os.fchmod(file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        if sys.platform != "win32":
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise ConfigurationError(
            f"The {what} file {path} cannot be written ({error.strerror}): check the rights to"
            f" the folder {path.parent} and its room."
        ) from error
