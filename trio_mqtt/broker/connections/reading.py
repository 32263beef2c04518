"""What a client says, once it is connected: received, and done at once where nothing must wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.connections.link import COUNTED
from trio_mqtt.broker.connections.packets import messages_among
from trio_mqtt.protocol.packets import AckRun, PublishRun
from trio_mqtt.transport.listeners.streams import READ_SIZE

if TYPE_CHECKING:
    from trio_mqtt.broker.connections.hook_gate import HookGate
    from trio_mqtt.broker.connections.link import Link
    from trio_mqtt.broker.connections.offers import RefusedPublish
    from trio_mqtt.broker.connections.packets import PacketHandler
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.protocol.packets import Packet

SMALL = 1_000  # bytes of one read, up to which it is mostly one packet
SIGN_OF_LIFE = 1_000  # bytes in one read that keep a client alive though they end no packet

# What makes packets of bytes that come.
Receive = Callable[[bytes], Sequence["Packet | RefusedPublish"]]


class Reading:
    """The reads of one connection.

    `read` is called whenever there is something to receive, by whoever waits for all connections at
    once, and never waits. What takes longer than a turn, or has to wait, is left to the
    connection's own task, and the client is not read from until that is done.
    """

    __slots__ = ("_done", "_gate", "_handler", "_is_plain", "_link", "_now", "_outlet",
                 "_packets", "_protocol", "_receive", "_session", "_spread", "_statistics",
                 "_stream", "_whole")  # fmt: skip

    def __init__(
        self,
        link: Link,
        receive: Receive,
        session: Session,
        handler: PacketHandler,
        gate: HookGate | None,
    ) -> None:
        self._link = link
        self._protocol = link.protocol
        self._outlet = link.outlet
        self._statistics = link.core.statistics
        self._stream = link.stream
        self._receive = receive
        self._session = session
        self._spread = link.core.router.spreading.held_back
        self._handler = handler
        self._gate = gate
        # What came with the last read and is not all done. Nothing else is kept: a client that says
        # nothing more must not occupy what it said last.
        self._packets: Sequence[Packet | RefusedPublish] = ()
        self._done = 0
        # The bytes of the last packet that came in several reads, while much comes.
        self._whole = 0
        # Whether what comes is done as it comes: nobody changes or counts it before.
        self._is_plain = gate is None and link.pace is None and receive == link.protocol.receive
        self._now = trio.lowlevel.current_clock().current_time

    async def run(self, packets: Sequence[Packet | RefusedPublish]) -> None:
        """Do what `packets` ask for, then what comes, until either side ends."""
        self._begin(packets)
        del packets
        while await self._catch_up():
            await self._stream.while_readable(self._read)

    def _read(self) -> bool:
        """Receive once, and do what that asks for; False where what follows has to wait."""
        outlet = self._outlet
        if outlet.ended:
            return False  # the session is another's, or gone: nothing may be done for it any more
        whole = self._whole
        data = self._stream.receive_nowait(self._fitting(whole) if whole else 0)
        if not data:
            if data is None:
                return True
            self._link.lost("the connection was lost")
            return False
        self._statistics.bytes_received += len(data)
        if (
            whole
            or not self._is_plain
            or len(data) > SMALL
            or outlet.observer is not None
            or not self._handler.take_alone(data, self._session, self._now())
        ) and not self._take(data):
            return False
        pace = self._link.pace
        return not (
            outlet.ended
            or outlet.backed_up
            or self._protocol.pending
            or self._protocol.violation is not None
            or (self._spread and self._session in self._spread)
            or (pace is not None and pace.is_in_debt)
        )

    def _take(self, data: bytes) -> bool:
        """Do what bytes ask for, whatever they are; False if there is a rest, or all is over."""
        link, outlet, protocol = self._link, self._outlet, self._protocol
        if link.pace is not None:
            link.pace.take(0, len(data))
        packets = self._receive(data)
        if outlet.observer is not None:
            outlet.observer.received(packets, len(data))
        if (
            protocol.unfinished > COUNTED or link.counts_unfinished
        ) and not link.count_unfinished():
            return False
        if protocol.unfinished > COUNTED:
            self._whole = protocol.wanted
        elif self._whole and len(data) < COUNTED:
            self._whole = 0
        # Bytes of a packet that does not end are no sign of life; yet a large one takes long.
        if packets or len(data) >= SIGN_OF_LIFE:
            link.last_received = self._now()
        return self._begin(packets)

    def _fitting(self, whole: int) -> int:
        """How much to receive, so that it ends where a packet does, if each has `whole` bytes."""
        missing = whole - self._protocol.unfinished
        if not 0 < missing <= READ_SIZE:
            return READ_SIZE
        return missing + (READ_SIZE - missing) // whole * whole

    def _begin(self, packets: Sequence[Packet | RefusedPublish]) -> bool:
        """Do what packets ask for, as far as that goes at once; False if there is a rest."""
        if self._link.pace is not None:
            self._link.pace.take(messages_among(packets), 0)
        if packets and (self._gate is not None or not self._do(packets)):
            self._packets = packets
            return False
        return True

    def _do(self, packets: Sequence[Packet | RefusedPublish]) -> bool:
        """Do what packets ask for, as far as one turn goes; whether that was all."""
        only = packets[0] if len(packets) == 1 else None
        if isinstance(only, PublishRun) and self._handler.publish_whole(only, self._session):
            return True
        if isinstance(only, AckRun):
            self._handler.acknowledge(only, self._session)
            return True
        self._link.turn.begin()
        self._done = self._handler.process(packets, self._session, self._done)
        if self._done < len(packets):
            return False
        self._done = 0
        return True

    async def _catch_up(self) -> bool:
        """Do what has to wait before the client is read from again; False once it has ended."""
        link, outlet, protocol = self._link, self._outlet, self._protocol
        while not outlet.ended:
            if self._packets:
                await self._do_all(self._packets)
                self._packets = ()
                if self._outlet.ended:
                    break
            if protocol.violation is not None:
                link.violated(protocol.violation)
                break
            if self._session in self._spread:
                # What others publish must not wait for this client's messages to many.
                link.held_back = True
                await link.core.router.spreading.passed(self._session)
                link.held_back = False
                link.last_received = trio.current_time()
            if outlet.backed_up:
                # Once, not until all is written: those who deliver wait for the same, and none of
                # them must keep the client from being heard.
                link.held_back = True
                await outlet.wait_for_progress()
                link.held_back = False
                link.last_received = trio.current_time()
            if link.pace is not None:
                await link.keep_pace(link.pace)
            if not protocol.pending:
                return True
            # More has come than is to be done in one turn: the others first.
            await trio.lowlevel.checkpoint()
            if not self._outlet.ended:
                packets = self._receive(b"")
                if outlet.observer is not None:
                    outlet.observer.received(packets, 0)
                self._begin(packets)
        return False

    async def _do_all(self, packets: Sequence[Packet | RefusedPublish]) -> None:
        """Do the rest of what packets ask for, in turns; with hooks, when those have decided."""
        link = self._link
        if self._gate is not None:
            link.held_back = True
            await self._gate.process(packets, self._session)
            link.held_back = False
            link.last_received = trio.current_time()
            return
        while True:
            await trio.lowlevel.checkpoint()
            if self._outlet.ended or self._do(packets):
                return  # where it has ended, the session may be another's
