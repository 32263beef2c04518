"""One client connection: a nursery with a reader, a task for each subscription, and a writer that
runs only while the socket is full."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.connections.connect import Handshake, receive_first
from trio_mqtt.broker.connections.deliveries import Deliveries
from trio_mqtt.broker.connections.hook_gate import HookGate
from trio_mqtt.broker.connections.link import COUNTED, Link
from trio_mqtt.broker.connections.mounting import Mounting
from trio_mqtt.broker.connections.offers import RefusedPublish, offer_check
from trio_mqtt.broker.connections.packets import PacketHandler, messages_among
from trio_mqtt.broker.connections.redelivery import send_again
from trio_mqtt.broker.connections.requests import Requests
from trio_mqtt.broker.events.kinds import ClientDisconnected, ClientRefused
from trio_mqtt.errors import RemoteProtocolError
from trio_mqtt.protocol.packets import Connect, Packet, PublishRun
from trio_mqtt.transport.listeners.streams import HandshakeRefusedError

if TYPE_CHECKING:
    from trio_mqtt.broker.connections.registry import Connections
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.broker.settings import Settings
    from trio_mqtt.transport.listeners.streams import ByteStream

SIGN_OF_LIFE = 1_000  # bytes in one read that keep a client alive though they end no packet


# What makes packets of bytes that come.
Receive = Callable[[bytes], Sequence[Packet | RefusedPublish]]


class Connection:
    """What one client and the broker do with each other, from accept to close."""

    __slots__ = ("_connections", "_core", "_link")

    def __init__(
        self, core: Core, settings: Settings, connections: Connections, stream: ByteStream
    ) -> None:
        """`settings` are those of the listener that accepted the stream."""
        self._core = core
        self._connections = connections
        self._link = Link(core, settings, stream)

    async def run(self) -> None:
        """Serve the client until either side ends it. Whatever goes wrong ends only this one."""
        link = self._link
        link.reader = trio.lowlevel.current_task()
        if not self._connections.enter(link):
            try:
                await link.stream.aclose()
            finally:
                link.let_go()
            return
        try:
            async with trio.open_nursery() as nursery:
                link.nursery = nursery
                link.outlet.start(self._core.tasks)
                connect_by = link.expect_connect()
                try:
                    await self._open()
                    serving = await self._accept(connect_by, nursery)
                    if serving is not None:
                        await serving
                except RemoteProtocolError as error:
                    link.violated(error)
                except HandshakeRefusedError as error:
                    link.lost(str(error))
                except trio.BrokenResourceError:
                    link.lost("the connection was lost")
                if nursery.child_tasks:
                    nursery.cancel_scope.cancel()
        except Exception:
            link.failed()
        finally:
            # The session is free before the last bytes have left.
            try:
                self._leave()
            except Exception:
                link.failed()
            try:
                await link.outlet.finish()
            finally:
                self._connections.leave(link)
                link.let_go()

    async def _open(self) -> None:
        """Handshakes of TLS and WebSocket, under the same deadline as CONNECT."""
        link = self._link
        is_known = not link.stream.origin.is_behind_proxies
        if is_known:
            self._count_address()
        link.stream = await link.stream.open()
        link.outlet.use(link.stream)
        if not is_known:
            self._count_address()

    def _count_address(self) -> None:
        link = self._link
        may_go_on = self._connections.count_address(link)
        if not may_go_on and link.turned_away is not None:
            raise HandshakeRefusedError(link.turned_away.reason)

    async def _accept(
        self, answer_by: float, nursery: trio.Nursery
    ) -> Coroutine[None, None, None] | None:
        """Hear CONNECT and answer it; what serves the client then, if it was accepted.

        That is awaited elsewhere: nobody holds CONNECT for as long as the client stays.
        """
        packets = await receive_first(self._link)
        if not packets or not isinstance(packets[0], Connect):
            return None
        handshake = Handshake(
            self._link, packets[0], answer_by=answer_by, said_more=len(packets) > 1
        )
        session = await handshake.accept()
        return None if session is None else self._serve(handshake, packets[1:], session, nursery)

    def _serve(
        self,
        handshake: Handshake,
        packets: Sequence[Packet],
        session: Session,
        nursery: trio.Nursery,
    ) -> Coroutine[None, None, None]:
        """Go on with the session: deliver what waits in it, and read what the client says."""
        link = self._link
        deliveries = Deliveries(link)
        requests = Requests(link, deliveries, handshake.authentication)
        handler = PacketHandler(link, requests)
        gate = None
        if handshake.hooks is not None:
            gate = HookGate(link, handshake.hooks, handler, requests)
        if session.sender:
            nursery.start_soon(send_again, link, session, deliveries)
        else:
            deliveries.begin(session)
        more = link.protocol.receive(handshake.early) if handshake.early else ()
        said = [*packets, *more]
        first: Sequence[Packet | RefusedPublish] = said
        receive: Receive = link.protocol.receive
        check = offer_check(link.options, link.protocol)
        if check is not None:
            first, receive = check.passed(said), check.receive
        if link.mount_point:
            mounting = Mounting(link.mount_point, receive, link.protocol)
            first, receive = mounting.passed(first), mounting.receive
        return self._read(first, receive, session, handler, gate)

    async def _read(
        self,
        packets: Sequence[Packet | RefusedPublish],
        receive: Receive,
        session: Session,
        handler: PacketHandler,
        gate: HookGate | None,
    ) -> None:
        """Do what `packets` ask for, then what comes and is `receive`d, until either side ends."""
        link = self._link
        protocol, outlet, turn = link.protocol, link.outlet, link.turn
        process, publish = handler.process, handler.publish
        readable = link.stream.readable
        receive_nowait = link.stream.receive_nowait
        statistics = self._core.statistics
        spreading = self._core.router.spreading
        spread = spreading.under_way
        current_time = trio.current_time
        pace = link.pace
        while True:
            if packets:
                only = packets[0] if len(packets) == 1 else None
                if gate is not None:
                    link.held_back = True
                    await gate.process(packets, session)
                    link.held_back = False
                    link.last_received = current_time()
                elif isinstance(only, PublishRun):
                    statistics.packets_received += len(only)
                    publish(only, session)
                else:
                    turn.begin()
                    done = process(packets, session)
                    while done < len(packets) and not outlet.ended:
                        await turn.give_way()
                        if not outlet.ended:  # else the session may be another's
                            done = process(packets, session, done)
                if outlet.ended:
                    return
            violation = protocol.violation
            if violation is not None:
                link.violated(violation)
                return
            if spread:
                # What others publish must not wait for this client's messages to many.
                link.held_back = True
                await spreading.passed(session)
                link.held_back = False
                link.last_received = current_time()
            if outlet.congested:
                # Once, not until all is written: those who deliver wait for the same, and none of
                # them must keep the client from being heard.
                link.held_back = True
                await outlet.wait_for_progress()
                link.held_back = False
                link.last_received = current_time()
            if pace is not None:
                pace.take(messages_among(packets), 0)
                await link.keep_pace(pace)
            if protocol.pending:
                # More has come than is to be done in one turn: the others first.
                await trio.lowlevel.checkpoint()
                if outlet.ended:
                    return
                packets = receive(b"")
                continue
            # A client that says nothing more must not occupy what it said last.
            packets, only, data = (), None, None
            await readable()
            if outlet.ended:
                return  # the session is another's, or gone: nothing may be done for it any more
            data = receive_nowait()
            if data is None:
                packets = []
                continue
            if not data:
                link.lost("the connection was lost")
                return
            statistics.bytes_received += len(data)
            if pace is not None:
                pace.take(0, len(data))
            packets = receive(data)
            if (
                protocol.unfinished > COUNTED or link.counts_unfinished
            ) and not link.count_unfinished():
                return
            # Bytes of a packet that does not end are no sign of life; yet a large one takes long.
            if packets or len(data) >= SIGN_OF_LIFE:
                link.last_received = current_time()

    def _leave(self) -> None:
        """Let go of the session; tell who follows it."""
        link = self._link
        link.stop()
        session = link.session
        if session is not None:
            self._core.sessions.release(link.outlet, session)
        event_streams = self._core.event_streams
        if link.is_accepted and session is not None:
            self._core.statistics.clients_connected -= 1
            if ClientDisconnected in event_streams.wanted:
                event_streams.tell(
                    ClientDisconnected(
                        session.client_id, link.reason, link.stream.peer, link.username
                    )
                )
        elif ClientRefused in event_streams.wanted:
            event_streams.tell(
                ClientRefused(
                    link.client_id,
                    link.stream.peer,
                    link.reason,
                    link.username,
                    by_access=link.by_access,
                )
            )
