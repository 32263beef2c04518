"""Messages that are encoded and may not leave yet: their time goes on (MQTT 5.0 §3.3.2.3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.broker.routing.target import Target
    from trio_mqtt.broker.sessions.delivery_state import DeliveryState
    from trio_mqtt.broker.sessions.outlet import Outlet


class HeldMessages(NamedTuple):
    """Messages of a batch, from `first` up to `end`, as they were encoded at `at`.

    `packet_ids` are those that they were given, by their place in the batch. Of what has expired
    since, `expired` is told: the place, and the packet identifier if it has one.
    """

    session: DeliveryState
    expired: Callable[[Target, Batch, int, int | None], None]
    outlet: Outlet
    target: Target
    batch: Batch
    first: int
    end: int
    packet_ids: Mapping[int, int]
    at: float

    def encoded_anew(self, data: bytes) -> bytes:
        """The packets as they leave now, where `data` were those: what has expired does not."""
        batch, outlet, session = self.batch, self.outlet, self.session
        now = trio.current_time()
        is_as_it_was = int(now - batch.received_at) == int(self.at - batch.received_at)
        if is_as_it_was or session.outlet is not outlet:
            return data
        maximum = outlet.maximum_packet_size
        encoded, joined = batch.encoded(self.target, outlet.is_v5, maximum, now)
        if not encoded:
            return data if joined is None else joined
        before, _ = batch.encoded(self.target, outlet.is_v5, maximum, self.at)
        in_flight = session.sender.in_flight
        packets: list[bytes] = []
        for index in range(self.first, self.end):
            was, entry, packet_id = before[index], encoded[index], self.packet_ids.get(index)
            if packet_id is None:
                if not isinstance(was, bytes) or (maximum is not None and len(was) > maximum):
                    continue  # it was left out
            elif packet_id not in in_flight:
                continue  # it was given up
            if entry is None:
                self.expired(self.target, batch, index, packet_id)
            elif isinstance(entry, bytes):
                packets.append(entry)
            elif packet_id is not None:
                packets += entry[0], packet_id.to_bytes(2, "big"), entry[1]
        return b"".join(packets)
