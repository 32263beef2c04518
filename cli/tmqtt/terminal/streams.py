"""The standard streams, and text as it is written to them."""

from __future__ import annotations

import sys

STDIN, STDOUT, STDERR = range(3)


def encoded(text: str) -> bytes:
    """`text` as the terminal or pipe at stdout wants it; what it lacks is shown as an escape."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace")
