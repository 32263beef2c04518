"""Clients that go through the sudden ends of brokers, with what each was promised."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.broker.raw import Raw
from trio_mqtt.protocol.packets import Packet

SHARED = "$share/group/s/#"


@dataclass
class Sent:
    """A message that a client publishes."""

    number: int
    topic: str
    qos: int
    sent_at: int
    is_received: bool = False  # PUBREC has come


@dataclass
class Grant:
    """A subscription, from SUBACK to the first word of its end; in steps."""

    qos: int
    since: int


@dataclass
class Client:
    """A client whose session outlives brokers; it answers when it likes."""

    name: str
    is_member: bool = False
    raw: Raw | None = None
    is_connected: bool = False
    has_session: bool = False  # it was promised one
    is_clean: bool = True  # it has no state, so it asks for a new session
    grants: dict[str, Grant] = field(default_factory=dict)
    asked: dict[int, tuple[str, int]] = field(default_factory=dict)
    received: list[tuple[int, int]] = field(default_factory=list)  # number and QoS
    accepted: set[int] = field(default_factory=set)
    unanswered: list[Packet] = field(default_factory=list)
    outgoing: dict[int, Sent] = field(default_factory=dict)
    last_id: int = 0

    def packet_id(self) -> int:
        self.last_id = self.last_id % 65_535 + 1
        return self.last_id


def matches(topic_filter: str, topic: str) -> bool:
    if topic_filter == SHARED:
        return False
    return topic_filter in ("#", topic) or (
        topic.startswith("t/") and topic_filter in ("t/#", "t/+")
    )
