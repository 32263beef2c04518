"""How much `tmqtt broker` tells."""

from __future__ import annotations

from enum import Enum
from typing import Literal


class Level(Enum):
    """Each tells what those before it do, and more."""

    ERROR = "error"  # what does not work
    WARNING = "warning"  # what may be wrong; whom it refuses to let in, and what it refuses them
    INFO = "info"  # where it listens, who comes and goes, and what they subscribe to
    ALL = "all"  # messages, as far as a person can read them

    @property
    def in_logs(self) -> Literal["error", "warning", "info", "debug"]:
        """What tells as much in a log."""
        return "debug" if self is Level.ALL else self.value

    def tells(self, other: Level) -> bool:
        """Whether what is of the `other` level is told."""
        levels = list(Level)
        return levels.index(self) >= levels.index(other)


class LogFormat(Enum):
    """How the lines of a log are written."""

    HUMAN = "human"
    JSON = "json"
