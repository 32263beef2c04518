"""One subscription: which messages it gets, as what, and the task that sends them."""

from __future__ import annotations

import itertools
import operator
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.events.kinds import (
    EXPIRED,
    NOT_ALLOWED,
    MessageDelivered,
    MessagesDropped,
)
from trio_mqtt.broker.routing.batch import JOIN, Batch
from trio_mqtt.broker.routing.target import Target
from trio_mqtt.broker.sessions.delivery_state import (
    RunInFlight,
    delivery_row,
    in_flight_of,
)
from trio_mqtt.broker.sessions.queue import ALONE, Queue, Server
from trio_mqtt.protocol import packets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_mqtt.broker.access.hook_questions import HookQuestions
    from trio_mqtt.broker.access.permissions import Permissions
    from trio_mqtt.broker.events.fan_out import EventStreams
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.routing.filters import TopicFilter
    from trio_mqtt.broker.sessions.delivery_state import DeliveryState
    from trio_mqtt.broker.sessions.outlet import Outlet
    from trio_mqtt.broker.sessions.overflow import Overflow
    from trio_mqtt.broker.statistics import Statistics
    from trio_mqtt.protocol.packets import Publish

_serials = itertools.count()


class Subscription(Queue):
    """A topic filter of a session, the messages that wait for it, and the task that sends them."""

    __slots__ = ("_decided", "_event_streams", "_large", "_overflow", "resting", "serial",
                 "served_by", "shared_filter", "topic_filter")  # fmt: skip

    def __init__(
        self,
        session: DeliveryState,
        topic_filter: TopicFilter,
        options: packets.Subscription,
        identifier: int | None,
        limits: Limits,
        statistics: Statistics,
        event_streams: EventStreams,
        overflow: Overflow,
    ) -> None:
        super().__init__(session, limits, statistics)
        self.topic_filter = topic_filter
        self.serial = next(_serials)  # tells which subscription is the older one
        # `$share/NAME/FILTER`; None if it is not shared.
        self.shared_filter = topic_filter if topic_filter.share else None
        self.limits_changed()
        self._event_streams = event_streams
        self._overflow = overflow
        # Who starts its task for the connection that the session has, or had last.
        self.served_by: Server | None = None
        # The batch about which the hooks have decided already.
        self._decided: Batch | None = None
        # Whether its client may not have it any more: then it is known, and gets nothing.
        self.resting = False
        self.set_options(options, identifier)

    def limits_changed(self) -> None:
        """Bounds may be others than before."""
        limits = self._limits
        # Bytes up to which a message may go without a look at what is in flight: as many of that
        # size as may be are half of what may be.
        self._large = limits.maximum_in_flight_bytes // (2 * limits.maximum_in_flight)

    def set_options(self, options: packets.Subscription, identifier: int | None) -> None:
        """Take over the options of a SUBSCRIBE (§3.8.3.1) and its subscription identifier."""
        self.target = Target(
            self,
            options.qos,
            options.retain_as_published,
            () if identifier is None else (identifier,),
            options.no_local,
            self.shared_filter,
            self.session.mount_point,
        )

    def offer(self, target: Target, batch: Batch) -> None:
        """Queue a batch. Never waits: what goes beyond the session's bounds is dropped, counted."""
        session = self.session
        if self._idle is not None and not batch.is_spread:
            before, self._offered_at = self._offered_at, batch.received_at
            if batch.received_at - before >= ALONE and self._send_alone(
                session.outlet, target, batch
            ):
                return
        limits = self._limits
        messages = session.queued_messages + batch.count
        size = session.queued_bytes + batch.size
        if (
            session.outlet is None
            or messages * 2 > limits.maximum_queued_messages
            or size * 2 > limits.maximum_queued_bytes
            or self._statistics.queued_bytes > self._overflow.looks_from
        ):
            fitting = self._overflow.fit(session, batch, target.qos)
            if fitting is None:
                return
            batch = fitting
            messages = session.queued_messages + batch.count
            size = session.queued_bytes + batch.size
        session.queued_messages = messages
        session.queued_bytes = size
        self._statistics.queued_bytes += batch.size
        if session.journal is not None:
            batch = self._keep(target, batch)
        self._put(target, batch)

    def _send_alone(self, outlet: Outlet | None, target: Target, batch: Batch) -> bool:
        """Send a batch while the task has nothing to do; whether that was possible."""
        session = self.session
        if (
            outlet is None
            or outlet.ended
            or self._retained is not None
            or self._waiting
            or outlet.congested
            or outlet.hooks is not None
            or outlet.pace is not None
            or session.sender.quota < batch.count
            or batch.size > self._large
        ):
            return False
        session.queued_messages += batch.count
        session.queued_bytes += batch.size
        self._statistics.queued_bytes += batch.size
        if session.journal is not None:
            batch = self._keep(target, batch)
        self._current = current = target, batch
        try:
            ready: list[bytes] = []
            self._prepare(outlet, current, ready)
            if ready:
                outlet.write(ready[0] if len(ready) == 1 else b"".join(ready))
        except Exception:
            outlet.failed()  # a defect that must not reach the publisher
        return True

    def serve(self, server: Server) -> None:
        """Have `server` start the task that sends, once there is something to send."""
        self.served_by = server
        self._idle = server
        if self._current is not None or self._retained is not None or self._waiting:
            self._wake(server)

    def wait(self) -> None:
        """Keep what comes until somebody serves it again: its task has ended, or never began."""
        self._idle = None

    async def deliver(self, outlet: Outlet) -> None:
        """Send what arrives to the client, for as long as it and the subscription last."""
        try:
            await self._deliver(outlet)
        finally:
            if self._retained is not None:
                self._retained.pause()

    async def _deliver(self, outlet: Outlet) -> None:
        while True:
            current = self._current
            if current is None:
                retained = self._retained
                if retained is not None:
                    found = retained.take()
                    if found is None:
                        await retained.go_on(outlet)
                        if outlet.ended or self.closed:
                            return
                    else:
                        current = self._current = self.target, self._keep(self.target, found)
                    if retained.is_over and retained is self._retained:
                        self._end_search()
                    if current is None:
                        continue
                elif self._waiting:
                    current = self._current = self._take()
                elif self.closed:
                    return
                else:
                    self._idle = trio.lowlevel.current_task()
                    await trio.lowlevel.wait_task_rescheduled(self._not_idle)
                    continue
            pace = outlet.pace
            if outlet.congested or pace is not None:
                # Before preparing, not after: else each of many subscriptions would add its part.
                await outlet.wait_until_written()
                if pace is not None:
                    await outlet.keep_pace(pace, self.session.client_id)
                if not self._is_current(current[1]):
                    continue  # it was withdrawn meanwhile, or some of it has gone for what is new
            if outlet.ended or self.closed:
                return  # what is left goes with the next outlet, or with the subscription
            hooks = outlet.hooks
            if hooks is not None and current[1] is not self._decided:
                await self._ask_hooks(hooks, current)
                continue
            ready: list[bytes] = []
            before = self._statistics.messages_sent
            size = self._prepare(outlet, current, ready)
            while (
                self._waiting
                and self._current is None
                and self._retained is None
                and size < JOIN
                and hooks is None
                and pace is None
            ):
                current = self._current = self._take()
                size += self._prepare(outlet, current, ready)
            if pace is not None:
                pace.take(self._statistics.messages_sent - before, size)
            if ready:
                outlet.write(ready[0] if len(ready) == 1 else b"".join(ready))
                ready.clear()  # who waits for more must not hold what was sent
            if self._current is not None:
                await outlet.quota_change()
            elif size >= JOIN:
                await trio.lowlevel.checkpoint()  # others have something to send too

    def _is_current(self, batch: Batch) -> bool:
        return self._current is not None and self._current[1] is batch

    def _has_room_in_flight(self, size: int) -> bool:
        """Whether a message of so many bytes may be sent before others are acknowledged."""
        in_flight = self.session.bytes_in_flight()
        return not in_flight or in_flight + size <= self._limits.maximum_in_flight_bytes

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

    def _refused(self, count: int) -> None:
        """The client may not receive some messages."""
        self._statistics.deliveries_refused += count
        if count and MessagesDropped in self._event_streams.wanted:
            self._event_streams.tell(MessagesDropped(self.session.client_id, count, NOT_ALLOWED))

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

    async def _ask_hooks(self, hooks: HookQuestions, current: tuple[Target, Batch]) -> None:
        """Let the program's hooks decide what is sent of the current batch."""
        target, batch = current
        rest = batch.messages[self._at :]
        sent = await hooks.deliver(rest)
        if not self._is_current(batch):
            return  # it was withdrawn meanwhile
        if len(sent) == len(rest) and all(map(operator.is_, sent, rest)):
            self._decided = batch  # it stays what the journal knows
            return
        self._refused(len(rest) - len(sent))
        self._decided = self._replace(target, batch, sent)

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

    def _prepare_run(
        self, outlet: Outlet, target: Target, batch: Batch, ready: list[bytes]
    ) -> int | None:
        """As `_prepare`, for a run of QoS 1 that goes as it came, but for packet identifiers.

        None where messages are to be looked at one by one.
        """
        session = self.session
        sender = session.sender
        run = batch.run_for(target, outlet.is_v5, outlet.maximum_packet_size)
        if (
            run is None
            or session.journal is not None
            or outlet.aliases is not None
            or len(run.frames) > self._large  # any of them may be the last to be acknowledged
        ):
            return None
        at = self._at
        count = min(batch.count - at, sender.quota)
        if count <= 0:  # less than nothing where more is released than the client takes now
            return 0
        item = RunInFlight(run, target.origin, batch.received_at)
        packet_id = sender.begin_run(1, item, count)
        if not packet_id:
            return None
        item.beyond = packet_id - at
        data = run.with_identifiers(at, count, packet_id)
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
        if batch.highest_qos == 1:
            size = self._prepare_run(outlet, target, batch, ready)
            if size is not None:
                return size
        statistics = self._statistics
        maximum = outlet.maximum_packet_size
        now = trio.current_time() if batch.expires else 0.0
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
                    length > self._large and not self._has_room_in_flight(length)
                ):
                    self._at = index
                    statistics.messages_sent += sent
                    return size
                message = messages[index]
                item = (
                    message,
                    message.retain and keep_retain,
                    target.origin,
                    batch.received_at,
                    kept and kept + index,
                )
                packet_id = begin(qos, item)
                if kept:
                    packet_ids[kept + index] = packet_id
                if aliases is not None:
                    before, after = aliases.parts(message.topic, before, after, maximum)
                ready += before, packet_id.to_bytes(2, "big"), after
                size += length
                sent += 1
                if followed:
                    self._tell_delivered((message,))
        finally:
            if packet_ids:
                self._tell_sent(outlet, batch, packet_ids)
        statistics.messages_sent += sent
        statistics.payload_bytes_sent += batch.payload_size
        self._at = 0
        self._current = None
        self._forget(batch)
        return size
