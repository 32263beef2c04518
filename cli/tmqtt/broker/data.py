"""What the broker keeps beyond its own end, and how safely."""

from __future__ import annotations

import os
from dataclasses import dataclass

import trio_mqtt
from tmqtt.broker.durability import Durability
from tmqtt.terminal.sentences import CommandError

FILE = "broker.sqlite3"


@dataclass(frozen=True, slots=True)
class DataOptions:
    """The folder of the broker's state, as it was given, and how safely it is to be there."""

    folder: str | None
    durability: Durability | None

    def storage(self) -> trio_mqtt.SqliteStorage | None:
        """What keeps the state; None where nothing does.

        Raises CommandError where the options contradict each other, or the folder is none.
        """
        durability = self.durability
        if self.folder is None:
            if durability not in (None, Durability.MEMORY):
                raise CommandError(
                    f"--durability {durability.value} needs a folder to keep things in:"
                    " --data DIR names it.",
                    code=2,
                )
            return None
        if durability is Durability.MEMORY:
            raise CommandError(
                f"--durability memory keeps nothing, and --data {self.folder} asks for what is"
                " kept: leave out one of them.",
                code=2,
            )
        if not self.folder or (os.path.exists(self.folder) and not os.path.isdir(self.folder)):
            raise CommandError(f"--data: {self.folder or 'an empty name'} is not a folder.", code=2)
        return trio_mqtt.SqliteStorage(
            os.path.join(self.folder, FILE),
            durability="commit" if durability is Durability.COMMIT else "fsync",
        )
