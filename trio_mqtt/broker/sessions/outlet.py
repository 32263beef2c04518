"""The way to one client: what leaves for it, and what delivery asks of its connection."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Literal, Protocol

import trio

from trio_mqtt.broker.pace import Pace, pace_of
from trio_mqtt.broker.routing.retained_search import SEARCHES_AT_ONCE
from trio_mqtt.broker.sessions.held_back import HeldBack
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.properties import NO_PROPERTIES
from trio_mqtt.transport.listeners.streams import sending

if TYPE_CHECKING:
    from trio_mqtt.broker.access.hook_questions import HookQuestions
    from trio_mqtt.broker.journal import Journal
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.promises import Awaited
    from trio_mqtt.broker.sessions.aliases import TopicAliases
    from trio_mqtt.broker.sessions.held_back import Held
    from trio_mqtt.broker.statistics import Statistics
    from trio_mqtt.broker.traces import Observer
    from trio_mqtt.protocol.properties import Properties
    from trio_mqtt.protocol.reason_codes import ReasonCode
    from trio_mqtt.transport.listeners.streams import ByteStream

logger = logging.getLogger("trio_mqtt.connections")

_AT_ONCE = 64 * 1024  # the bytes that must leave within the write timeout
_LARGE = 16 * 1024  # bytes, on average, of what waits: then it is not joined before it leaves


class Owner(Protocol):
    """The connection that an outlet is of."""

    def end(
        self, reason_code: ReasonCode, reason: str = "", properties: Properties = NO_PROPERTIES
    ) -> None:
        """End it, telling the client why."""

    def lost(self, reason: str) -> None:
        """It is over: the client can no longer be written to."""

    def failed(self) -> None:
        """A defect of the broker, met by this client alone."""

    def throttled(self, client_id: str, direction: Literal["out"]) -> None:
        """Its client is sent more than its rate."""


class Outlet:
    """Writes to a client without waiting; `congested` says when to prepare nothing more.

    What a session and its subscriptions know of the connection that serves them.
    """

    __slots__ = (
        "_all_written",
        "_blocked",
        "_broken",
        "_give_up_at",
        "_held",
        "_limits",
        "_nursery",
        "_owner",
        "_pending",
        "_pending_bytes",
        "_quota",
        "_searches",
        "_send_nowait",
        "_sending",
        "_statistics",
        "_stream",
        "_writing",
        "_written",
        "aliases",
        "awaits_quota",
        "backed_up",
        "congested",
        "ended",
        "hooks",
        "is_v5",
        "maximum_packet_size",
        "observer",
        "pace",
    )

    def __init__(
        self, stream: ByteStream, limits: Limits, statistics: Statistics, owner: Owner
    ) -> None:
        self._stream = stream
        self._send_nowait = sending(stream)
        self._limits = limits
        self._statistics = statistics
        self._owner = owner
        self._nursery: trio.Nursery | None = None
        # What the socket did not take yet.
        self._pending: list[bytes | memoryview] = []
        self._pending_bytes = 0
        # Whether the client takes less than is written: it is not heard. And whether to prepare
        # nothing more for it, as that is so, or as others are waited for, while times go on.
        self.backed_up = self.congested = False
        self._writing = False
        # A packet was cut off, or the stream is: nothing may follow.
        self._broken = False
        # What leaves only once it is kept what that promises; most promise nothing.
        self._held: HeldBack | None = None
        self._blocked = False  # it is broken, or held: nothing leaves now
        # Where somebody waits until something, or all, is written; most clients take all at once.
        self._written: trio.lowlevel.ParkingLot | None = None
        self._all_written: trio.lowlevel.ParkingLot | None = None
        self._sending: trio.CancelScope | None = None
        self._give_up_at = math.inf
        # Whether the connection is over: nothing may be done any more for its client.
        self.ended = False
        self.is_v5 = False
        # Bytes in one packet that the client accepts; None if it set no limit.
        self.maximum_packet_size: int | None = None
        # How fast the client is sent messages; None where that is not bounded.
        self.pace = pace_of(limits.maximum_message_rate_out, limits.maximum_byte_rate_out)
        # The topic aliases that the client is sent; None if it takes none.
        self.aliases: TopicAliases | None = None
        # Who looks at all that leaves; None while nobody does.
        self.observer: Observer | None = None
        # A program's hooks, if they are asked about what the client receives.
        self.hooks: HookQuestions | None = None
        # Somebody waits for an acknowledgement to give back some of the client's quota.
        self.awaits_quota = False
        self._quota: trio.lowlevel.ParkingLot | None = None
        self._searches: trio.Semaphore | None = None

    @property
    def owner(self) -> Owner:
        """The connection that it is of."""
        return self._owner

    def use(self, stream: ByteStream) -> None:
        """Write to `stream` from now on; nothing was written yet."""
        self._stream = stream
        self._send_nowait = sending(stream)

    def start(self, nursery: trio.Nursery | None) -> None:
        """From now on, what the socket does not take is sent by a task in `nursery`.

        It is to outlive the connection's other tasks: `finish` waits for it.
        """
        self._nursery = nursery

    def write(self, data: bytes) -> None:
        """Send at once what the socket takes; the rest follows by the writer task."""
        if self._blocked:
            if not self._broken and self._held is not None:
                self._held.add(data)
                self._pending_bytes += len(data)
                self._see_congestion()
            return
        self._statistics.bytes_sent += len(data)
        if self.observer is not None:
            self.observer.sent(data)
        rest: bytes | memoryview = data
        if not self._pending and not self._writing:
            try:
                sent = self._send_nowait(data)
            except BlockingIOError:
                sent = 0
            except (OSError, trio.BrokenResourceError):
                self._broken = self._blocked = True
                self._owner.lost("the connection was lost")
                return
            if sent == len(data):
                return
            if sent:
                rest = memoryview(data)[sent:]  # what is large is not copied
            if self._nursery is not None:
                self._writing = True
                self._nursery.start_soon(self._write_pending)
        self._pending.append(rest)
        self._pending_bytes += len(rest)
        self.congested = self.backed_up = self._pending_bytes > self._limits.write_buffer

    @property
    def is_held(self) -> bool:
        """Whether nothing leaves now."""
        return self._blocked

    def write_held(self, data: bytes, messages: Held) -> None:
        """Write messages, of which some may expire, while nothing leaves."""
        if self._held:
            self._held.next_may_expire(messages)
        self.write(data)

    def _see_congestion(self) -> None:
        limits, held = self._limits, self._held
        self.backed_up = self._pending_bytes > limits.write_buffer or (
            held is not None and held.promised > limits.maximum_in_flight_bytes
        )
        self.congested = self.backed_up or (held is not None and held.stalls > 0)

    def hold(self, journal: Journal, promised: int = 0) -> None:
        """Let nothing more leave before the journal has kept what it has heard so far.

        `promised` are the bytes of what the client has sent, and is acknowledged by what is held.
        They stay in memory until they are kept, whoever else is done with them: beyond as many as
        may be in flight to a client, it is not heard.
        """
        if self._broken:
            return
        group = journal.holds(self)
        if not group:
            return
        if self._held is None:
            self._held = HeldBack()
        self._held.until_kept(journal, group, promised)
        self._blocked = True
        if promised:
            self._see_congestion()

    def wait_for(self, awaited: Awaited) -> None:
        """Let nothing more leave before something is over that others do."""
        if self._broken or awaited.is_over:
            return
        if self._held is None:
            self._held = HeldBack()
        if self._held.until_over(awaited):
            self._blocked = self.congested = True
            awaited.follow(self)

    def release(self, group: int) -> None:
        """All groups up to this one are kept: what waited for them leaves."""
        if self._held is not None:
            self._held.kept(group)
            self.go_on()

    def go_on(self) -> None:
        """Let leave what waits for nothing any more."""
        held = self._held
        if held is None:
            return
        data: list[bytes] = []
        for entry in held.let_go():
            if entry.messages is not None and not self._broken:
                self._encode_anew(entry.data, entry.messages)
            data += entry.data
        self._blocked = self._broken or bool(held)
        if data and not self._broken:
            waiting = b"".join(data)
            self._pending_bytes -= len(waiting)
            blocked, self._blocked = self._blocked, False
            try:
                self.write(waiting)
            except Exception:
                self.failed()  # a defect that must not reach the journal
            self._blocked = self._blocked or blocked
        self._see_congestion()
        if not self.backed_up:
            _go_on(self._written)
        if not held:
            _go_on(self._all_written)

    def _encode_anew(self, data: list[bytes], messages: list[tuple[int, Held]]) -> None:
        """What has waited leaves as it is now."""
        for at, one in messages:
            before = data[at]
            try:
                data[at] = one.encoded_anew(before)
            except Exception:
                self.failed()  # a defect that must not reach the journal
            self._pending_bytes += len(data[at]) - len(before)
        if self.awaits_quota:
            self.quota_is_back()

    async def _write_pending(self) -> None:
        complete = False
        try:
            with trio.CancelScope() as sending:
                self._sending = sending
                while self._pending:
                    await self._send_pending(sending)
                complete = True
            if not complete:
                self._statistics.stopped_reading += 1
                self._owner.lost("it stopped reading")
        except trio.BrokenResourceError:
            self._owner.lost("the connection was lost")
        except Exception:
            logger.exception("Writing to %s failed", self._stream.peer)
            self._owner.lost("internal error")
        finally:
            # A packet that was cut off is the last: nothing may follow it.
            if not complete:
                self._broken = self._blocked = True
            self._writing = False
            _go_on(self._all_written)

    async def _send_pending(self, sending: trio.CancelScope) -> None:
        """Send what waits now; `sending` is cancelled where too little of it leaves in time."""
        waiting, self._pending = self._pending, []
        if self._pending_bytes < _LARGE * len(waiting):
            waiting = [b"".join(waiting)]
        waiting.reverse()
        left = 0  # bytes that must leave before the deadline
        while waiting:
            rest = memoryview(waiting.pop())
            while rest:
                if left <= 0:
                    left = _AT_ONCE
                    sending.deadline = min(
                        trio.current_time() + self._limits.write_timeout, self._give_up_at
                    )
                sent = await self._stream.send_some(rest)
                rest = rest[sent:]
                left -= sent
                self._pending_bytes -= sent
                self._see_congestion()
                if not self.backed_up:
                    _go_on(self._written)

    async def keep_pace(self, pace: Pace, client_id: str) -> None:
        """Wait where the client was sent more than its rate allows."""
        if not pace.is_in_debt:
            return
        self._statistics.sends_paused += 1
        if pace.may_tell():
            self._owner.throttled(client_id, "out")
        await pace.paid()

    async def wait_until_written(self) -> None:
        """Wait until the client has taken most of what is written."""
        while self.congested:
            await self._until_some_is_written()

    async def wait_for_progress(self) -> None:
        """Wait, if the client takes less than is written, until it has taken something of it."""
        if self.backed_up:
            await self._until_some_is_written()

    async def _until_some_is_written(self) -> None:
        self._written = self._written or trio.lowlevel.ParkingLot()
        await self._written.park()

    async def _until_all_written(self) -> None:
        self._all_written = self._all_written or trio.lowlevel.ParkingLot()
        await self._all_written.park()

    async def finish(self) -> None:
        """Send what is left, as far as the client takes it in time; then close the stream."""
        held = self._held
        if held is not None and held.has_data and not self._broken:
            # What was promised to it is on its way to the storage.
            with trio.move_on_after(self._limits.goodbye_timeout, shield=True):
                while held:
                    await self._until_all_written()
        if self._writing:
            self._give_up_at = trio.current_time() + self._limits.goodbye_timeout
            if self._sending is not None:
                self._sending.deadline = min(self._sending.deadline, self._give_up_at)
            with trio.CancelScope(shield=True):
                while self._writing:
                    await self._until_all_written()
        self._broken = self._blocked = True
        if self._held is not None:
            all_awaited, journal = self._held.end()
            for awaited in all_awaited:
                awaited.forget(self)
            if journal is not None:
                journal.no_longer_holds(self)
        self._pending.clear()  # closing may take its time
        await self._stream.aclose()

    # -- the connection -------------------------------------------------------------------------

    def end(
        self, reason_code: ReasonCode, reason: str, properties: Properties = NO_PROPERTIES
    ) -> None:
        """End the connection, telling the client why, with `properties` where they fit."""
        self._owner.end(reason_code, reason, properties)

    def withhold(self) -> None:
        """Have nothing leave that waits for what it promises to be kept: that is others' by now.

        Where that is CONNACK, nothing may follow (§3.2).
        """
        withheld = [] if self._held is None else self._held.withhold()
        if any(data[0] >> 4 == PacketType.CONNACK for data in withheld):
            self._broken = self._blocked = True
        self._pending_bytes -= sum(map(len, withheld))

    def failed(self) -> None:
        """A defect of the broker was met in delivering: that ends this connection alone."""
        self._owner.failed()

    async def quota_change(self) -> None:
        """Wait until an acknowledgement has given back some of the quota (§4.9)."""
        self.awaits_quota = True
        if self._quota is None:
            self._quota = trio.lowlevel.ParkingLot()
        await self._quota.park()

    def quota_is_back(self) -> None:
        """There is quota again: whoever waits for it goes on."""
        self.awaits_quota = False
        _go_on(self._quota)

    @property
    def searches(self) -> trio.Semaphore:
        """The places for searches of retained messages that are under way."""
        if self._searches is None:
            self._searches = trio.Semaphore(SEARCHES_AT_ONCE)
        return self._searches


def _go_on(waiting: trio.lowlevel.ParkingLot | None) -> None:
    """Whoever waits there goes on."""
    if waiting is not None:
        waiting.unpark_all()
