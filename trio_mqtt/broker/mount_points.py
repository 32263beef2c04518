"""Mount points: what stands before the topics of a listener's clients, and they never see.

A mount point is whole levels, with the slash after them: "site-1/". What a client calls `a/b` is
`site-1/a/b` to the broker, and to everybody who came by a listener without one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.protocol.topics import parse_shared

if TYPE_CHECKING:
    from trio_mqtt.protocol.properties import Properties

MOST = 65_535  # bytes of a topic name or filter (MQTT 5.0 §1.5.4)
_SURE = MOST // 4 - 1  # characters that are no more bytes than that, whatever they are


def mounted_topic(mount_point: str, topic: str) -> str | None:
    """The broker's name for a client's topic; None where that is longer than a topic may be.

    Topics that begin with $ keep their names: no client may publish to them.
    """
    if topic.startswith("$"):
        return topic
    return _fitting(mount_point + topic)


def mounted_filter(mount_point: str, topic_filter: str) -> str | None:
    """The broker's name for a client's topic filter; None where that is too long.

    Of a shared one, what is shared is mounted. `#` is all that is below the mount point, but not
    the level above it, which `site-1/#` would match as well (§4.7.1.2).
    """
    shared = parse_shared(topic_filter)
    plain = topic_filter if shared is None else shared[1]
    plain = mount_point + ("+/#" if plain == "#" else plain)
    return _fitting(plain if shared is None else f"$share/{shared[0]}/{plain}")


def _fitting(name: str) -> str | None:
    return name if len(name) <= _SURE or len(name.encode()) <= MOST else None


def topic_below(mount_point: str, topic: str) -> str | None:
    """The client's name for a topic; None where it has none.

    Those are topics outside of the mount point, and such below it as would begin with $ or be
    empty, which no client of it can have published to.
    """
    if not topic.startswith(mount_point):
        return None
    below = topic[len(mount_point) :]
    return None if not below or below[0] == "$" else below


def mounted_properties(mount_point: str, properties: Properties) -> Properties | None:
    """The properties of a client's message, its response topic by the broker's name (§3.3.2.3.5).

    None where that is too long.
    """
    response_topic = properties.get("response_topic") if properties else None
    if response_topic is None:
        return properties
    mounted = mounted_topic(mount_point, response_topic)
    return None if mounted is None else _answered_at(mounted, properties)


def properties_below(mount_point: str, properties: Properties) -> Properties:
    """The properties of a message for a client; a response topic outside of its reach stays."""
    response_topic = properties.get("response_topic") if properties else None
    below = None if response_topic is None else topic_below(mount_point, response_topic)
    return properties if below is None else _answered_at(below, properties)


def _answered_at(response_topic: str, properties: Properties) -> Properties:
    properties = properties.copy()
    properties["response_topic"] = response_topic
    return properties
