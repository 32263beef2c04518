"""What a broker says of its answer, as it reads in a sentence."""

from __future__ import annotations

import re

from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

# Words that tell nothing more beside the name of a reason code.
_THIN = frozenset({
    "a", "an", "and", "are", "because", "been", "by", "client", "connection", "error", "has",
    "have", "is", "it", "of", "on", "or", "reason", "request", "that", "the", "this", "to", "was",
    "were", "with", "you", "your",
})  # fmt: skip
_SAME: dict[str, str] = {
    "broker": "server", "username": "user", "authorised": "authorized", "wrong": "bad",
    "invalid": "bad",
}  # fmt: skip
_WORD = re.compile(r"[^\W_]+")


def explained(code: ReasonCode, properties: Properties) -> str:
    """A reason code, and what the broker adds to it: "not authorized (its token has expired)"."""
    return code.sentence + explanation(properties, beside=code)


def explanation(properties: Properties, *, beside: ReasonCode) -> str:
    """What a broker adds to a reason code that is said: its words, unless they say the same."""
    text = ""
    words = properties.get("reason_string", "")
    if not _words(words) <= _words(beside.sentence):
        text += f" ({words.strip().rstrip('.')})"
    if "server_reference" in properties:
        text += f"; it refers to {properties['server_reference']}"
    return text


def _words(text: str) -> set[str]:
    """The words that say something."""
    words: list[str] = _WORD.findall(text.casefold())
    return {_SAME.get(word, word) for word in words} - _THIN
