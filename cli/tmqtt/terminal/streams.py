"""The standard streams, and text as it is written to them."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import TextIO

STDIN, STDOUT, STDERR = range(3)


def standard_input() -> TextIO:
    """Where a command reads what comes. Raises OSError where it was started without."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed", "standard input")
    return sys.stdin


def encoded(text: str) -> bytes:
    """`text` as the terminal or pipe at stdout wants it; what it lacks is shown as an escape."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace")


def write_error(text: str) -> None:
    """Write to stderr at once, where there still is somebody who reads it."""
    with suppress(OSError):
        os.write(STDERR, encoded(text))


def write_no_more(descriptor: int) -> None:
    """Have what is written there from now on go nowhere: its reader has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def can_show(text: str) -> bool:
    """Whether what is written to stdout can be so written, by its encoding."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
