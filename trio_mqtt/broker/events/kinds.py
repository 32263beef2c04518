"""The kinds of events: what may happen in a broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from trio_mqtt.records import record

if TYPE_CHECKING:
    from trio_mqtt.protocol.packets import Publish
    from trio_mqtt.protocol.reason_codes import ReasonCode

# Why messages are dropped.
EXPIRED = "it has expired or is too large for the client"
NOT_ALLOWED = "the client may not receive it"
QUEUE_FULL = "too much waits for the client"
# Why sessions end without their clients.
SESSION_EXPIRED = "its client was away for too long"
ROOM_NEEDED = "others need its room"
NOT_CHECKED = "what it may do could not be checked anew"


class BrokerEvent:
    """Something that has happened in a broker: the base of all kinds."""

    __slots__ = ()


# -- connections -----------------------------------------------------------------------------------


@record
class ConnectionOpened(BrokerEvent):
    """A connection was accepted; nothing is known yet of who it is. `listener` is a URL."""

    address: str
    listener: str


@record
class ClientConnected(BrokerEvent):
    """A client was accepted. `protocol_version` is "3.1", "3.1.1" or "5"."""

    client_id: str
    address: str
    protocol_version: str
    username: str | None
    session_present: bool


@record
class ClientRefused(BrokerEvent):
    """A connection ended before its client was accepted; nobody has proved its `username`.

    `by_access` tells that it was refused for who it is, or what it wanted: the log
    `trio_mqtt.access` has that.
    """

    client_id: str | None
    address: str
    reason: str
    username: str | None = None
    by_access: bool = False


@record
class ClientDisconnected(BrokerEvent):
    """The connection of an accepted client ended; `reason` is empty where it said goodbye."""

    client_id: str
    reason: str
    address: str = ""
    username: str | None = None


@record
class KeepAliveExpired(BrokerEvent):
    """A client was silent for one and a half times its keep alive; it is disconnected."""

    client_id: str


@record
class Pinged(BrokerEvent):
    """A client has sent PINGREQ."""

    client_id: str


@record
class Throttled(BrokerEvent):
    """A client is as fast as it may be: it is read from more slowly where it sends more than its
    rate ("in"), and its messages wait where more come for it ("out"). Told of a client once a
    minute at most, each way."""

    client_id: str
    direction: Literal["in", "out"]


@record
class SessionEnded(BrokerEvent):
    """A session has ended without its client, which mostly is away: nothing waits any more."""

    client_id: str
    reason: str


# -- subscriptions ---------------------------------------------------------------------------------


@record
class Subscribed(BrokerEvent):
    """A client subscribed; `qos` is what it was granted."""

    client_id: str
    topic_filter: str
    qos: int


@record
class Unsubscribed(BrokerEvent):
    """A client gave up a subscription."""

    client_id: str
    topic_filter: str


@record
class SubscriptionRefused(BrokerEvent):
    """A client may not subscribe to what it asked for; `by_access` where rules or a hook say so."""

    client_id: str
    topic_filter: str
    reason_code: ReasonCode
    reason: str
    by_access: bool = False


# -- messages --------------------------------------------------------------------------------------


@record
class MessagePublished(BrokerEvent):
    """A message was taken; None is the broker itself. Its will counts as its client's message."""

    client_id: str | None
    topic: str
    payload: bytes
    qos: int
    retain: bool


def message_published(client_id: str | None, message: Publish) -> MessagePublished:
    """The event of a message that came in a packet."""
    return MessagePublished(client_id, message.topic, message.payload, message.qos, message.retain)


@record
class MessageRefused(BrokerEvent):
    """A client's message went nowhere; `by_access` where rules or a hook did not let it."""

    client_id: str
    topic: str
    reason: str
    by_access: bool = False


@record
class MessageDelivered(BrokerEvent):
    """A message was sent to a client, at this QoS."""

    client_id: str
    topic: str
    qos: int


@record
class MessageAcknowledged(BrokerEvent):
    """A client has taken over a message of QoS 1 (PUBACK) or 2 (PUBREC)."""

    client_id: str
    topic: str
    qos: int


@record
class MessagesDropped(BrokerEvent):
    """Messages that were on their way to a client will not reach it, for this reason."""

    client_id: str
    count: int
    reason: str


@record
class SlowConsumer(BrokerEvent):
    """A client takes less than comes for it: more than half of what may wait for it does, or its
    queue is full while it is away. Told of a client once a minute at most, while it is so."""

    client_id: str
    is_connected: bool
    queued_messages: int
    queued_bytes: int


@record
class WillPublished(BrokerEvent):
    """The will of a client that left without a goodbye was published."""

    client_id: str
    topic: str


@record
class RetainedChanged(BrokerEvent):
    """The retained message of a topic is another one, or was removed."""

    topic: str
    removed: bool


@record
class ChangeRequested(BrokerEvent):
    """Somebody has asked for a change over HTTP, who is `user` at `address`.

    `details` are what the `operation` was asked with, as JSON, of which the first 1,000 characters:
    payloads by their size, and no passwords. `outcome` is "done", or why it was not.
    """

    user: str
    address: str
    operation: str
    details: str
    outcome: str


# -- the cluster -----------------------------------------------------------------------------------


@record
class EngineLost(BrokerEvent):
    """The engine of the broker's cluster cannot be reached, or does nothing; `reason` is a
    sentence."""

    engine: str
    reason: str


@record
class EngineReturned(BrokerEvent):
    """The engine is there again, after so many seconds."""

    engine: str
    seconds: float


@record
class LeaseLost(BrokerEvent):
    """This broker was cut off from its cluster for longer than its lease, or its engine has lost
    some of what it was told, and is `node` no more: it takes nothing of QoS 1 and 2 until it has
    joined again."""

    node: str


@record
class NodeJoined(BrokerEvent):
    """A node has joined the cluster: another one, or this broker itself."""

    node: str


@record
class NodeLeft(BrokerEvent):
    """Another node has left the cluster in order."""

    node: str


@record
class NodeDied(BrokerEvent):
    """The lease of another node has ended: it is dead for ever, and its sessions are free."""

    node: str


ALL_KINDS: frozenset[type[BrokerEvent]] = frozenset(
    {
        ConnectionOpened,
        ClientConnected,
        ClientRefused,
        ClientDisconnected,
        KeepAliveExpired,
        Pinged,
        Throttled,
        SessionEnded,
        Subscribed,
        Unsubscribed,
        SubscriptionRefused,
        MessagePublished,
        MessageRefused,
        MessageDelivered,
        MessageAcknowledged,
        MessagesDropped,
        SlowConsumer,
        WillPublished,
        RetainedChanged,
        ChangeRequested,
        EngineLost,
        EngineReturned,
        LeaseLost,
        NodeDied,
        NodeJoined,
        NodeLeft,
    }
)
