"""Reading the files that say who may do what: the same sentences for all of them."""

from __future__ import annotations

import os
from pathlib import Path

from trio_mqtt.errors import ConfigurationError

# A file beyond this is no such file, and not read into memory.
_MOST_BYTES = 64 * 1024 * 1024


def read_text(path: str | os.PathLike[str], what: str, remedy: str = "Check the name") -> str:
    """The text of a file, which is UTF-8. `what` names the kind of file, `remedy` ends a sentence.

    Raises ConfigurationError where it cannot be read.
    """
    data = read_file(path, what, remedy)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"Line {line} of the {what} file {os.fspath(path)} is not UTF-8: save the file as"
            " UTF-8."
        ) from error
    return text.removeprefix("\ufeff")  # some editors begin a file with it


def read_file(path: str | os.PathLike[str], what: str, remedy: str = "Check the name") -> bytes:
    """The bytes of a file that says something about access, 64 MiB at most.

    `what` names the kind of file, `remedy` ends a sentence. Raises ConfigurationError where it
    cannot be read: which file, what is wrong, the remedy.
    """
    file = Path(path)
    try:
        if not file.exists() or file.stat().st_size <= _MOST_BYTES:
            return file.read_bytes()
    except FileNotFoundError as error:
        raise ConfigurationError(f"There is no {what} file {file}: {remedy}.") from error
    except IsADirectoryError as error:
        raise ConfigurationError(f"{file} is a folder, not a {what} file.") from error
    except PermissionError as error:
        raise ConfigurationError(
            f"The {what} file {file} may not be read by this user: check its owner and mode."
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The {what} file {file} cannot be read ({error}): check the disk and the name."
        ) from error
    raise ConfigurationError(f"The {what} file {file} is too large to be one.")
