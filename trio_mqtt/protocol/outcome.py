"""What acknowledgements that come together come to."""

from __future__ import annotations

from typing import Generic, TypeVar

from trio_mqtt.errors import RemoteProtocolError

T = TypeVar("T")


class Outcome(Generic[T]):
    """What has become of the deliveries that a run of acknowledgements is about.

    `items` are those that went on by it, by packet identifier and in the order of the run, and
    `unknown` the places in the run of identifiers that are not in use. `violation` is what breaks
    the rules: then the `count` of acknowledgements before that hold, and none after it does.
    """

    __slots__ = ("count", "items", "unknown", "violation")

    def __init__(self, count: int) -> None:
        self.count = count
        self.items: dict[int, T] = {}
        self.unknown: list[int] = []
        self.violation: RemoteProtocolError | None = None


def take_all(items: dict[int, T], packet_ids: range) -> bool:
    """Take the items of all these identifiers away, if there are as many; else none of them."""
    if not all(map(items.__contains__, packet_ids)):
        return False
    if len(items) == len(packet_ids):
        items.clear()
    else:
        for packet_id in packet_ids:
            del items[packet_id]
    return True
