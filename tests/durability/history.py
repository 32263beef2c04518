"""What clients and broker have done, in the order in which the test saw it.

What is invoked is recorded before its first byte leaves, what is answered or delivered after its
last byte has come: where one event stands before another here, it was so.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

LONG = 86_400.0  # seconds: longer than any history
EARLY = 1.0  # seconds that a broker may be before its time: it may count in whole ones
LATE = 3.0  # seconds that a busy machine may take
NOTICED = 5.0  # seconds after which the others do what is to be done for a node that went away
LASTING = 3_600  # seconds of message expiry: longer than any history, too


@dataclass(frozen=True, slots=True)
class WillOf:
    """The will of a connection. `delay` is in seconds; `retain`: it is to be retained."""

    number: int
    topic: str
    qos: int
    delay: int = 0
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """`at` is in seconds, of a clock that only goes forward."""

    at: float


@dataclass(frozen=True, slots=True)
class Up(Event):
    """The broker accepts connections; of several, the `node`."""

    node: str = ""


@dataclass(frozen=True, slots=True)
class Down(Event):
    """The broker's process has been ended, or has ended; of several, the `node`'s."""

    node: str = ""


@dataclass(frozen=True, slots=True)
class Stopping(Event):
    """The broker is asked to end: wills without a delay may come before their clients are told."""

    node: str = ""


@dataclass(frozen=True, slots=True)
class Cut(Event):
    """A node does not reach what keeps its promises any more, or does nothing; no node: all."""

    node: str = ""


@dataclass(frozen=True, slots=True)
class Healed(Event):
    """What was cut is whole again."""

    node: str = ""


@dataclass(frozen=True, slots=True)
class ClientEvent(Event):
    client: str


@dataclass(frozen=True, slots=True)
class Connecting(ClientEvent):
    """CONNECT leaves. `expiry` are the seconds that the session is to outlive its connection.

    `node` is the one of several brokers that it goes to.
    """

    clean_start: bool = False
    expiry: float = LONG
    will: WillOf | None = None
    is_v5: bool = True
    node: str = ""


@dataclass(frozen=True, slots=True)
class Connected(ClientEvent):
    session_present: bool


@dataclass(frozen=True, slots=True)
class Ended(ClientEvent):
    """The connection has ended from the client's side; `said_goodbye`: by DISCONNECT with 0."""

    said_goodbye: bool = False


@dataclass(frozen=True, slots=True)
class Subscribing(ClientEvent):
    topic_filter: str
    qos: int


@dataclass(frozen=True, slots=True)
class Subscribed(ClientEvent):
    topic_filter: str
    granted: bool = True


@dataclass(frozen=True, slots=True)
class Unsubscribing(ClientEvent):
    topic_filter: str


@dataclass(frozen=True, slots=True)
class Unsubscribed(ClientEvent):
    topic_filter: str


@dataclass(frozen=True, slots=True)
class Publishing(ClientEvent):
    """A message leaves for the first time. `number` is in its payload and is of it alone.

    `expiry` are the seconds of its message expiry interval, if it has one.
    """

    number: int
    topic: str
    qos: int
    packet_id: int
    retain: bool = False
    is_removal: bool = False
    expiry: int | None = None


@dataclass(frozen=True, slots=True)
class Resent(ClientEvent):
    """PUBLISH with DUP for the same message and packet identifier."""

    number: int


@dataclass(frozen=True, slots=True)
class Acknowledged(ClientEvent):
    """PUBACK, or PUBREC: from now on the broker answers for the message."""

    number: int
    accepted: bool = True


@dataclass(frozen=True, slots=True)
class Completed(ClientEvent):
    """PUBCOMP."""

    number: int


@dataclass(frozen=True, slots=True)
class Received(ClientEvent):
    """A PUBLISH came. `number` is None where its payload is none that the test has made.

    `expiry` is what is left of its message expiry interval, in seconds, where it says so.
    """

    number: int | None
    topic: str
    qos: int
    packet_id: int
    dup: bool = False
    retain: bool = False
    expiry: int | None = None


@dataclass(frozen=True, slots=True)
class Released(ClientEvent):
    """PUBREL came: its packet identifier may be used again."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Answered(ClientEvent):
    """The client's own PUBACK, PUBREC or PUBCOMP leaves."""

    packet_id: int
    packet: str


@dataclass(frozen=True, slots=True)
class Looking(ClientEvent):
    """A look at all retained messages of some topics begins."""

    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Looked(ClientEvent):
    """What the look has found: (topic, number)."""

    found: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Violated(ClientEvent):
    """The broker did what the standard forbids on a connection, or did not answer at all."""

    what: str


History = list[Event]


def payload_of(number: int) -> bytes:
    """The payload of a message; its length differs with its number."""
    return b"%d " % number + b"x" * (number * 37 % 211)


def number_in(payload: bytes) -> int | None:
    """The number of a message, if its payload is as `payload_of` makes it."""
    digits = payload.partition(b" ")[0]
    if not digits.isdigit():
        return None
    number = int(digits)
    return number if payload == payload_of(number) else None


def to_lines(history: Iterable[Event]) -> Iterable[str]:
    """The history as JSON lines, for whoever looks into one."""
    for event in history:
        fields: dict[str, Any] = {"event": type(event).__name__}
        yield json.dumps(fields | dataclasses.asdict(event))
