"""Every bound of the broker in one place, each with its reason."""

from __future__ import annotations

import math
from dataclasses import fields

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.protocol.wire import MAX_PACKET_SIZE
from trio_mqtt.records import record

MIB = 1024 * 1024

# What the limits count that may be parts of one, where that is not seconds.
_UNITS = {
    "maximum_message_rate_in": "messages a second",
    "maximum_byte_rate_in": "bytes a second",
    "maximum_message_rate_out": "messages a second",
    "maximum_byte_rate_out": "bytes a second",
    "maximum_memory": "bytes",
    "maximum_connect_rate_per_address": "connections a second",
    "maximum_connects_per_minute": "connections a minute",
    "maximum_failed_logins_per_minute": "logins a minute",
}

# What each limit may be, where that is not 1 or more, or more than 0 seconds: the standard's
# numbers, and those bounds that may be 0, as the broker then does without.
_RANGES: dict[str, tuple[int, int | None]] = {
    # Enough for CONNECT with a client identifier of 23 characters, which every broker must accept.
    "maximum_connect_size": (64, MAX_PACKET_SIZE),
    "maximum_packet_size": (64, MAX_PACKET_SIZE),
    "receive_maximum": (1, 65_535),
    "maximum_in_flight": (1, 65_535),
    "topic_alias_maximum": (0, 65_535),
    "client_topic_alias_maximum": (0, 65_535),
    "maximum_user_properties": (0, None),
    "maximum_subscriptions": (0, None),
    "maximum_session_expiry": (0, 0xFFFF_FFFF),
    "maximum_keep_alive": (1, 65_535),
    "maximum_client_identifier": (23, 65_535),
    "maximum_retained_messages": (0, None),
    "maximum_retained_per_client": (0, None),
    "maximum_retained_bytes": (0, None),
    "maximum_will_bytes": (0, None),
    "maximum_will_bytes_per_user": (0, None),
    "drain_timeout": (0, None),
    "goodbye_timeout": (0, None),
}


@with_attribute_docs
@record(kw_only=True)
class Limits:
    """What the broker accepts at most. Times are in seconds, sizes in bytes; times and rates may be
    `math.inf`: then there is no bound.

    Raises ConfigurationError, a ValueError, for what no broker can keep to, and TypeError for what
    is no number.
    """

    connect_timeout: float = 10.0
    """Seconds until a connection must have said CONNECT, and authenticated: until then it occupies
    a slot for nothing."""
    maximum_authentication_steps: int = 16
    """Challenges in one authentication by AUTH (§4.12): none of the usual methods needs many."""
    hook_timeout: float = 5.0
    """Seconds for a program's hook to decide on one request; a client waits for it with all that it
    sends."""
    password_threads: int = 2
    """Threads that hash passwords. Hashing is meant to be slow, and takes a processor each."""
    maximum_password_checks: int = 1_000
    """Clients that wait for one of these threads: who comes then is sent away, or one with less of
    a claim in its place (whose address has failed, or has many waiting)."""
    maximum_password_checks_per_address: int = 250
    """Those of them from one address (IPv6: one /64): what two threads check in some three seconds.
    Behind a gateway, a whole fleet may have one address."""
    maximum_password_checks_per_user: int = 100
    """Those of them for one user name."""
    maximum_connect_size: int = 128 * 1024
    """Bytes of a CONNECT: a peer that is not known yet gets a small buffer, enough for a full
    will."""
    maximum_packet_size: int = 16 * MIB
    """Bytes of one packet; told to MQTT 5 clients as Maximum Packet Size (§3.2.2.3.6)."""
    maximum_unfinished_bytes: int = 256 * MIB
    """Bytes that have come of all packets that are not whole yet. Beyond it a large one is given
    up, first one that does not go on; its client is told that the quota is exceeded, and
    disconnected."""
    maximum_user_properties: int = 1_000
    """User properties of one packet or will: more is an attack, not an application. Who sends more
    is told the number, and disconnected."""
    receive_maximum: int = 1_000
    """QoS 1 and 2 messages that a client may send without an acknowledgement (§3.2.2.3.3)."""
    topic_alias_maximum: int = 64
    """Topic aliases that a client may set (§3.2.2.3.8): one remembered topic each."""
    client_topic_alias_maximum: int = 32
    """Topic aliases that the broker sets for one client, if it takes any: one remembered topic
    each."""
    maximum_in_flight: int = 128
    """QoS 1 and 2 messages in flight to one client; small devices have small buffers."""
    maximum_in_flight_bytes: int = 32 * MIB
    """Bytes of those messages: beyond it, the next one waits for an acknowledgement. One always
    goes. Beyond as many of what a client has sent, and the storage has not kept yet, that client is
    not read from: a disk that takes seconds must not fill the memory."""
    maximum_topic_levels: int = 128
    """Levels in a topic name or filter: deeper ones are attacks on the matching."""
    maximum_topic_length: int = 65_535
    """Characters of a topic name or filter: as many as the standard allows bytes (§1.5.4). Those of
    devices have fewer than 200; each is a key in many places."""
    maximum_filters_at_once: int = 1_000
    """Topic filters in one SUBSCRIBE or UNSUBSCRIBE: each costs a search."""
    maximum_request_size: int = 256 * 1024
    """Bytes of one SUBSCRIBE or UNSUBSCRIBE, for the same reason."""
    maximum_subscriptions: int = 10_000
    """Subscriptions of one session: each may come to have a queue and a task."""
    maximum_subscription_bytes: int = 16 * MIB
    """Bytes of the topic filters of one session, with what the tree keeps of each level."""
    maximum_wildcard_paths_per_session: int = 1_000
    """Nodes of the tree of filters that wildcards may lead one topic to, beside one for each of its
    levels, by the filters of one session. Each way of placing wildcards in a filter counts once,
    however many filters have it: `sensors/+/state` and `lights/+/state` are two nodes, `L+` and
    `L+L`. Ten thousand devices need a handful; only attacks need thousands."""
    maximum_wildcard_paths_per_user: int = 2_500
    """The same, by the filters of all sessions of one user or, where nobody has proved a name, of
    one address (IPv6: one /64). Half of all, so that nobody can use up those of the others."""
    maximum_wildcard_paths: int = 5_000
    """The same, by the filters of all sessions."""
    maximum_queued_messages: int = 100_000
    """Messages that wait for one session, connected or not. QoS 0 may fill half of it: QoS 1 and 2
    have promised more."""
    maximum_queued_bytes: int = 64 * MIB
    """Bytes of those messages, of which QoS 0 may fill half. Counted is what they take here: one
    that came alone has up to 620 bytes beside its payload and properties, one of many that came
    together up to 230."""
    maximum_queued_bytes_in_all: int = 4096 * MIB
    """Bytes of all sessions' queues together, of which QoS 0 may fill half. A message counts for
    each session that it waits for, though it is held once: this is for the day on which thousands
    of queues fill up, each within its bounds."""
    maximum_message_rate_in: float = math.inf
    """PUBLISH packets a second that one client may send; a second's worth may come at once. Beyond
    it the client is read from more slowly: nothing is dropped, and the pause is none of its keep
    alive. No bound by default: what one client may send depends on what it is for."""
    maximum_byte_rate_in: float = math.inf
    """Bytes a second that one client may send, in packets of any kind, in the same way."""
    maximum_message_rate_out: float = math.inf
    """PUBLISH packets a second that one client is sent: for those behind thin lines. What it does
    not get waits in its queue, within the bounds of that."""
    maximum_byte_rate_out: float = math.inf
    """Bytes a second of the PUBLISH packets that one client is sent, in the same way."""
    maximum_memory: float = math.inf
    """Bytes that the process occupies, beyond which new clients are turned away; clients for which
    messages wait may come and fetch them. Beyond 90% of it, queues of more than 64 KiB take no
    more, and nothing is retained for topics that have nothing: what nobody fetches keeps nobody
    out. No bound by default: what else the machine has to hold is for whoever runs it to say."""
    maximum_loop_lag: float = 10.0
    """Seconds that the broker may be late with what is to be done, beyond which new clients are
    turned away, and messages of QoS 0 that clients publish dropped unless they are retained: after
    as long a time, who connects would have given up."""
    maximum_session_expiry: int = 0xFFFF_FFFF
    """Seconds that a session is kept at most after its connection ended (0xFFFFFFFF: for ever).
    MQTT 5 clients are told (§3.2.2.3.2). Sessions of MQTT 3 know no expiry and are kept so long
    too."""
    maximum_keep_alive: int = 3_600
    """Seconds of the longest keep alive of an MQTT 5 client, told as Server Keep Alive
    (§3.2.2.3.14)."""
    maximum_keep_alive_mqtt_3: float = math.inf
    """Seconds of the longest keep alive of an MQTT 3 client, which cannot be told: one that asks
    for more, or for none, is refused with code 2, identifier rejected, as Mosquitto does. No bound
    by default: many devices of MQTT 3 ask for none."""
    maximum_connections: int = 100_000
    """Connections at one time."""
    maximum_connections_per_address: int = 100_000
    """Those of them from one address (IPv6: one /64). As many as there may be at all: behind a
    gateway or a proxy, all clients have one address. Where they do not, a few hundred are
    plenty."""
    maximum_connections_per_user: int = 100_000
    """Those of them of one user, where the name is proved. As many as there may be at all: whole
    fleets share a user."""
    maximum_connect_rate_per_address: float = math.inf
    """Connections a second that may be opened from one address (IPv6: one /64), over ten seconds.
    Those beyond it are turned away. No bound by default: behind a gateway, all clients have one
    address, and come back together. This machine has no bound."""
    maximum_connects_per_minute: float = 60.0
    """Times that one client identifier may connect from one address within a minute: more often,
    and it is held off. Only who was let in counts: nobody is held off for what others try by its
    name. One that tries again each second stays below; two that take the session from each other
    as fast as they can do not."""
    maximum_failed_logins_per_minute: float = 20.0
    """Wrong passwords, tokens and proofs of one address within a minute: with more, it is held off
    or, where others there were right, the user name is. People mistype less, and a device that is
    set up wrongly need not ask so often."""
    first_hold_off: float = 10.0
    """Seconds for which a client, user or address is held off at first; each time again, twice as
    long. One that means well is soon back."""
    maximum_hold_off: float = 600.0
    """Seconds for which it is held off at most; who is quiet for so long afterwards begins anew.
    Guessing is of no use at that rate."""
    maximum_sessions: int = 100_000
    """Sessions, connected or not: each can hold a queue."""
    maximum_sessions_per_user: int = 50_000
    """Those of them of one user or, where nobody has proved a name, of one address (IPv6: one /64).
    Half of all, so that no single client can fill the broker for ever; whole fleets share a
    user."""
    maximum_will_bytes: int = 512 * MIB
    """Bytes of the wills of all sessions, with their topics and properties: a will is held as long
    as its client is connected, and for its delay. A hundred thousand of 5 KiB fit, while those of
    devices have some hundred bytes; as large as CONNECT may be, they would take 12 GiB."""
    maximum_will_bytes_per_user: int = 256 * MIB
    """Those of them of one user or, where nobody has proved a name, of one address (IPv6: one
    /64). Half of all, so that nobody can keep out the wills of others; whole fleets share a
    user."""
    maximum_client_identifier: int = 1_024
    """Characters in a client identifier; it is a key in many places."""
    maximum_retained_messages: int = 1_000_000
    """Topics with a retained message."""
    maximum_retained_per_client: int = 1_000_000
    """Those of them that one client identifier has published. As many as there may be at all, as
    gateways publish for thousands of devices. Those that were restored are nobody's."""
    maximum_retained_bytes: int = 1024 * MIB
    """Bytes of all retained messages, with their topics and what each level of these costs: one
    client could fill the memory with large ones."""
    default_retained_expiry: float = math.inf
    """Seconds after which a retained message is removed that has no message expiry interval: topics
    that nobody publishes to any more would be kept for ever. Set while the broker runs, it is for
    those that are stored from then on. No bound by default, as the standard has it."""
    write_buffer: int = 256 * 1024
    """Bytes written but not accepted by the socket, beyond which nothing more is prepared."""
    write_timeout: float = 60.0
    """Seconds for which a client may take nothing of what is written: then it has stopped
    reading."""
    drain_timeout: float = 2.0
    """Seconds that clients have, once the broker ends, to take what waits for them and acknowledge
    it, before they are told: those who live need less. Without a storage, what is left is lost."""
    goodbye_timeout: float = 1.0
    """Seconds that saying goodbye may take for each connection."""

    def __post_init__(self) -> None:
        for field in fields(self):
            check_limit(field.name, getattr(self, field.name), isinstance(field.default, float))


def range_of(name: str, has_parts: bool) -> tuple[int, int | None]:
    """The least and the most that a limit may be; None: there is no most."""
    return _RANGES.get(name, (0 if has_parts else 1, None))


def check_limit(name: str, value: object, has_parts: bool = False) -> None:
    """Raise ConfigurationError or TypeError for a bound that means nothing.

    One that `has_parts` is a time or a rate.
    """
    unit = _UNITS.get(name, "seconds")
    if isinstance(value, bool) or not isinstance(value, (int, float) if has_parts else int):
        wanted = f"a number of {unit}" if has_parts else "a whole number"
        raise TypeError(f"{name} is {wanted}, not {value!r}.")
    least, most = range_of(name, has_parts)
    unit = f" {unit}" if has_parts else ""
    if has_parts and name not in _RANGES:
        if not value > least:
            raise ConfigurationError(f"{name} is more than {least}{unit}, not {value}.")
    elif most is None:
        if not value >= least:
            raise ConfigurationError(f"{name} is {least}{unit} or more, not {value}.")
    elif not least <= value <= most:
        raise ConfigurationError(f"{name} is from {least:,} to {most:,}, not {value:,}.")
