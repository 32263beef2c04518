"""What a broker keeps of topics, how long, and how much of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import TypeAlias

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.protocol.topics import parse_shared, topic_filter_problem

Path: TypeAlias = str | PathLike[str]

FILE = "history.sqlite3"
_LEAST_SIZE = 1024 * 1024  # bytes: an empty file has some already


@with_attribute_docs
@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySettings:
    """What is kept of topics, to look back. Raises ConfigurationError for what makes no sense."""

    filters: Collection[str] = ()
    """The topic filters whose messages are kept. None given: nothing is."""
    path: Path | None = None
    """A file for it alone, made where there is none. None: history.sqlite3 in the storage's
    folder."""
    age: float = 30 * 86_400.0
    """Seconds that messages are kept. 0 is as long as there is room."""
    ages: Mapping[str, float] = field(default_factory=dict)
    """Seconds that messages of some topics are kept, by topic filter, in place of `age`. Of several
    that match a topic the most precise holds. 0 is as long as there is room."""
    size: int = 1024 * 1024 * 1024
    """Bytes that the file may have, near enough: beyond it what is oldest goes. 0 is no bound."""
    messages: int = 0
    """How many messages of each topic are kept: beyond it its oldest go, some more or less, as they
    are kept together. 0 is as many as there is room for."""
    topics: int = 100_000
    """Topics of which something is kept. What comes on others is not, and counted."""
    interval: float = 1.0
    """Seconds at most until what came is written: so much is lost where the process is killed."""
    waiting: int = 32 * 1024 * 1024
    """Bytes that may wait to be written. Where the disk is slower than what comes, what goes beyond
    is not kept, and counted: nobody who publishes waits for the history."""

    def __post_init__(self) -> None:
        for name in ("filters", "ages"):
            for one in getattr(self, name):
                problem = topic_filter_problem(one)
                if problem is not None:
                    raise ConfigurationError(f"{name} has {one!r}, which {problem}.")
                if parse_shared(one) is not None:
                    raise ConfigurationError(
                        f"{name} has {one!r}: what is kept is not shared; leave out $share/NAME/."
                    )
        for one, age in self.ages.items():
            if not 0 <= age < math.inf:
                raise ConfigurationError(
                    f"ages has {age} for {one!r}: an age is 0 or more, and finite."
                )
        for name in ("age", "messages"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigurationError(
                    f"{name} is 0 or more, and finite, not {getattr(self, name)}."
                )
        if self.size and self.size < _LEAST_SIZE:
            raise ConfigurationError(f"size is 0, or {_LEAST_SIZE} bytes (1 MiB) at least.")
        if self.topics < 1:
            raise ConfigurationError("topics is 1 or more.")
        if self.waiting < 64 * 1024:
            raise ConfigurationError("waiting is 65536 bytes (64 KiB) at least.")
        if not 0.01 <= self.interval <= 60:
            raise ConfigurationError("interval is between 10 ms and a minute.")
