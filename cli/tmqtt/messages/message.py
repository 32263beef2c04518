"""A message that is shown: what formats, records and views need of one, wherever it is from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trio_mqtt import Properties


class ShownMessage(Protocol):
    """A message that came; `retain` is set where the broker had kept it."""

    @property
    def topic(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def qos(self) -> int: ...
    @property
    def retain(self) -> bool: ...
    @property
    def packet_id(self) -> int: ...
    @property
    def properties(self) -> Properties: ...


# The milliseconds that a message took to come, by nanoseconds since 1970; None: it has no time.
LatencyOf = Callable[[ShownMessage, int], float | None]
