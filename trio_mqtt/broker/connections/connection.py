"""One client connection: a nursery with a reader, a task for each subscription in which something
has waited, and a writer that runs only while the socket is full."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.access.connect_questions import refusal_of_connection
from trio_mqtt.broker.connections.acknowledgements import Acknowledgements
from trio_mqtt.broker.connections.connect import Handshake
from trio_mqtt.broker.connections.deliveries import Deliveries
from trio_mqtt.broker.connections.first_packets import receive_first
from trio_mqtt.broker.connections.hook_gate import HookGate
from trio_mqtt.broker.connections.link import Link
from trio_mqtt.broker.connections.mounting import Mounting
from trio_mqtt.broker.connections.offers import RefusedPublish, offer_check
from trio_mqtt.broker.connections.packets import PacketHandler
from trio_mqtt.broker.connections.publishing import Publishing
from trio_mqtt.broker.connections.reading import Reading, Receive
from trio_mqtt.broker.connections.redelivery import send_again
from trio_mqtt.broker.connections.requests import Requests
from trio_mqtt.broker.events.kinds import ClientDisconnected, ClientRefused
from trio_mqtt.errors import RemoteProtocolError
from trio_mqtt.protocol.packets import Connect, Packet
from trio_mqtt.transport.listeners.streams import HandshakeRefusedError

if TYPE_CHECKING:
    from trio_mqtt.broker.connections.registry import Connections
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.broker.settings import Settings
    from trio_mqtt.transport.listeners.streams import ByteStream


class Connection:
    """What one client and the broker do with each other, from accept to close."""

    __slots__ = ("_connections", "_core", "_deliveries", "_link")

    def __init__(
        self, core: Core, settings: Settings, connections: Connections, stream: ByteStream
    ) -> None:
        """`settings` are those of the listener that accepted the stream."""
        self._core = core
        self._connections = connections
        self._link = Link(core, settings, stream)
        self._deliveries: Deliveries | None = None

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
                finally:
                    if self._deliveries is not None:
                        self._deliveries.end()
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
        if link.access.asks_accept:
            refused = await refusal_of_connection(
                link.access, link.limits, link.stream.origin, link.stream.peer
            )
            if refused is not None:
                raise HandshakeRefusedError(refused)

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
        self._deliveries = deliveries = Deliveries(link)
        if link.service is not None:
            link.service.deliveries = deliveries
        requests = Requests(
            link, deliveries, handshake.authentication, is_bridge=handshake.is_bridge
        )
        acks = Acknowledgements(link)
        publishing = Publishing(link, requests, acks)
        handler = PacketHandler(link, requests, acks, publishing)
        gate = None
        if handshake.hooks is not None:
            gate = HookGate(link, handshake.hooks, handler, publishing, requests)
        if session.sender:
            deliveries.wait(session)
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
        return Reading(link, receive, session, handler, gate).run(first)

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
