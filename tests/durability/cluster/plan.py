"""What happens to a cluster and its clients: all of it decided by a seed before anything begins."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum, auto

from tests.durability.cluster.nodes import LEASE, NAMES
from tests.durability.plan import ROLES, Part, part_of

DOORS = 40  # nodes that a client goes to, one after the other, and from the first again


class Trouble(Enum):
    KILL = auto()  # a node, by SIGKILL; it is started again
    LEAVE = auto()  # a node, by SIGTERM; it is started again
    PAUSE = auto()  # a node: SIGSTOP, SIGCONT
    CUT = auto()  # a node's connections to the engine end, and none begins
    SILENCE = auto()  # nothing comes through them any more, until all of it does
    ENGINE_SLEEP = auto()  # the engine answers nobody
    ENGINE_KILL = auto()  # the engine, by SIGKILL; it is started again on its AOF


@dataclass(frozen=True, slots=True)
class Blow:
    """Trouble that begins `at` a second of its round and lasts some `seconds`."""

    at: float
    trouble: Trouble
    node: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ClusterRound:
    """`doors` are the numbers of the nodes that each client goes to, in turn."""

    seconds: float
    blows: tuple[Blow, ...]
    doors: dict[str, tuple[int, ...]]
    parts: dict[str, Part]


def cluster_plan(seed: int, rounds: int) -> list[ClusterRound]:
    """The rounds of a seed; the first of many are the same as of few."""
    return [
        _round(random.Random(f"cluster/{seed}/{number}"), number)  # noqa: S311
        for number in range(rounds)
    ]


def _round(chance: random.Random, number: int) -> ClusterRound:
    seconds = chance.uniform(1.5, 4.5)
    count = chance.choices((1, 2, 3), (5, 3, 1))[0]
    blows = sorted((_blow(chance, seconds) for _ in range(count)), key=lambda blow: blow.at)
    names = [role.name for role in ROLES] + ["probe"]
    return ClusterRound(
        seconds,
        tuple(blows),
        {name: tuple(chance.randrange(len(NAMES)) for _ in range(DOORS)) for name in names},
        {role.name: part_of(chance, role, seconds, always=number == 0) for role in ROLES},
    )


def _blow(chance: random.Random, seconds: float) -> Blow:
    # Half of what lasts is over before the node's lease is, the other half is not.
    lasts = chance.choice((chance.uniform(0.1, LEASE / 2), chance.uniform(LEASE, LEASE + 2)))
    return Blow(
        chance.uniform(0.3, seconds),
        chance.choices(list(Trouble), (6, 2, 2, 2, 2, 1, 2))[0],
        chance.randrange(len(NAMES)),
        lasts,
    )
