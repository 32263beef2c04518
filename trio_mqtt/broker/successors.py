"""Where clients are sent that a broker serves no longer (MQTT 5.0 §4.11)."""

from __future__ import annotations

from collections.abc import Sequence


class Successors:
    """Servers by their references, each in its turn. There may be none to name."""

    def __init__(self) -> None:
        self._references: Sequence[str] = ()
        self._next = 0
        self.has_moved = False
        """Whether clients are to go there for good."""
        self.is_draining = False
        """Whether new clients are sent there as well."""

    def become(self, references: Sequence[str], *, moved: bool = False) -> None:
        """From now on clients are sent to these."""
        self._references = references
        self.has_moved = moved

    def next(self) -> str | None:
        """Where the next client is sent; None where it is to know by itself."""
        if not self._references:
            return None
        self._next += 1
        return self._references[self._next % len(self._references)]
