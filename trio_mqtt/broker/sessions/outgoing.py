"""What waits in a subscription, made into the packets that its client gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.events.kinds import (
    EXPIRED,
    NOT_ALLOWED,
    MessageDelivered,
    MessagesDropped,
)
from trio_mqtt.broker.sessions.delivery_state import (
    RunInFlight,
    delivery_row,
    in_flight_of,
)
from trio_mqtt.broker.sessions.held_messages import HeldMessages
from trio_mqtt.broker.sessions.queue import Queue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_mqtt.broker.access.permissions import Permissions
    from trio_mqtt.broker.events.fan_out import EventStreams
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.broker.routing.target import Target
    from trio_mqtt.broker.sessions.delivery_state import DeliveryState
    from trio_mqtt.broker.sessions.outlet import Outlet
    from trio_mqtt.broker.statistics import Statistics
    from trio_mqtt.protocol.packets import Publish


class OutgoingQueue(Queue):
    """A queue that knows what its batches leave as: packets, with identifiers where QoS asks."""

    __slots__ = ("_event_streams", "_large")

    def __init__(
        self,
        session: DeliveryState,
        limits: Limits,
        statistics: Statistics,
        event_streams: EventStreams,
    ) -> None:
        super().__init__(session, limits, statistics)
        self._event_streams = event_streams
        self.limits_changed()

    def limits_changed(self) -> None:
        """Bounds may be others than before."""
        limits = self._limits
        # Bytes up to which a message may go without a look at what is in flight: as many of that
        # size as may be are half of what may be.
        self._large = limits.maximum_in_flight_bytes // (2 * limits.maximum_in_flight)

    def _prepare(self, outlet: Outlet, current: tuple[Target, Batch], ready: list[bytes]) -> int:
        """Append the packets of the current batch; return their size.

        It stops where the receive maximum does: then the batch stays the current one, and `_at`
        says where to go on.
        """
        target, batch = current
        permissions = self.session.permissions
        if permissions is not None and (
            batch.topic is None or not permissions.may_receive(batch.topic)
        ):
            permitted = self._permitted(permissions, batch)
            if permitted is None:
                return 0
            batch = permitted
        if batch.highest_qos:
            size = self._prepare_run(outlet, target, batch, ready)
            if size is not None:
                return size
        statistics = self._statistics
        maximum = outlet.maximum_packet_size
        expires, first, start = batch.expires, self._at, len(ready)
        now = trio.current_time() if expires else 0.0
        encoded, joined = batch.encoded(target, outlet.is_v5, maximum, now)
        aliases = outlet.aliases
        wanted = self._event_streams.wanted
        followed = wanted and MessageDelivered in wanted
        if (
            joined is not None
            and (aliases is None or not encoded)  # what goes on as it came keeps its topics
            and (maximum is None or len(joined) <= maximum)
        ):
            ready.append(joined)
            statistics.messages_sent += batch.count
            statistics.payload_bytes_sent += batch.payload_size
            if followed:
                self._tell_delivered(batch.messages)
            self._current = None
            self._forget(batch)
            if expires and outlet.is_held:
                self._write_held(
                    outlet, (target, batch), (first, batch.count), {}, now, ready, start
                )
            return len(joined)
        sender = self.session.sender
        begin = sender.begin
        size = sent = 0
        messages = batch.messages
        keep_retain = target.retain_as_published or batch.retained
        # The journal hears of each message, where the session is kept.
        kept = 0 if self.session.journal is None else batch.number
        append = ready.append
        packet_ids: dict[int, int] = {}
        try:
            for index in range(self._at, len(messages)):
                entry = encoded[index]
                if entry is None:
                    self._drop_at(target, batch, index)
                    continue
                if isinstance(entry, bytes):
                    if maximum is not None and len(entry) > maximum:
                        self._drop_at(target, batch, index)
                        continue
                    if aliases is not None:
                        entry = aliases.whole(messages[index].topic, entry, maximum)
                    append(entry)
                    size += len(entry)
                    sent += 1
                    if followed:
                        self._tell_delivered((messages[index],))
                    continue
                before, after, qos = entry
                if maximum is not None and len(before) + 2 + len(after) > maximum:
                    self._drop_at(target, batch, index)
                    continue
                length = len(before) + len(after)
                if sender.quota <= 0 or (
                    length > self._large and not self._may_be_in_flight(length)
                ):
                    self._at = index
                    break
                message = messages[index]
                item = (
                    message,
                    message.retain and keep_retain,
                    target.origin,
                    batch.received_at,
                    kept and kept + index,
                )
                packet_id = begin(qos, item)
                if kept or expires:
                    packet_ids[kept + index] = packet_id
                if aliases is not None:
                    before, after = aliases.parts(message.topic, before, after, maximum)
                ready += before, packet_id.to_bytes(2, "big"), after
                size += length
                sent += 1
                if followed:
                    self._tell_delivered((message,))
            else:
                self._at = batch.count
        finally:
            if packet_ids and kept:
                self._tell_sent(outlet, batch, packet_ids)
        statistics.messages_sent += sent
        end = self._at
        if end == batch.count:
            statistics.payload_bytes_sent += batch.payload_size
            self._at = 0
            self._current = None
            self._forget(batch)
        if expires and outlet.is_held:
            places = {number - kept: packet_id for number, packet_id in packet_ids.items()}
            self._write_held(outlet, (target, batch), (first, end), places, now, ready, start)
        return size

    def _prepare_run(
        self, outlet: Outlet, target: Target, batch: Batch, ready: list[bytes]
    ) -> int | None:
        """As `_prepare`, for a run of QoS 1 or 2 of which all messages go in the same way.

        None where messages are to be looked at one by one.
        """
        run = batch.run
        session = self.session
        sender = session.sender
        if run is None or session.journal is not None or outlet.aliases is not None:
            return None
        frames = batch.run_for(target, outlet.is_v5, outlet.maximum_packet_size)
        if frames is None:
            return None
        at = self._at
        count = min(batch.count - at, sender.quota)
        if count <= 0:  # less than nothing where more is released than the client takes now
            return 0
        # Any message of a run may be the last to be acknowledged, and holds all of it.
        size = batch.size
        if size > self._large and not self._may_be_in_flight(size):
            return None
        item = RunInFlight(run, size, target.origin, batch.received_at)
        packet_id = sender.begin_run(min(run.qos, target.qos), item, count)
        if not packet_id:
            return None
        item.beyond = packet_id - at
        data = frames.with_identifiers(at, count, packet_id)
        ready.append(data)
        statistics = self._statistics
        statistics.messages_sent += count
        wanted = self._event_streams.wanted
        if wanted and MessageDelivered in wanted:
            self._tell_delivered(batch.messages[at : at + count])
        if at + count < batch.count:
            self._at = at + count
        else:
            statistics.payload_bytes_sent += batch.payload_size
            self._at = 0
            self._current = None
            self._forget(batch)
        return len(data)

    def _send_run(self, outlet: Outlet, target: Target, batch: Batch) -> bool:
        """Send a run of QoS 1 or 2 that need not wait, all of it; False: nothing is done.

        As `_prepare` would, for what never was in the queue.
        """
        session = self.session
        run = batch.run
        if run is None or session.journal is not None or outlet.aliases is not None:
            return False
        permissions = session.permissions
        if permissions is not None and (
            batch.topic is None or not permissions.may_receive(batch.topic)
        ):
            return False
        frames = batch.run_for(target, outlet.is_v5, outlet.maximum_packet_size)
        if frames is None:
            return False
        item = RunInFlight(run, batch.size, target.origin, batch.received_at)
        qos, count = run.qos if run.qos < target.qos else target.qos, batch.count
        packet_id = item.beyond = session.sender.begin_run(qos, item, count)
        if not packet_id:
            return False
        statistics = self._statistics
        statistics.messages_sent += count
        statistics.payload_bytes_sent += batch.payload_size
        wanted = self._event_streams.wanted
        if wanted and MessageDelivered in wanted:
            self._tell_delivered(batch.messages)
        outlet.write(batch.sent_whole(frames, packet_id))
        return True

    def _send_frame(
        self, outlet: Outlet, target: Target, message: Publish, frame: bytes, now: float
    ) -> None:
        """Send a message as it came, but for its packet identifier; it was received `now`."""
        if message.qos:
            at = message.packet_id_at
            packet_id = self.session.sender.begin(1, (message, False, target.origin, now, 0))
            data = frame[:at] + packet_id.to_bytes(2, "big") + frame[at + 2 :]
        else:
            data = frame
        statistics = self._statistics
        statistics.messages_sent += 1
        statistics.payload_bytes_sent += len(frame) - message.payload_at
        wanted = self._event_streams.wanted
        if wanted and MessageDelivered in wanted:
            self._tell_delivered((message,))
        outlet.write(data)

    def _may_be_in_flight(self, size: int) -> bool:
        """Whether so many bytes may be sent before others are acknowledged: they count then."""
        return self.session.may_be_in_flight(size, self._limits.maximum_in_flight_bytes)

    def _permitted(self, permissions: Permissions, batch: Batch) -> Batch | None:
        """The current batch without what the client may not receive; None if nothing is left."""
        allowed: list[Publish] = []
        messages: Sequence[Publish] = ()
        if batch.topic is None:
            if all(map(permissions.may_receive, dict.fromkeys(batch.topics))):
                return batch
            messages = batch.messages[self._at :]
            allowed = [message for message in messages if permissions.may_receive(message.topic)]
        refused = batch.count - self._at - len(allowed)
        if not refused:
            return batch
        self._refused(refused)
        if permissions.tells_deliveries:
            if batch.topic is not None:
                permissions.tell_refused("receive", batch.topic, refused)
            else:
                rest = [each for each in messages if not permissions.may_receive(each.topic)]
                permissions.tell_refused("receive", rest)
        current = self._current
        return None if current is None else self._replace(current[0], batch, allowed)

    def _refused(self, count: int) -> None:
        """The client may not receive some messages."""
        self._statistics.deliveries_refused += count
        if count and MessagesDropped in self._event_streams.wanted:
            self._event_streams.tell(MessagesDropped(self.session.client_id, count, NOT_ALLOWED))

    def _drop_at(self, target: Target, batch: Batch, index: int) -> None:
        """A message of a batch has expired, or is too large for the client."""
        session = self.session
        self._statistics.messages_dropped += 1
        self._statistics.messages_expired += 1
        if MessagesDropped in self._event_streams.wanted:
            self._event_streams.tell(MessagesDropped(session.client_id, 1, EXPIRED))
        if session.journal is not None and batch.number and target.qos:
            session.journal.delivered(session.number, [batch.number + index])
        # The payloads of a batch are counted as sent together, when it is done.
        self._statistics.payload_bytes_sent -= batch.messages[index].payload_size

    def _write_held(
        self,
        outlet: Outlet,
        current: tuple[Target, Batch],
        places: tuple[int, int],
        packet_ids: dict[int, int],
        now: float,
        ready: list[bytes],
        start: int,
    ) -> None:
        """Write what is ready to an outlet that lets nothing leave now: from `start` on, it is what
        stands at places of a batch, of which some may expire.

        Not where topics have aliases: what was the first with one must not be left out.
        """
        if outlet.aliases is not None:
            return
        if start:
            outlet.write(b"".join(ready[:start]))
        if len(ready) > start:
            (target, batch), (first, end) = current, places
            held = HeldMessages(
                self.session, self._expired, outlet, target, batch, first, end, packet_ids, now
            )
            outlet.write_held(b"".join(ready[start:]), held)
        ready.clear()

    def _expired(self, target: Target, batch: Batch, index: int, packet_id: int | None) -> None:
        """A message has expired after it was made into a packet, which has not left."""
        if packet_id is not None:
            self.session.sender.take_back(packet_id)
        self._statistics.messages_sent -= 1
        self._drop_at(target, batch, index)

    def _tell_sent(self, outlet: Outlet, batch: Batch, packet_ids: dict[int, int]) -> None:
        """Tell the journal the packet identifiers of a batch's messages, by their numbers.

        What is of QoS 2 leaves once that is kept: sent anew by another identifier, it would be
        another message (§4.3.3).
        """
        session = self.session
        journal = session.journal
        if journal is None:
            return
        in_flight = session.sender.in_flight
        is_held = batch.highest_qos == 2 and any(
            in_flight[packet_id][0] == 2 for packet_id in packet_ids.values()
        )
        if journal.is_gathered(batch.number):
            journal.sent(session.number, packet_ids, is_held=is_held)
        else:
            for packet_id in packet_ids.values():
                qos, item = in_flight[packet_id]
                item = in_flight_of(packet_id, item)
                journal.sent_later(delivery_row(session.number, packet_id, qos, item))
        if is_held:
            outlet.hold(journal)

    def _tell_delivered(self, messages: Sequence[Publish]) -> None:
        """Tell those who follow it that messages were sent."""
        self._event_streams.delivered(self.session.client_id, messages, self.target.qos)
