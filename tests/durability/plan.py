"""Who does what and when, all of it decided by a seed before anything begins."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import Enum, auto

from tests.durability.history import LASTING, LONG
from trio_mqtt.protocol.packet_types import ProtocolVersion

V311, V5 = ProtocolVersion.V311, ProtocolVersion.V5
PUBLISHED = ("r/1", "r/2", "r/3", "r/4")  # retained messages that are published
RETAINED_TOPICS = (*PUBLISHED, "r/w/m1", "r/w/m2")  # and wills
EXPIRIES = (2, 5, 10, LASTING)  # seconds: some rounds, and more than all of them
WILL_DELAYS = (0, 0, 2, 2, 60)  # seconds


class Action(Enum):
    PUBLISH = auto()
    SUBSCRIBE = auto()
    UNSUBSCRIBE = auto()
    HOLD = auto()  # answers to messages, for a while
    AWAY = auto()  # without a connection, for a while
    TAKE_OVER = auto()
    CLEAN_START = auto()


@dataclass(frozen=True, slots=True)
class Step:
    """`pause` and `seconds` are in seconds; what an action has no use for is left as it is."""

    pause: float
    action: Action
    topic: str = ""
    qos: int = 0
    expiry: int | None = None
    retain: bool = False
    is_removal: bool = False
    say_goodbye: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Part:
    """What a client does in one round; `arrives` after so many seconds, or not at all (None)."""

    arrives: float | None
    will_delay: int
    will_qos: int
    will_retain: bool
    steps: tuple[Step, ...]


class Ending(Enum):
    """How a round ends: KILL is SIGKILL, FAULT the process's own end within a commit."""

    KILL = auto()
    FAULT = auto()
    TERMINATE = auto()


@dataclass(frozen=True, slots=True)
class Round:
    seconds: float
    ending: Ending
    fault_place: str  # before, inside or after a commit
    fault_commit: int  # which one
    parts: dict[str, Part]


@dataclass(frozen=True, slots=True)
class Role:
    """What a client may do. `core` are its subscriptions that are never given up."""

    name: str
    version: ProtocolVersion = V5
    core: dict[str, int] = field(default_factory=dict)
    topics: tuple[str, ...] = ()
    wanders: tuple[str, ...] = ()
    has_will: bool = False
    expiry: float = LONG  # seconds that its session outlives a connection
    presence: float = 0.9  # in how many of the rounds it takes part
    restless: float = 0.03  # how often a step is to leave, or to take over


ROLES = (
    Role("p1", topics=("d/1", "d/2", "s/1", "r/1", "r/2", "r/3")),
    Role("p2", V311, topics=("d/1", "d/3", "s/1", "x/1", "x/2", "r/1")),
    Role("p3", topics=("x/1", "x/2", "x/3", "d/2", "s/2", "r/2", "r/4")),
    Role("near", core={"d/#": 2, "r/#": 2}),
    Role("old", V311, core={"d/#": 1}),
    Role("far", core={"d/#": 2, "r/w/#": 1}, presence=0.3),
    Role("brief", core={"d/#": 1}, expiry=4, presence=0.4, restless=0.2),
    Role("watch", core={"r/w/#": 2}),
    Role("g1", core={"$share/g/s/#": 2}),
    Role("g2", core={"$share/g/s/#": 2}, presence=0.6, restless=0.1),
    Role("g3", core={"$share/g/s/#": 1}, restless=0.1),
    Role("u1", wanders=("x/1", "x/2", "x/3", "$share/h/s/#"), restless=0.1),
    Role("u2", V311, wanders=("x/1", "x/2", "x/3"), restless=0.1),
    Role("m1", has_will=True, presence=0.7, restless=0.5),
    Role("m2", has_will=True, presence=0.7, restless=0.3),
)


def plan(seed: int, rounds: int) -> list[Round]:
    """The rounds of a seed; the first of many are the same as of few."""
    return [_round(random.Random(f"{seed}/{number}"), number) for number in range(rounds)]  # noqa: S311


def _round(chance: random.Random, number: int) -> Round:
    seconds = chance.uniform(0.3, 1.6)
    return Round(
        seconds,
        chance.choices(list(Ending), (5, 4, 1))[0],
        chance.choices(("before", "inside", "after"), (1, 2, 3))[0],
        chance.randrange(1, 100),
        # In the first round all are there, and make their sessions.
        {role.name: part_of(chance, role, seconds, always=number == 0) for role in ROLES},
    )


def part_of(chance: random.Random, role: Role, seconds: float, *, always: bool) -> Part:
    arrives = chance.uniform(0, 0.2 if always else seconds / 2)
    if not always and chance.random() > role.presence:
        return Part(None, 0, 0, False, ())
    steps = []
    # What it gives up and asks for again, by turns.
    held = set(() if always else role.wanders)
    time = arrives
    while time < seconds:
        # Publishers send some at once, so that each end finds messages on their way.
        at_once = role.topics and chance.random() < 0.7
        rate = 60 if role.topics else 16 if role.wanders else 8
        pause = 0.0 if at_once else chance.expovariate(rate)
        time += pause
        steps.append(_step(chance, role, pause, held))
    will = chance.choice(WILL_DELAYS), chance.choice((1, 2)), chance.random() < 0.5
    return Part(arrives, *will, tuple(steps))


def _step(chance: random.Random, role: Role, pause: float, held: set[str]) -> Step:
    # Publishers take many steps.
    if chance.random() < (role.restless / 10 if role.topics else role.restless):
        if chance.random() < 0.3:
            return Step(pause, Action.TAKE_OVER)
        return Step(
            pause,
            Action.AWAY,
            say_goodbye=chance.random() < 0.5,
            seconds=chance.choice((0.0, 0.05, 0.3)),
        )
    if role.topics:
        topic = chance.choice(role.topics)
        retain = topic in RETAINED_TOPICS
        is_removal = retain and role.version == V5 and chance.random() < 0.3
        expires = not retain and role.version == V5 and chance.random() < 0.2
        expiry = chance.choice(EXPIRIES) if expires else None
        return Step(pause, Action.PUBLISH, topic, chance.choice((1, 2)), expiry, retain, is_removal)
    if role.wanders and chance.random() < 0.7:
        topic_filter = chance.choice(role.wanders)
        if chance.random() < 0.05:
            return Step(pause, Action.CLEAN_START)
        action = Action.UNSUBSCRIBE if topic_filter in held else Action.SUBSCRIBE
        held ^= {topic_filter}
        return Step(pause, action, topic_filter, chance.choice((1, 2)))
    return Step(pause, Action.HOLD, seconds=chance.uniform(0, 0.3))
