"""A payload that stands in a file."""

from __future__ import annotations

from tmqtt.terminal.figures import LARGEST_PAYLOAD
from tmqtt.terminal.sentences import CommandError


def read_payload(path: str) -> bytes:
    """The file as it is. Raises CommandError where it cannot be read, or no message holds it."""
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_PAYLOAD + 1)
    except OSError as error:
        raise CommandError(f"The file {path!r} cannot be read: {error.strerror}.") from None
    if len(data) > LARGEST_PAYLOAD:
        raise too_large(f"The file {path!r}")
    return data


def too_large(what: str) -> CommandError:
    """The error for what no message can hold."""
    return CommandError(f"{what} is more than a message can hold ({LARGEST_PAYLOAD:,} bytes).")
