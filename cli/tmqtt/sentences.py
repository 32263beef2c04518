"""What a command says when it fails: a sentence, and an exit code."""

from __future__ import annotations

import os
import sys

from tmqtt.escaping import escape
from trio_mqtt.errors import MqttError, RefusedError

STDERR = 2
FAILURE = 1
TIMED_OUT = 27  # as Mosquitto's commands say it


class CommandError(Exception):
    """A command cannot do its work: a sentence for the person, and the exit code."""

    def __init__(self, sentence: str, code: int = FAILURE) -> None:
        super().__init__(sentence)
        self.code = code


def encoded(text: str) -> bytes:
    """`text` as the terminal or pipe at stdout wants it."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace")


def tell(error: MqttError | CommandError) -> int:
    """Say on stderr what went wrong; returns the exit code for it."""
    text = str(error)
    if not text.endswith((".", "?", "!")):
        text += "."
    os.write(STDERR, encoded(f"Error: {escape(text[:1].upper() + text[1:])}\n"))
    if isinstance(error, CommandError):
        return error.code
    # What the broker refused has the broker's own code.
    return int(error.reason_code) if isinstance(error, RefusedError) else FAILURE
