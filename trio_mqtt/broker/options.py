"""What the broker offers and how it behaves, where a choice is not a matter of bounds."""

from __future__ import annotations

from dataclasses import fields
from enum import Enum

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.errors import ConfigurationError, LocalProtocolError
from trio_mqtt.protocol.topics import topic_name_problem
from trio_mqtt.protocol.wire import encode_utf8
from trio_mqtt.records import record


@with_attribute_docs
class SharedStrategy(Enum):
    """Which member of a shared subscription gets a message (MQTT 5.0 §4.8.2).

    Members that are connected come before all others.
    """

    ROUND_ROBIN = "round-robin"
    """Each in turn."""
    LEAST_LOADED = "least-loaded"
    """Who has the fewest messages waiting and in flight."""
    HASH = "hash"
    """The same for all messages of a publishing client, while the members stay."""
    STICKY = "sticky"
    """The same for all messages, until it goes away."""


@with_attribute_docs
class QueuePolicy(Enum):
    """What happens where there is no room for a message that is to wait for a client.

    For one that is away, the policy to disconnect is that to drop the newest.
    """

    DROP_NEWEST = "drop-newest"
    """What comes is dropped: what waits is the longest gap-free part, as commands want it."""
    DROP_OLDEST = "drop-oldest"
    """What has waited longest goes for what comes, as readings want it. QoS 0 never makes QoS 1 and
    2 go."""
    DISCONNECT = "disconnect"
    """The client is disconnected with reason code 0x97, quota exceeded; its session stays as
    CONNECT says, and what comes is dropped. When it comes back, it has a minute to take what waits
    before it is disconnected again."""


@with_attribute_docs
@record(kw_only=True)
class BrokerOptions:
    """What the broker offers to its clients.

    Raises ConfigurationError, a ValueError, for what no broker can offer, and TypeError for what is
    of another kind.
    """

    shared_strategy: SharedStrategy = SharedStrategy.ROUND_ROBIN
    """Which member of a shared subscription gets a message."""
    queue_policy: QueuePolicy = QueuePolicy.DROP_NEWEST
    """What happens where as much waits for a session as may (`Limits.maximum_queued_messages` and
    the bytes)."""
    maximum_qos: int = 2
    """The QoS at which subscriptions are granted at most (MQTT 5.0 §3.2.2.3.4). As with all that is
    not offered, CONNACK tells; who publishes at a higher one is disconnected."""
    retain_available: bool = True
    """Whether messages may be retained (§3.2.2.3.5). Who asks for what is not offered is
    disconnected; where MQTT 3 has an answer that says no, it gets that."""
    wildcard_subscription_available: bool = True
    """Whether topic filters may have wildcards (§3.2.2.3.11)."""
    subscription_identifier_available: bool = True
    """Whether subscriptions may have identifiers (§3.2.2.3.12)."""
    shared_subscription_available: bool = True
    """Whether subscriptions may be shared (§3.2.2.3.13)."""
    check_payload_format: bool = False
    """Whether payloads that are said to be text are looked at (§3.3.2.3.2): what is not UTF-8 is
    refused. It takes time for each of these messages."""
    response_topic_prefix: str | None = None
    """Told, with its client identifier appended, to a client that asks for response information
    (§3.2.2.3.15): the start of the topics at which it awaits responses. None: nothing is told."""
    control_characters_in_topics: bool = False
    """Whether clients may publish to topics with control characters (U+0001 to U+001F, U+007F to
    U+009F), or what Unicode has for no character, such as U+FFFE. Who receives one may end the
    connection (§1.5.4), as clients with libmosquitto do: by default they reach nobody, and who
    publishes one at QoS 1 or 2 is told 0x90, topic name invalid (MQTT 3: nothing)."""
    system_topics_interval: float = 10.0
    """Seconds between two looks at how the broker fares, for those who subscribe to topics below
    $SYS. 0: there are no such topics."""
    event_topics: str | None = None
    """A name under which the broker tells, as aedes does, who comes and goes and what is subscribed
    to: below $SYS/NAME/ heartbeat, new/clients, disconnect/clients, new/subscribes and
    new/unsubscribes, and slow/clients, for those who may read them. None: it does not, as that
    names clients."""
    heartbeat_interval: float = 60.0
    """Seconds between two of these heartbeats."""
    oldest_absent_session_ends: bool = False
    """Whether the session whose client is away longest ends for a new one where there are no more
    (`Limits.maximum_sessions`, and `maximum_sessions_per_user` for those of one user). By default
    the new client is refused: it learns of that, while messages that wait in a session would be
    lost without anybody's knowing."""
    takeover_refused: bool = False
    """Whether a client whose identifier is connected already is refused, and the one that is there
    stays. By default the new one takes over, as the standard says (§3.1.4): where a client was cut
    off, its old connection may stand for one and a half times its keep alive, and would keep it
    out."""
    server_reference: str | None = None
    """Where clients are sent instead of being served (§4.11). None: they are served."""
    successor: str | None = None
    """Where clients are sent when the broker ends (§4.11), as a server reference. None: they are
    told that it shuts down, and come back by themselves."""
    server_moved: bool = False
    """Whether they are to go there for good."""

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_kind(field.name, getattr(self, field.name), field.default)
        prefix = self.response_topic_prefix
        problem = None if prefix is None else topic_name_problem(prefix)
        if problem is not None:
            raise ConfigurationError(f"The prefix {prefix!r} {problem}.")
        for reference in (self.server_reference, self.successor):
            if reference is None:
                continue
            try:
                check_reference(reference)
            except LocalProtocolError as error:
                raise ConfigurationError(str(error)) from None
        if not self.system_topics_interval >= 0:
            raise ConfigurationError("the interval of the system topics is 0 seconds or more")
        name = self.event_topics
        if name is not None and (name == "broker" or "/" in name or topic_name_problem(name)):
            raise ConfigurationError(
                f"event_topics is one level of a topic, and not broker: not {name!r}"
            )
        if not self.heartbeat_interval > 0:
            raise ConfigurationError("the interval of heartbeats is more than 0 seconds")
        if self.maximum_qos not in (0, 1, 2):
            raise ConfigurationError(f"there is no QoS {self.maximum_qos}")
        if self.server_moved and self.server_reference is None:
            raise ConfigurationError("a server that has moved needs a server_reference: where to")


def _check_kind(name: str, value: object, default: object) -> None:
    """Raise TypeError for an option of another kind than its default."""
    if isinstance(default, Enum):
        kind, wanted = isinstance(value, type(default)), f"a trio_mqtt.{type(default).__name__}"
    elif isinstance(default, bool):
        kind, wanted = isinstance(value, bool), "True or False"
    elif isinstance(default, int | float):
        number = (int, float) if isinstance(default, float) else int
        kind, wanted = isinstance(value, number) and not isinstance(value, bool), "a number"
    else:
        kind, wanted = value is None or isinstance(value, str), "a str or None"
    if not kind:
        raise TypeError(f"{name} is {wanted}, not {value!r}.")


def check_reference(reference: str) -> None:
    """Raise LocalProtocolError for what names no other server (§4.11)."""
    if not reference:
        raise LocalProtocolError("a server reference names a server")
    encode_utf8(reference)
