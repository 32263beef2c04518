"""Writes the table of all limits into limits.md, from what the source says of them.

    python docs/making/limits.py

What happens beyond each is here: the source has that in many places.
"""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path

import trio_mqtt
from trio_mqtt.attribute_docs import attribute_docs

PAGE = Path(__file__).parents[1] / "reference" / "limits.md"
MARK = "<!-- limits -->\n"

REFUSED, TURNED_AWAY = "the client is turned away", "the connection is closed"
DISCONNECTED = "the client is told, and disconnected"
NONE = ""

# What happens beyond each limit, and the counter of `Statistics` that tells how often, if anything
# is refused, dropped or slowed. Each table has what belongs together.
BEYOND: dict[str, dict[str, tuple[str, str]]] = {
    "Who connects": {
        "maximum_connections": (TURNED_AWAY, "connections_refused"),
        "maximum_connections_per_address": (f"0x97: {REFUSED}", "connections_refused"),
        "maximum_connections_per_user": (f"0x97: {REFUSED}", "connections_refused"),
        "maximum_connect_rate_per_address": (f"0x9F: {REFUSED}", "connects_too_fast"),
        "maximum_connects_per_minute": ("0x9F: the client is held off", "hold_offs"),
        "maximum_failed_logins_per_minute": ("0x8A: the address or user is held off", "hold_offs"),
        "first_hold_off": (f"until then {REFUSED}", "clients_held_off"),
        "maximum_hold_off": ("who is held off begins anew", NONE),
        "connect_timeout": (TURNED_AWAY, "connects_timed_out"),
        "maximum_connect_size": (TURNED_AWAY, "packets_refused"),
        "maximum_authentication_steps": (REFUSED, "logins_failed"),
        "hook_timeout": ("what was asked for is refused", "hooks_timed_out"),
        "password_threads": ("a password waits to be checked", NONE),
        "maximum_password_checks": (f"0x89: {REFUSED}", "password_checks_refused"),
        "maximum_password_checks_per_address": (f"0x89: {REFUSED}", "password_checks_refused"),
        "maximum_password_checks_per_user": (f"0x89: {REFUSED}", "password_checks_refused"),
        "maximum_client_identifier": (f"0x85: {REFUSED}", "identifiers_refused"),
        "maximum_keep_alive": ("MQTT 5 is told this one", "keep_alives_expired"),
        "maximum_keep_alive_mqtt_3": (f"code 2: {REFUSED}", "keep_alives_refused"),
    },
    "What one client sends": {
        "maximum_packet_size": (f"0x95: {DISCONNECTED}", "packets_refused"),
        "maximum_unfinished_bytes": (
            "0x97: the client of a large one is disconnected", "packets_given_up"
        ),
        "maximum_user_properties": (f"0x97: {DISCONNECTED}", "packets_refused"),
        "receive_maximum": (f"0x93: {DISCONNECTED}", "packets_refused"),
        "topic_alias_maximum": (f"0x94: {DISCONNECTED}", "packets_refused"),
        "maximum_message_rate_in": ("it is read from more slowly", "reads_paused"),
        "maximum_byte_rate_in": ("it is read from more slowly", "reads_paused"),
        "maximum_topic_length": ("a filter gets 0x8F, a message reaches nobody", "topics_refused"),
        "maximum_topic_levels": ("a filter gets 0x8F, a message reaches nobody", "topics_refused"),
        "maximum_retained_messages": ("0x97: the message is refused", "retained_refused"),
        "maximum_retained_per_client": ("0x97: the message is refused", "retained_refused"),
        "maximum_retained_bytes": ("0x97: the message is refused", "retained_refused"),
        "default_retained_expiry": ("the message is removed, within 30 s", NONE),
    },
    "Subscriptions": {
        "maximum_filters_at_once": (f"0x97: {DISCONNECTED}", "packets_refused"),
        "maximum_request_size": (f"0x97: {DISCONNECTED}", "packets_refused"),
        "maximum_subscriptions": ("0x97: the subscription is refused", "subscriptions_refused"),
        "maximum_subscription_bytes": (
            "0x97: the subscription is refused", "subscriptions_refused"
        ),
        "maximum_wildcard_paths_per_session": (
            "0x97: the subscription is refused", "subscriptions_refused"
        ),
        "maximum_wildcard_paths_per_user": (
            "0x97: the subscription is refused", "subscriptions_refused"
        ),
        "maximum_wildcard_paths": ("0x97: the subscription is refused", "subscriptions_refused"),
    },
    "What waits for one client": {
        "maximum_in_flight": ("the next message waits", NONE),
        "maximum_in_flight_bytes": ("the next message waits", NONE),
        "client_topic_alias_maximum": ("topics are written out", NONE),
        "maximum_message_rate_out": ("the next message waits", "sends_paused"),
        "maximum_byte_rate_out": ("the next message waits", "sends_paused"),
        "maximum_queued_messages": ("as `queue_policy` says", "queue_drops"),
        "maximum_queued_bytes": ("as `queue_policy` says", "queue_drops"),
        "maximum_queued_bytes_in_all": ("as `queue_policy` says", "queue_drops"),
        "write_buffer": ("the next message waits", NONE),
        "write_timeout": ("the client is disconnected", "stopped_reading"),
        "drain_timeout": ("at the broker's end, the client is told", NONE),
        "goodbye_timeout": ("the connection is closed", NONE),
    },
    "Sessions": {
        "maximum_sessions": (
            f"0x97: {REFUSED}, or the session that was away longest ends", "sessions_refused"
        ),
        "maximum_sessions_per_user": (
            f"0x97: {REFUSED}, or the session that was away longest ends", "sessions_refused"
        ),
        "maximum_session_expiry": ("the session ends", "sessions_expired"),
        "maximum_will_bytes": (f"0x97: {REFUSED}", "wills_refused"),
        "maximum_will_bytes_per_user": (f"0x97: {REFUSED}", "wills_refused"),
    },
    "The broker as a whole": {
        "maximum_memory": (f"0x89: {REFUSED}, long queues take no more", "clients_refused_busy"),
        "maximum_loop_lag": (f"0x89: {REFUSED}, QoS 0 is dropped", "messages_shed"),
    },
}  # fmt: skip


def tables() -> str:
    """The tables, as the page has them."""
    docs = attribute_docs(trio_mqtt.Limits)
    counters = {field.name for field in fields(trio_mqtt.Statistics)}
    limits_by_default = trio_mqtt.Limits()
    defaults = {
        field.name: getattr(limits_by_default, field.name) for field in fields(trio_mqtt.Limits)
    }
    told = [name for limits in BEYOND.values() for name in limits]
    if sorted(told) != sorted(defaults):
        raise ValueError(f"not once each: {sorted(set(defaults) ^ set(told))}")
    parts = []
    for title, limits in BEYOND.items():
        lines = [
            f"### {title}\n",
            "| limit | default | what it counts, and why | beyond it | counter |",
            "|---|--:|---|---|---|",
        ]
        for name, (beyond, counter) in limits.items():
            if counter and counter not in counters:
                raise ValueError(f"there is no counter {counter}")
            default = shown(defaults[name], is_size=docs[name].startswith("Bytes"))
            told_by = f"`{counter}`" if counter else ""
            lines.append(f"| `{name}` | {default} | {docs[name]} | {beyond} | {told_by} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def shown(value: float, *, is_size: bool) -> str:
    """A default as a person reads it."""
    if value == math.inf:
        return "none"
    if is_size and value >= 1024:
        for unit, size in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
            if value % size == 0:
                return f"{value // size:,} {unit}"
    return f"{value:,g}" if isinstance(value, float) else f"{value:,}"


def main() -> None:
    text, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    PAGE.write_text(f"{text}{mark}\n{tables()}", encoding="utf-8")


if __name__ == "__main__":
    main()
