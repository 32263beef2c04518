"""Making text from elsewhere safe to show: what could steer a terminal is shown as an escape."""

from __future__ import annotations

import re

# A run of bytes that is not UTF-8 comes out of "surrogateescape" as these.
_RAW_BYTES = re.compile("[\udc80-\udcff]")


def escape(text: str) -> str:
    """`text` with what cannot be seen written out: `\\x1b`, `\\n`, `\\u202e`.

    That covers control characters, bidirectional overrides and other invisible formatting.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else _escaped(character) for character in text
    )


def _escaped(character: str) -> str:
    if _RAW_BYTES.match(character):
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def escape_json(written: str) -> str:
    """JSON as it was written, with what cannot be seen as JSON writes it: `\\u009b`, `\\u202e`."""
    if written.isprintable():
        return written
    import json  # few need it, and it takes a while to load

    return "".join(
        character if character.isprintable() else json.dumps(character)[1:-1]
        for character in written
    )


def escape_payload(payload: bytes, limit: int) -> str:
    """The payload as text for a person, at most about `limit` characters of it.

    Bytes that are not UTF-8 show as `\\xff`; what is left out is counted.
    """
    # A character has at most four bytes. What is cut off must not be looked at: it may be large.
    text = payload[: 4 * limit].decode(errors="surrogateescape")
    shown = escape(text[:limit])
    left_out = len(payload) - len(text[:limit].encode(errors="surrogateescape"))
    return f"{shown}… ({left_out:,} more bytes)" if left_out else shown
