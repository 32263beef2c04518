"""Histories written by hand, for tests of what judges them."""

from __future__ import annotations

from typing import Any

from tests.durability.checker import Kind, check
from tests.durability.history import (
    Acknowledged,
    Completed,
    Connected,
    Connecting,
    Down,
    Event,
    History,
    Looked,
    Looking,
    Publishing,
    Received,
    Released,
    Subscribed,
    Subscribing,
    Unsubscribed,
    Unsubscribing,
    Up,
)


class Story:
    """Writes a history. Each step takes a second."""

    def __init__(self) -> None:
        self.events: History = []
        self.now = 0.0

    def add(self, kind: type[Event], *fields: Any, **named: Any) -> Story:
        self.now += 1.0
        self.events.append(kind(self.now, *fields, **named))
        return self

    def connect(self, client: str, present: bool = False, **named: Any) -> Story:
        return self.add(Connecting, client, **named).add(Connected, client, present)

    def subscribe(self, client: str, topic_filter: str = "t", qos: int = 2) -> Story:
        self.add(Subscribing, client, topic_filter, qos)
        return self.add(Subscribed, client, topic_filter)

    def unsubscribe(self, client: str, topic_filter: str = "t") -> Story:
        self.add(Unsubscribing, client, topic_filter)
        return self.add(Unsubscribed, client, topic_filter)

    def send(self, number: int, qos: int = 1, topic: str = "t", **named: Any) -> Story:
        return self.add(Publishing, "p", number, topic, qos, number, **named)

    def publish(self, number: int, qos: int = 1, topic: str = "t", **named: Any) -> Story:
        """Sent and acknowledged, all the way."""
        self.send(number, qos, topic, **named).add(Acknowledged, "p", number)
        return self if qos == 1 else self.add(Completed, "p", number)

    def receive(self, client: str, number: int | None, qos: int = 1, **named: Any) -> Story:
        """Received, and at QoS 2 released."""
        topic, packet_id = named.pop("topic", "t"), named.pop("packet_id", number)
        self.add(Received, client, number, topic, qos, packet_id, **named)
        return self if qos == 1 else self.add(Released, client, packet_id)

    def crash(self, *clients: str) -> Story:
        """The broker goes and comes, and so do clients."""
        self.add(Down).add(Up)
        for client in clients:
            self.connect(client, True)
        return self

    def look(self, **found: int | None) -> Story:
        topics = tuple(found)
        kept = tuple((topic, number) for topic, number in found.items() if number is not None)
        return self.add(Looking, "probe", topics).add(Looked, "probe", kept)

    @property
    def kinds(self) -> list[Kind]:
        return [violation.kind for violation in check(self.events)]


def story() -> Story:
    """The publisher "p" and the subscriber "s", with sessions that last, at QoS 2 to "t"."""
    return Story().add(Up).connect("p").connect("s").subscribe("s")
