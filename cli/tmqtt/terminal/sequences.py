"""The control sequences that commands send to a terminal (ECMA-48 and xterm), each written once."""

from __future__ import annotations

# Of one line that is drawn anew in its place.
CLEAR_LINE = "\r\x1b[2K"
CLEAR_TO_END_OF_LINE = "\x1b[K"

# Of a whole screen.
HOME = "\x1b[H"
CLEAR_SCREEN = "\x1b[2J"
CLEAR_TO_END_OF_SCREEN = "\x1b[J"

# The alternate screen, without cursor and without wrapping; and all of it undone.
ENTER_SCREEN = f"\x1b[?1049h\x1b[?25l\x1b[?7l{HOME}{CLEAR_SCREEN}"
LEAVE_SCREEN = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
