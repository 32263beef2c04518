"""A broker outlasts its output: where that cannot be written it goes on, and says so elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from tmqtt.broker.stamps import local_time
from tmqtt.broker.systemd import Notifier


class OutputTroubles:
    """Which of the broker's streams cannot be written, as systemd shows it."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._present: dict[str, str] = {}

    def begin(self, stream: str, sentence: str) -> None:
        """Something is wrong with a stream."""
        self._present[stream] = sentence
        self._show()

    def end(self, stream: str) -> None:
        """It is over."""
        self._present.pop(stream, None)
        self._show()

    def _show(self) -> None:
        self._notifier.status(" ".join(self._present.values()) or "Serving.")


class OutputKeeper:
    """Keeps a broker running without one of its streams: `name` is what the person calls it.

    `tell` says a sentence elsewhere, `note` says one in the stream itself once it is back.
    """

    def __init__(
        self,
        name: str,
        troubles: OutputTroubles,
        tell: Callable[[str], None],
        note: Callable[[str], None],
    ) -> None:
        self._name = name
        self._troubles = troubles
        self._tell = tell
        self._note = note
        self._since = 0.0

    def failed(self, error: OSError) -> None:
        """Nothing can be written for now."""
        self._since = time.time()
        sentence = f"{self._name} cannot be written: {_reason(error)}."
        self._troubles.begin(self._name, sentence)
        self._tell(f"{sentence} The broker goes on, and tries again each second.")

    def back(self, error: OSError) -> None:
        """All can be written again."""
        self._troubles.end(self._name)
        self._tell(f"{self._name} can be written again.")
        self._note(
            f"{self._name} could not be written from {local_time(self._since)} to {local_time()}:"
            f" {_reason(error)}."
        )

    def gone(self) -> None:
        """Nobody will read it any more."""
        sentence = f"Nobody reads {self._name[0].lower()}{self._name[1:]} any more."
        self._troubles.begin(self._name, sentence)
        self._tell(f"{sentence} The broker goes on without it.")


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
