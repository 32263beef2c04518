"""What a command says when it fails: a sentence, and an exit code."""

from __future__ import annotations

from collections.abc import Sequence

from tmqtt.terminal.escaping import escape
from tmqtt.terminal.streams import write_error
from trio_mqtt.errors import MqttError, RefusedError

FAILURE = 1
TIMED_OUT = 27  # as Mosquitto's commands say it


class CommandError(Exception):
    """A command cannot do its work: a sentence for the person, or several, and the exit code."""

    def __init__(self, sentence: str, code: int = FAILURE, *, others: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.sentences = (sentence, *others)
        self.code = code


def tell(error: MqttError | CommandError) -> int:
    """Say on stderr what went wrong; returns the exit code for it."""
    sentences = error.sentences if isinstance(error, CommandError) else str(error).split("\n")
    text = "".join(f"Error: {escape(_sentence(sentence))}\n" for sentence in sentences)
    write_error(text)
    if isinstance(error, CommandError):
        return error.code
    # What the broker refused has the broker's own code.
    if isinstance(error, RefusedError):
        return int(error.reason_code)
    return FAILURE


# How the library names what is an option here.
_OPTIONS = {
    "`ca` of TlsOptions": "--cafile",
    "`certificate` and `key` of TlsOptions": "--cert and --key",
    "`server_name` of TlsOptions": "--server-name",
    "No password was given.": "No password was given: -P - asks for it, --password-file FILE reads"
    " it.",
    "No user name and no password were given.": "No user name and no password were given: -u NAME"
    " gives the one, -P - asks for the other.",
}


def _sentence(text: str) -> str:
    """`text` as a whole sentence in the words of the terminal."""
    for parameter, option in _OPTIONS.items():
        text = text.replace(parameter, option)
    if text.split(" ", 1)[0].rstrip(",:").isalpha():  # not the name of a file, nor a URL
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!", ".)")) else f"{text}."
