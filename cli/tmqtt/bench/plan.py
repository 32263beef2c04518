"""What is to be measured, and which of the worker processes does which part of it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

from tmqtt.connecting.settings import ConnectionOptions

_DEFAULT_SECONDS = 10.0
_DEFAULT_AHEAD = 1_000
_DEFAULT_PROCESSES = 8  # at most, where there are more cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One measurement.

    `rate` is in messages a second for each publisher, or connections a second in all; None is as
    fast as it goes. It ends after `seconds`, or after `count` messages of each publisher; both None
    means never. `window` bounds what a publisher has unacknowledged (QoS 1 and 2), `ahead` how far
    it gets ahead of its slowest subscriber (0: no bound). `topic` is what the topics begin with;
    of `sub`, the topic filter.
    """

    kind: str
    publishers: int
    subscribers: int
    topic: str
    rate: float | None = None
    size: int = 64
    qos: int = 0
    retain: bool = False
    seconds: float | None = None
    count: int | None = None
    processes: int = 1
    window: int = 16
    ahead: int = 0

    @property
    def clients(self) -> int:
        """All connections."""
        return self.publishers + self.subscribers

    @property
    def delivers(self) -> bool:
        """Whether what is published here is received here."""
        return self.publishers > 0 and self.subscribers > 0

    def topic_of(self, publisher: int) -> str:
        """Where a publisher publishes."""
        return f"{self.topic}/{publisher}"

    def filter_of(self, subscriber: int) -> str:
        """What a subscriber subscribes to."""
        match self.kind:
            case "pair":
                return f"{self.topic}/{subscriber}"
            case "sub":
                return self.topic
            case _:
                return f"{self.topic}/+"

    def copies(self) -> int:
        """How many subscribers get what one publisher publishes."""
        return 1 if self.kind == "pair" else self.subscribers

    def slots(self) -> int:
        """How many pairs of a publisher and a subscriber of its messages there are."""
        return self.publishers * self.copies()

    def slots_of(self, publisher: int) -> tuple[int, int]:
        """The slots of a publisher's subscribers: the first, and the one after the last."""
        return publisher * self.copies(), (publisher + 1) * self.copies()

    def slot(self, publisher: int, subscriber: int) -> int:
        """The slot of one pair."""
        return publisher if self.kind == "pair" else publisher * self.subscribers + subscriber


def plan_of(kind: str, *, clients: int, **given: Any) -> Plan:
    """The plan for what was asked for; what was not is as fits the `kind`."""
    processes = given.pop("processes")
    given["processes"] = _cores() if processes is None else processes
    seconds = given.pop("duration")
    if kind == "conn":
        return Plan(
            kind=kind, publishers=0, subscribers=clients, topic="", seconds=seconds, **given
        )
    publishers, subscribers = {
        "pub": (clients, 0),
        "sub": (0, clients),
        "pair": (clients, clients),
        "fan-in": (clients, given.pop("subscribers", 0)),
        "fan-out": (given.pop("publishers", 0), clients),
    }[kind]
    topic = given.pop("topic")
    if topic is None:
        # Those of `pub` are where `sub` subscribes; others are in nobody's way.
        topic = "tmqtt-bench" if kind == "pub" else f"tmqtt-bench-{os.urandom(4).hex()}"
    if seconds is None and given["count"] is None:
        seconds = _DEFAULT_SECONDS
    ahead = given.pop("ahead", 0)
    if ahead is None:
        ahead = _DEFAULT_AHEAD if given["rate"] is None else 0
    if ahead:
        # All publishers of a subscriber share what may be under way to it.
        ahead = max(1, ahead // (1 if kind == "pair" else publishers))
    return Plan(
        kind=kind,
        publishers=publishers,
        subscribers=subscribers,
        topic=topic,
        seconds=seconds,
        ahead=ahead,
        **given,
    )


def _cores() -> int:
    """The cores that this process may use, up to what measuring has a use for."""
    if sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return min(cores, _DEFAULT_PROCESSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The part of one worker process: the clients that it is.

    `run` marks the messages of this measurement: publishers are known by `run << 16 | index`.
    `progress_file` is where subscribers note how far they are, for publishers that must not get too
    far ahead.
    """

    plan: Plan
    connection: ConnectionOptions
    run: int
    publishers: tuple[int, ...]
    subscribers: tuple[int, ...]
    progress_file: str | None = None


def shares(plan: Plan) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The publishers and subscribers of each worker.

    They are dealt out in turn, publishers from the first worker on and subscribers from the last
    back, so that the two ends of a pair are in different processes where there are two or more.
    """
    count = max(1, min(plan.processes, plan.clients))
    return [
        (
            tuple(range(worker, plan.publishers, count)),
            tuple(range(count - 1 - worker, plan.subscribers, count)),
        )
        for worker in range(count)
    ]
