"""What items of inboxes there are, and those that are no messages. Kinds are one byte each."""

from __future__ import annotations

import struct

from trio_mqtt.cluster.entries import EntryError

SOURCE = 0
"""Who wrote the entry, and its number among those that it has promised: the first item of these.
An entry that comes again, since its writer did not hear that it had come, has the same."""
BATCH = 1
"""Messages for this node's subscriptions."""
SHARED = 2
"""Messages for the members of a shared subscription that this node has: which, then the batch."""
APPLIED = 3
"""A node has done what the stream of changes says, up to a number."""
GIVE_UP = 16
"""A node's client wants a session that this node has: which node, and the session's key."""
GIVEN_UP = 17
"""A node no longer has a session that this one has asked for: the same."""
DRAIN = 18
"""This node is to give up its clients: where they are sent to, nothing for nowhere."""

COPY = 32
"""An entry that was added to a log which sessions of this node follow: see `log_entries`."""
MISSED = 33
"""There was no room for some of those: the filters of their logs, between them NULs."""

_NAMED = struct.Struct(">QH")
_SHORT = struct.Struct(">H")


def decode_text(data: memoryview) -> str:
    """What an item says that is text alone. Raises EntryError where that is damaged."""
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise EntryError(f"a damaged item: {error}") from error


def encode_numbered(node: str, number: int) -> bytes:
    """A node and a number: the data of SOURCE and APPLIED."""
    name = node.encode()
    return _NAMED.pack(number, len(name)) + name


def decode_numbered(data: memoryview) -> tuple[str, int]:
    """A node and a number. Raises EntryError where that is damaged."""
    try:
        number, size = _NAMED.unpack_from(data, 0)
        return str(data[_NAMED.size : _NAMED.size + size], "utf-8"), number
    except (struct.error, UnicodeDecodeError) as error:
        raise EntryError(f"a damaged item: {error}") from error


def encode_shared(shared_filter: str, batch: bytes) -> bytes:
    """A batch for those who share `$share/NAME/FILTER`."""
    text = shared_filter.encode()
    return b"".join((_SHORT.pack(len(text)), text, batch))


def decode_shared(data: memoryview) -> tuple[str, memoryview]:
    """What is shared, and the data of the batch. Raises EntryError where that is damaged."""
    try:
        (size,) = _SHORT.unpack_from(data, 0)
        return str(data[2 : 2 + size], "utf-8"), data[2 + size :]
    except (struct.error, UnicodeDecodeError) as error:
        raise EntryError(f"a damaged item: {error}") from error


def encode_asked(node: str, key: str) -> bytes:
    """Who asks for a session, or has given it up: the data of GIVE_UP and GIVEN_UP."""
    name = node.encode()
    return b"".join((_SHORT.pack(len(name)), name, key.encode()))


def decode_asked(data: memoryview) -> tuple[str, str]:
    """A node and the key of a session. Raises EntryError where that is damaged."""
    try:
        (size,) = _SHORT.unpack_from(data, 0)
        return str(data[2 : 2 + size], "utf-8"), str(data[2 + size :], "utf-8")
    except (struct.error, UnicodeDecodeError) as error:
        raise EntryError(f"a damaged item: {error}") from error
