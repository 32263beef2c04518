"""One subscription: which messages it gets, as what, and the task that sends them."""

from __future__ import annotations

import itertools
import operator
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.routing.batch import JOIN, Batch
from trio_mqtt.broker.routing.target import Target
from trio_mqtt.broker.sessions.outgoing import OutgoingQueue
from trio_mqtt.broker.sessions.queue import ALONE, Server
from trio_mqtt.protocol import packets

if TYPE_CHECKING:
    from trio_mqtt.broker.access.hook_questions import HookQuestions
    from trio_mqtt.broker.events.fan_out import EventStreams
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.routing.filters import TopicFilter
    from trio_mqtt.broker.sessions.delivery_state import DeliveryState
    from trio_mqtt.broker.sessions.outlet import Outlet
    from trio_mqtt.broker.sessions.overflow import Overflow
    from trio_mqtt.broker.statistics import Statistics

_serials = itertools.count()


class Subscription(OutgoingQueue):
    """A topic filter of a session, the messages that wait for it, and the task that sends them."""

    __slots__ = ("_decided", "_overflow", "resting", "serial", "served_by", "shared_filter",
                 "topic_filter")  # fmt: skip

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
        super().__init__(session, limits, statistics, event_streams)
        self.topic_filter = topic_filter
        self.serial = next(_serials)  # tells which subscription is the older one
        # `$share/NAME/FILTER`; None if it is not shared.
        self.shared_filter = topic_filter if topic_filter.share else None
        self._overflow = overflow
        # Who starts its task for the connection that the session has, or had last.
        self.served_by: Server | None = None
        # The batch about which the hooks have decided already.
        self._decided: Batch | None = None
        # Whether its client may not have it any more: then it is known, and gets nothing.
        self.resting = False
        self.set_options(options, identifier)

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
            self if self.shared_filter is None else None,
        )

    def send_at_once(
        self, target: Target, message: packets.Publish, is_v5: bool, now: float
    ) -> bool:
        """Send a message that comes alone as it came, if it may be; False: it is to be offered."""
        session = self.session
        outlet = session.outlet
        frame = message.frame
        if (
            self._idle is None
            or now - self._offered_at < ALONE
            or outlet is None
            or frame is None
            or message.qos > target.qos
            or session.journal is not None
            or outlet.is_v5 is not is_v5
            or outlet.aliases is not None
            or (outlet.maximum_packet_size is not None and len(frame) > outlet.maximum_packet_size)
            or not self._may_send(outlet, 1, len(frame))
            or (
                session.permissions is not None
                and not session.permissions.may_receive(message.topic)
            )
        ):
            return False
        self._offered_at = now
        try:
            self._send_frame(outlet, target, message, frame, now)
        except Exception:
            outlet.failed()  # a defect that must not reach the publisher
        return True

    def offer(self, target: Target, batch: Batch) -> None:
        """Queue a batch. Never waits: what goes beyond the session's bounds is dropped, counted."""
        session = self.session
        if self._idle is not None and not batch.is_spread:
            before, self._offered_at = self._offered_at, batch.received_at
            author, self._author = self._author, 0 if batch.sender is None else id(batch.sender)
            if (
                batch.received_at - before >= ALONE or (author and author == self._author)
            ) and self._send_alone(session.outlet, target, batch):
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
        if outlet is None or not self._may_send(outlet, batch.count, batch.size):
            return False
        if batch.highest_qos:
            try:
                if self._send_run(outlet, target, batch):
                    return True
            except Exception:
                outlet.failed()  # a defect that must not reach the publisher
                return True
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

    def _may_send(self, outlet: Outlet, count: int, size: int) -> bool:
        """Whether so many messages of so many bytes may leave while the task has nothing to do."""
        return not (
            outlet.ended
            or self._retained is not None
            or self._waiting
            or outlet.congested
            or outlet.hooks is not None
            or outlet.pace is not None
            or self.session.sender.quota < count
            or size > self._large
        )

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
