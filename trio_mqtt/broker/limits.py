"""Every bound of the broker in one place, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the broker accepts at most. Times are in seconds, sizes in bytes."""

    # A connection that does not say CONNECT in time, and authenticate, occupies a slot for nothing.
    connect_timeout: float = 10.0
    # Challenges in one authentication by AUTH (§4.12): none of the usual methods needs many.
    maximum_authentication_steps: int = 16
    # A program's hook that decides on one request; a client waits for it with all that it sends.
    hook_timeout: float = 5.0
    # Threads that hash passwords, and clients that wait for one: who comes then is sent away.
    password_threads: int = 2
    maximum_password_checks: int = 1_000
    # A peer that is not known yet gets a small buffer: enough for a CONNECT with a full will.
    maximum_connect_size: int = 128 * 1024
    # One packet; told to MQTT 5 clients as Maximum Packet Size (§3.2.2.3.6).
    maximum_packet_size: int = 16 * MIB
    # QoS 1 and 2 messages that a client may send without an acknowledgement (§3.2.2.3.3).
    receive_maximum: int = 1_000
    # Topic aliases that a client may set (§3.2.2.3.8): one remembered topic each.
    topic_alias_maximum: int = 64
    # Topic aliases that the broker sets for one client, if it takes any: as above.
    client_topic_alias_maximum: int = 32
    # QoS 1 and 2 messages in flight to one client; small devices have small buffers.
    maximum_in_flight: int = 128
    # Levels in a topic name or filter: deeper ones are attacks on the matching.
    maximum_topic_levels: int = 128
    # Subscriptions of one session: each has a channel and a task.
    maximum_subscriptions: int = 10_000
    # Messages that wait for one session, connected or not. QoS 0 may fill half of it: QoS 1 and 2
    # have promised more.
    maximum_queued_messages: int = 100_000
    maximum_queued_bytes: int = 64 * MIB
    # How long a session is kept at most after its connection ended; MQTT 5 clients are told
    # (§3.2.2.3.2). Sessions of MQTT 3 know no expiry and are kept so long too.
    maximum_session_expiry: int = 0xFFFF_FFFF
    # The longest keep alive of an MQTT 5 client, told as Server Keep Alive (§3.2.2.3.14).
    maximum_keep_alive: int = 3_600
    maximum_connections: int = 100_000
    # Sessions, connected or not: each can hold a queue.
    maximum_sessions: int = 100_000
    # Characters in a client identifier; it is a key in many places.
    maximum_client_identifier: int = 1_024
    # Topics with a retained message.
    maximum_retained_messages: int = 1_000_000
    # Bytes of all retained messages: one client could fill the memory with large ones.
    maximum_retained_bytes: int = 1024 * MIB
    # Bytes written but not accepted by the socket, beyond which nothing more is prepared.
    write_buffer: int = 256 * 1024
    # A client that takes nothing of what is written for so long has stopped reading.
    write_timeout: float = 60.0
    # How long saying goodbye may take for each connection.
    goodbye_timeout: float = 1.0
