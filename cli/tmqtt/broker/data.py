"""What the broker keeps beyond its own end, and how safely."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import trio_mqtt
from tmqtt.broker.remedies import Remedies
from tmqtt.terminal.figures import counted
from tmqtt.terminal.sentences import CommandError

if TYPE_CHECKING:
    from trio_mqtt.administration import ClusterView
    from trio_mqtt.configuration import StorageSettings


@dataclass(frozen=True, slots=True)
class Data:
    """The broker's state, and how safely it is to be there."""

    settings: StorageSettings
    plugin: str | None = None
    """What makes a storage of the operator's own, which has it then."""
    remedies: Remedies = field(default_factory=Remedies)
    has_cluster: bool = False
    """Whether the engine of a cluster has it."""

    def promise(self, cluster: ClusterView | None = None) -> str:
        """What becomes of what the broker holds, which belongs to this cluster."""
        settings = self.settings
        if cluster is not None:
            return (
                f"It is the node {cluster.node} of the cluster {cluster.name}, which has"
                f" {counted(len(cluster.nodes), 'node')} now. Its engine at {cluster.engine} keeps"
                f" what it acknowledges. {cluster.promise}"
            ).rstrip()
        if self.plugin is not None:
            return f"What it acknowledges is kept by {self.plugin}."
        if settings.path is None:
            return f"Sessions and retained messages end with it: {self.remedies.data} keeps them."
        if settings.durability == "commit":
            survives = "the end of the process, but not a power cut"
        else:
            survives = "a power cut"
        return (
            f"What it acknowledges survives {survives}: it is kept in {os.fspath(settings.path)}."
        )

    def restored(self, found: trio_mqtt.Holdings, seconds: float) -> str:
        """What the broker has begun with, and how long that took; empty if it was nothing."""
        return f"Restored {_listed(found)} in {seconds:.1f} s." if any(found) else ""

    def forgotten(self, left: trio_mqtt.Holdings) -> str:
        """What ends with the broker that has left this; empty if it is nothing."""
        kept = self.settings.path is not None or self.plugin is not None
        if kept or self.has_cluster or not any(left):
            return ""
        end, them = ("ends", "it") if sum(left) == 1 else ("end", "them")
        return f"{_listed(left)} {end} with it: {self.remedies.data} keeps {them}."


ENGINE = "engine"
"""Where in their folder workers have what their engine keeps."""
_LOGS_OF_ENGINES = ("appendonlydir", "appendonly.aof")  # since Redis 7, and before


def check_folder_of_one(folder: Path) -> None:
    """Raise CommandError where a folder holds what workers kept: one broker would find nothing."""
    if any((folder / ENGINE / log).exists() for log in _LOGS_OF_ENGINES):
        raise CommandError(
            f"{folder} holds what a broker with --workers keeps, which one without cannot read:"
            " give --workers as well, or another folder."
        )


def check_folder_of_workers(folder: Path) -> None:
    """Raise CommandError where a folder holds what one broker kept: workers would find nothing."""
    from trio_mqtt.durability import store_path  # loads sqlite3: few need it here

    if os.path.exists(store_path(folder)):
        raise CommandError(
            f"{folder} holds what a broker without --workers keeps, which one with them cannot"
            " read: leave out --workers, or give another folder."
        )


def _listed(holdings: trio_mqtt.Holdings) -> str:
    """What there is of them: `2 sessions, 40 waiting messages and 5 retained messages`."""
    things = {
        "session": holdings.sessions,
        "waiting message": holdings.messages,
        "retained message": holdings.retained,
    }
    *others, last = [counted(number, thing) for thing, number in things.items() if number]
    return f"{', '.join(others)} and {last}" if others else last
