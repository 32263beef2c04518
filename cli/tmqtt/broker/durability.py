"""How safely the broker keeps what it keeps."""

from __future__ import annotations

from enum import Enum


class Durability(Enum):
    """What the broker's state survives; each more than the next."""

    FSYNC = "fsync"  # power cuts
    COMMIT = "commit"  # the end of the process
    MEMORY = "memory"  # nothing
