"""Standard input that nobody asked for: `echo 20 | tmqtt pub temperature`, without -s or -l."""

from __future__ import annotations

import os
import select
import stat
import sys

from tmqtt.terminal.streams import STDIN, write_error

# Seconds that the program before it in a pipe gets to say something. Input that stays silent may
# be nobody's: a service's, a job's, that of a shell on another machine.
_PATIENCE = 1.0


def look_for_input(*, patient: bool) -> bool:
    """Whether something is to be read from standard input, which must not be lost without a word.

    A pipe in which there is nothing yet gets a moment, if it is `patient`; then a line on stderr
    says that it was not waited for any longer.
    """
    try:
        status = os.fstat(STDIN)
        if stat.S_ISREG(status.st_mode):
            return status.st_size > os.lseek(STDIN, 0, os.SEEK_CUR)
        if not (stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode)):
            return False  # a terminal, or the null device
        return _look_into(patient=patient)
    except OSError:
        return False  # what cannot be read is not lost


def _look_into(*, patient: bool) -> bool:
    if sys.platform == "win32":
        return False
    import fcntl
    import termios

    readable, _, _ = select.select([STDIN], [], [], _PATIENCE if patient else 0)
    if not readable:
        if patient:
            sentence = (
                "Nothing came by standard input: a greeting is sent. -s or -l would have waited."
            )
            write_error(f"{sentence}\n")
        return False
    size = fcntl.ioctl(STDIN, termios.FIONREAD, b"\0\0\0\0")
    return int.from_bytes(size, sys.byteorder) > 0  # 0: it has ended
