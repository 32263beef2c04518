"""A history, read once: its messages, subscriptions, deliveries and connections.

Places in the history are indexes of its events; NEVER is later than all of them.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass, field

from tests.durability.history import (
    EARLY,
    LASTING,
    LATE,
    NOTICED,
    Acknowledged,
    Completed,
    Connected,
    Connecting,
    Cut,
    Down,
    Ended,
    Healed,
    History,
    Publishing,
    Received,
    Released,
    Resent,
    Stopping,
    Subscribed,
    Subscribing,
    Unsubscribed,
    Unsubscribing,
    Up,
    WillOf,
)
from trio_mqtt.protocol.topics import parse_shared, topic_matches_filter

NEVER = sys.maxsize


@dataclass(slots=True)
class Message:
    """An application message, a will included: between `invoked` and `done` it takes effect.

    `sent_at` and `acknowledged_at` are in seconds, as `expiry` is.
    """

    number: int
    publisher: str
    topic: str
    qos: int
    invoked: int
    retain: bool = False
    is_removal: bool = False
    is_will: bool = False
    acknowledged: int = NEVER
    done: int = NEVER
    was_resent: bool = False
    expiry: int | None = None
    sent_at: float = 0.0
    acknowledged_at: float = float("inf")

    @property
    def may_expire(self) -> bool:
        """Whether it may, before its receivers have come."""
        return self.expiry is not None and self.expiry < LASTING


@dataclass(slots=True, eq=False)
class Life:
    """A subscription, from its first SUBSCRIBE until it is given up; `over` when that is sure.

    `group` is the share name and filter of a shared one.
    """

    client: str
    topic_filter: str
    invoked: int
    qos: set[int]
    acknowledged: int = NEVER
    given_up: int = NEVER
    over: int = NEVER
    lost: int = NEVER  # its client was told that the session is not there any more
    group: tuple[str, str] | None = None

    def matches(self, topic: str) -> bool:
        plain = self.topic_filter if self.group is None else self.group[1]
        return topic_matches_filter(topic, plain)

    def may_have(self, message: Message) -> bool:
        """Whether the message may have been routed while this subscription was there."""
        return self.invoked < message.done and message.invoked < self.over

    def is_owed(self, message: Message) -> bool:
        """Whether the message must come: sent when it was sure to be there, and taken on."""
        return (
            self.acknowledged < message.invoked < self.lost
            and self.given_up == NEVER
            and message.acknowledged < NEVER
            and not message.may_expire
        )


@dataclass(slots=True)
class Delivery:
    """A message that came as a new one: of a QoS 2 identifier that was not released, the first."""

    at: float
    index: int
    client: str
    connection: int
    number: int
    qos: int
    retain: bool
    dup: bool
    expiry: int | None


@dataclass(slots=True)
class Connection:
    """One connection of a client. `at` are the seconds of its end, which the broker may make."""

    client: str
    connecting: Connecting
    index: int
    connected: int = NEVER
    connected_at: float = float("inf")
    ended: int = NEVER
    ended_at: float = float("inf")
    said_goodbye: bool = False

    def session_is_there(self, asked: float, answered: float, starts: list[float]) -> bool | None:
        """Whether its session is there later, if nobody else ended it; None: nobody can tell.

        `starts` are those of the broker until then: one that was away may count from its return.
        """
        expiry = self.connecting.expiry
        if answered < self.ended_at + expiry - EARLY:
            return True
        latest = max([self.ended_at, *starts]) + expiry + LATE
        return False if asked > latest or not expiry else None


@dataclass(slots=True)
class Account:
    messages: dict[int, Message] = field(default_factory=dict)
    lives: list[Life] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    # Times of what others notice of a node within NOTICED seconds: that counts as a start too.
    notices: list[float] = field(default_factory=list)
    stops: list[float] = field(default_factory=list)
    ends: list[tuple[int, float]] = field(default_factory=list)  # of the broker: index and time
    # When nodes were cut off, all of them where none is named, and until when; inf: it still is.
    cuts: list[tuple[str, float, float]] = field(default_factory=list)
    # What came with the identifier of another message that was not released.
    confused: list[tuple[int, Received]] = field(default_factory=list)
    has_nodes: bool = False  # there are several brokers
    _matching: dict[str, list[Life]] = field(default_factory=dict)

    def starts_until(self, at: float) -> list[float]:
        """From when time may count anew for those who have gone, as known at that time."""
        noticed = (notice + NOTICED for notice in self.notices if notice < at)
        return [*(start for start in self.starts if start < at), *noticed]

    def next_end(self, index: int) -> tuple[int, float]:
        """The first end of the broker after a place in the history: its place and time."""
        return next((end for end in self.ends if end[0] > index), (NEVER, float("inf")))

    def is_cut(self, connection: Connection) -> bool:
        """Whether a connection has ended while its node may not have been able to tell anybody."""
        at, node = connection.ended_at, connection.connecting.node
        return any(
            where in ("", node) and begin - EARLY < at < end + LATE
            for where, begin, end in self.cuts
        )

    def lives_for(self, topic: str) -> list[Life]:
        """All subscriptions, shared ones too, whose filter the topic matches."""
        found = self._matching.get(topic)
        if found is None:
            found = self._matching[topic] = [life for life in self.lives if life.matches(topic)]
        return found


class _Reader:
    """Goes through a history, event by event."""

    def __init__(self) -> None:
        self.account = Account()
        self.connection: dict[str, Connection] = {}
        self.before: dict[str, Connection] = {}  # the last that was accepted, and has ended
        self.subscribed: dict[tuple[str, str], Life] = {}
        self.open: defaultdict[str, dict[int, int | None]] = defaultdict(dict)
        # Given up with their session, and over when the client has been connected again.
        self.fading: defaultdict[str, list[Life]] = defaultdict(list)
        self.nodes: set[str] = set()  # of several brokers, those that run
        self.tried: set[str] = set()  # who saw no answer to CONNECT: a session may have begun

    def connecting(self, index: int, event: Connecting) -> None:
        connection = Connection(event.client, event, index)
        self.account.connections.append(connection)
        self.connection[event.client] = connection
        if event.will is not None:
            self.will(index, event.client, event.will)
        if event.clean_start:
            self.give_up_session(index, event.client)

    def will(self, index: int, client: str, will: WillOf) -> None:
        self.account.messages[will.number] = Message(
            will.number, client, will.topic, will.qos, index, will.retain, is_will=True
        )

    def connected(self, index: int, event: Connected) -> None:
        connection = self.connection[event.client]
        connection.connected, connection.connected_at = index, event.at
        for life in self.fading.pop(event.client, ()):
            if event.session_present:
                # What was to end the session got no answer, and did not end it.
                self.subscribed.setdefault((event.client, life.topic_filter), life)
            else:
                life.over = index
        before = self.before.get(event.client)
        times = connection.connecting.at, event.at, self.account.starts_until(event.at)
        was_to_stay = before is None or before.session_is_there(*times)
        if not event.session_present:
            self.open[event.client].clear()
        # It may have ended, and another begun, by a CONNACK that nobody saw.
        if not event.session_present or (event.client in self.tried and not was_to_stay):
            for life in self.take_all(event.client):
                if was_to_stay:
                    life.lost = index
                else:
                    life.given_up = min(life.given_up, index)
                    life.over = NEVER if event.session_present else index
        self.tried.discard(event.client)

    def take_all(self, client: str) -> list[Life]:
        """The subscriptions that a client has, which stand for it no more."""
        return [self.subscribed.pop(key) for key in list(self.subscribed) if key[0] == client]

    def ended(self, index: int, client: str, at: float, said_goodbye: bool) -> None:
        connection = self.connection.pop(client, None)
        if connection is None:
            return
        connection.ended, connection.ended_at = index, at
        connection.said_goodbye = said_goodbye
        if connection.connected < NEVER:
            self.before[client] = connection
        elif connection.connecting.expiry:
            self.tried.add(client)
        if not connection.connecting.expiry:
            self.give_up_session(index, client)

    def up(self, event: Up) -> None:
        if not event.node:
            self.account.starts.append(event.at)
        elif not self.nodes:  # there was none that could notice anything
            self.account.notices.append(event.at)
        self.nodes.add(event.node)
        self.account.has_nodes |= bool(event.node)

    def down(self, index: int, event: Down) -> None:
        self.nodes.discard(event.node)
        self.account.ends.append((index, event.at))
        if event.node:  # what it held is held by others, once they know
            self.account.notices.append(event.at)
        for client, connection in list(self.connection.items()):
            if event.node in ("", connection.connecting.node):
                self.ended(index, client, event.at, False)

    def cut(self, event: Cut) -> None:
        self.account.notices.append(event.at)
        self.account.cuts.append((event.node, event.at, float("inf")))

    def healed(self, event: Healed) -> None:
        self.account.notices.append(event.at)
        self.account.cuts = [
            (node, begin, event.at if node == event.node else end)
            if end == float("inf")
            else (node, begin, end)
            for node, begin, end in self.account.cuts
        ]

    def give_up_session(self, index: int, client: str) -> None:
        for life in self.take_all(client):
            life.given_up = min(life.given_up, index)
            self.fading[client].append(life)

    def subscribing(self, index: int, event: Subscribing) -> None:
        key = event.client, event.topic_filter
        life = self.subscribed.get(key)
        if life is not None and life.given_up == NEVER:
            life.qos.add(event.qos)
            return
        life = Life(event.client, event.topic_filter, index, {event.qos})
        life.group = parse_shared(event.topic_filter)
        self.subscribed[key] = life
        self.account.lives.append(life)

    def subscribed_(self, index: int, event: Subscribed) -> None:
        life = self.subscribed[event.client, event.topic_filter]
        if event.granted:
            life.acknowledged = min(life.acknowledged, index)

    def unsubscribing(self, index: int, event: Unsubscribing) -> None:
        life = self.subscribed.get((event.client, event.topic_filter))
        if life is not None:
            life.given_up = min(life.given_up, index)

    def unsubscribed(self, index: int, event: Unsubscribed) -> None:
        life = self.subscribed.pop((event.client, event.topic_filter), None)
        if life is not None:
            life.over = index

    def publishing(self, index: int, event: Publishing) -> None:
        self.account.messages[event.number] = Message(
            event.number, event.client, event.topic, event.qos, index, event.retain,
            event.is_removal, expiry=event.expiry, sent_at=event.at,
        )  # fmt: skip

    def acknowledged(self, index: int, event: Acknowledged) -> None:
        message = self.account.messages[event.number]
        if event.accepted:
            message.acknowledged = min(message.acknowledged, index)
            message.acknowledged_at = min(message.acknowledged_at, event.at)
        if message.qos == 1 or not event.accepted:
            message.done = min(message.done, index)

    def received(self, index: int, event: Received) -> None:
        if event.qos == 2:
            waiting = self.open[event.client]
            if event.packet_id in waiting:
                if waiting[event.packet_id] != event.number:
                    self.account.confused.append((index, event))
                return
            waiting[event.packet_id] = event.number
        if event.number is not None:
            connection = self.connection.get(event.client)
            self.account.deliveries.append(
                Delivery(
                    event.at, index, event.client, connection.index if connection else -1,
                    event.number, event.qos, event.retain, event.dup, event.expiry,
                )
            )  # fmt: skip
            message = self.account.messages.get(event.number)
            if message is not None and message.is_will and event.qos == 2:
                # What has come at QoS 2 was kept before.
                message.done = min(message.done, index)

    def read(self, history: History) -> Account:
        for index, event in enumerate(history):
            match event:
                case Up():
                    self.up(event)
                case Stopping():
                    self.account.stops.append(event.at)
                case Down():
                    self.down(index, event)
                case Cut():
                    self.cut(event)
                case Healed():
                    self.healed(event)
                case Connecting():
                    self.connecting(index, event)
                case Connected():
                    self.connected(index, event)
                case Ended():
                    self.ended(index, event.client, event.at, event.said_goodbye)
                case Subscribing():
                    self.subscribing(index, event)
                case Subscribed():
                    self.subscribed_(index, event)
                case Unsubscribing():
                    self.unsubscribing(index, event)
                case Unsubscribed():
                    self.unsubscribed(index, event)
                case Publishing():
                    self.publishing(index, event)
                case Resent():
                    self.account.messages[event.number].was_resent = True
                case Acknowledged():
                    self.acknowledged(index, event)
                case Completed():
                    message = self.account.messages[event.number]
                    message.done = min(message.done, index)
                case Received():
                    self.received(index, event)
                case Released():
                    self.open[event.client].pop(event.packet_id, None)
        return self.account


def account_of(history: History) -> Account:
    """Read a history."""
    return _Reader().read(history)
