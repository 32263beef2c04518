"""What is asked of the history, and what is answered. Sans-IO.

Their types are said as they are, not as text: others make forms and descriptions of them.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.history.numbers import parse_path
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.topics import parse_shared, topic_filter_problem

Summary: TypeAlias = Literal["mean", "min", "max", "last", "count"]
SUMMARIES: tuple[Summary, ...] = ("mean", "min", "max", "last", "count")

MICROSECONDS = 1_000_000
MOST_MESSAGES = 10_000  # in a page
MOST_BYTES = 16 * 1024 * 1024
_LATEST = 1 << 62


class QueryError(LocalProtocolError):
    """A question that makes no sense; its text says why."""


@with_attribute_docs
@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """What of the history is wanted. Raises QueryError, a LocalProtocolError."""

    topic_filter: str
    """Of which topics."""
    since: float | None = None
    """Seconds since 1970: what came from then on. None: from the oldest on."""
    until: float | None = None
    """Seconds since 1970: what came before that. None: to the newest."""
    last: int | None = None
    """Only so many, the newest of them. A page has the newest that it has room for, oldest first,
    and the next page those before them."""
    every: float | None = None
    """Seconds: not the messages, but a point for each topic and so long, from its messages'
    numbers. Points begin at whole multiples of it since 1970."""
    summary: Summary = "mean"
    """What of the numbers a point has."""
    path: str = ""
    """Where in JSON the number is, as `.rooms[0].t`; empty: the payload is one."""
    after: str = ""
    """Where a page before has ended: its `next`."""
    limit: int = 1_000
    """Messages or points in a page at most."""
    maximum_bytes: int = 1024 * 1024
    """Bytes of topics, payloads and properties in a page, but for a single message."""

    def __post_init__(self) -> None:
        problem = topic_filter_problem(self.topic_filter)
        if problem is not None:
            raise QueryError(f"The topic filter {self.topic_filter!r} {problem}.")
        if parse_shared(self.topic_filter) is not None:
            raise QueryError("The history of a filter is asked for without $share/NAME/.")
        if self.last is not None and self.last < 1:
            raise QueryError(f"last is 1 or more, not {self.last}.")
        if self.last is not None and self.every is not None:
            raise QueryError("There is last, or every, not both.")
        if self.every is not None and not 0.001 <= self.every <= 1e9:
            raise QueryError("every is a millisecond or more.")
        if self.summary not in SUMMARIES:
            raise QueryError(f"There is no {self.summary!r}: write {', '.join(SUMMARIES)}.")
        if not 1 <= self.limit <= MOST_MESSAGES:
            raise QueryError(f"limit is between 1 and {MOST_MESSAGES:,}.")
        if not 1 <= self.maximum_bytes <= MOST_BYTES:
            raise QueryError(f"maximum_bytes is between 1 and {MOST_BYTES:,}.")
        for name in ("since", "until"):
            value = getattr(self, name)
            if value is not None and not abs(value) < 1e12:
                raise QueryError(f"{name} is no time: {value}.")
        if self.path:
            try:
                parse_path(self.path)
            except ValueError as error:
                raise QueryError(str(error)) from None
        if self.after:
            Place.parse(self.after)

    @property
    def first(self) -> int:
        """The first microsecond since 1970 that is wanted."""
        return -_LATEST if self.since is None else round(self.since * MICROSECONDS)

    @property
    def beyond(self) -> int:
        """The first that is not wanted any more."""
        return _LATEST if self.until is None else round(self.until * MICROSECONDS)


class Place(NamedTuple):
    """Where a message stands: messages have the order of this."""

    at: int
    """Microseconds since 1970."""
    chunk: int
    number: int
    """Which one it is in its chunk."""
    left: int = 0
    """How many are still wanted behind it; 0: all."""

    def __str__(self) -> str:
        return ".".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Raises QueryError where that is none."""
        try:
            at, chunk, number, left = map(int, text.split("."))
        except ValueError:
            raise QueryError("after is what a page before has as its next.") from None
        if not (abs(at) < _LATEST and 0 <= chunk < _LATEST and 0 <= number <= _LATEST):
            raise QueryError("after is what a page before has as its next.")
        return cls(at, chunk, number, max(0, left))


class KeptMessage(NamedTuple):
    """A message that was kept."""

    topic: str
    """Its topic."""
    payload: bytes
    """Its payload."""
    at: float
    """When it came, in seconds since 1970, as the clock of the broker was then."""
    qos: int = 0
    """As it was published."""
    retain: bool = False
    """Whether it was to be retained."""
    properties: Properties = NO_PROPERTIES
    """Those of MQTT 5."""


@with_attribute_docs
@dataclass(frozen=True, slots=True)
class Point:
    """Numbers of one topic within some time, as one."""

    topic: str
    """Its topic."""
    at: float
    """When that time begins, in seconds since 1970."""
    value: float
    """What the query wants of the numbers."""
    numbers: int
    """How many there were."""


@with_attribute_docs
@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A part of an answer."""

    messages: tuple[KeptMessage, ...] = ()
    """Messages in the order of their time."""
    points: tuple[Point, ...] = ()
    """Points in the order of their time, where the query asks for those."""
    next: str = ""
    """What the query for the next page has as its `after`; empty: this was the last. A page may
    have nothing, and yet not be the last: where there was much to look through."""


@with_attribute_docs
@dataclass(frozen=True, slots=True)
class Removal:
    """What was removed for one reason, or never kept, within a day."""

    day: str
    """The day, as 2026-11-29, UTC."""
    reason: str
    """Why: "age", "size" or "messages" as the settings have it; "asked" as somebody did; "lost":
    it was not kept, as the disk was too slow or full; "topics": there were too many."""
    messages: int
    """How many messages."""
    oldest: float | None = None
    """When the oldest of them came, in seconds since 1970."""
    newest: float | None = None
    """When the newest of them came."""
    topic_filter: str = ""
    """By which filter: that of `HistorySettings.ages`, or which somebody has asked for; empty where
    there is none, or too many were on that day."""


@with_attribute_docs
@dataclass(frozen=True, slots=True)
class HistoryFigures:
    """How a history fares."""

    messages: int = 0
    """Messages in it."""
    topics: int = 0
    """Topics that these have."""
    size: int = 0
    """Bytes of the file that are in use."""
    waiting: int = 0
    """Bytes that wait to be written."""
    kept: int = 0
    """Messages kept since the broker began."""
    lost: int = 0
    """Messages that were to be kept and are not, since then."""
    removed: int = 0
    """Messages removed since then, for their age, or for room."""
    failure: str | None = None
    """Why nothing is kept now; None while it is."""
