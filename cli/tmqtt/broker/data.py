"""What the broker keeps beyond its own end, and how safely."""

from __future__ import annotations

import os
from dataclasses import dataclass

import trio_mqtt
from tmqtt.broker.durability import Durability
from tmqtt.terminal.figures import counted
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

    def promise(self) -> str:
        """What becomes of what the broker holds."""
        if self.folder is None:
            return "Sessions and retained messages end with it: --data DIR keeps them."
        if self.durability is Durability.COMMIT:
            survives = "the end of the process, but not a power cut"
        else:
            survives = "a power cut"
        return f"What it acknowledges survives {survives}: it is kept in {self.folder}."

    def restored(self, found: trio_mqtt.Holdings, seconds: float) -> str:
        """What the broker has begun with, and how long that took; empty if it was nothing."""
        return f"Restored {_listed(found)} in {seconds:.1f} s." if any(found) else ""

    def forgotten(self, left: trio_mqtt.Holdings) -> str:
        """What ends with the broker that has left this; empty if it is nothing."""
        if self.folder is not None or not any(left):
            return ""
        end, them = ("ends", "it") if sum(left) == 1 else ("end", "them")
        return f"{_listed(left)} {end} with it: --data DIR keeps {them}."


def _listed(holdings: trio_mqtt.Holdings) -> str:
    """What there is of them: `2 sessions, 40 waiting messages and 5 retained messages`."""
    things = {
        "session": holdings.sessions,
        "waiting message": holdings.messages,
        "retained message": holdings.retained,
    }
    *others, last = [counted(number, thing) for thing, number in things.items() if number]
    return f"{', '.join(others)} and {last}" if others else last
