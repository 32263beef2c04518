"""How much `tmqtt broker` tells."""

from __future__ import annotations

from enum import Enum


class Level(Enum):
    """Each tells what those before it do, and more."""

    ERROR = "error"  # what does not work
    WARNING = "warning"  # what may be wrong; whom it refuses to let in, and what it refuses them
    INFO = "info"  # where it listens, who comes and goes, and what they subscribe to
    ALL = "all"  # messages, as far as a person can read them

    def tells(self, other: Level) -> bool:
        """Whether what is of the `other` level is told."""
        levels = list(Level)
        return levels.index(self) >= levels.index(other)
