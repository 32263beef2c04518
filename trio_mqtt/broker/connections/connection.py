"""One client connection: a nursery with a reader, a task for each subscription, and a writer that
runs only while the socket is full."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.access.identity import seconds_left
from trio_mqtt.broker.connections.acknowledgements import Acknowledgements
from trio_mqtt.broker.connections.auth_exchange import Authentication
from trio_mqtt.broker.connections.connect import (
    TOO_MANY_CONNECTIONS,
    allowed,
    authenticate,
    receive_first,
    within_limit,
)
from trio_mqtt.broker.connections.hook_gate import Gate
from trio_mqtt.broker.connections.offers import RefusedPublish, offer_check
from trio_mqtt.broker.connections.redelivery import send_again
from trio_mqtt.broker.connections.requests import Requests
from trio_mqtt.broker.events.kinds import (
    ClientConnected,
    ClientDisconnected,
    ClientRefused,
    KeepAliveExpired,
    MessageAcknowledged,
)
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.sessions.aliases import TopicAliases
from trio_mqtt.broker.sessions.outlet import Outlet
from trio_mqtt.broker.sessions.session import Session
from trio_mqtt.broker.sessions.subscription import Subscription
from trio_mqtt.broker.turns import PACKETS_AT_ONCE, STEPS_AT_ONCE, Turn
from trio_mqtt.errors import LocalProtocolError, RemoteProtocolError
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PubAck,
    PubAckRun,
    PubComp,
    Publish,
    PublishRun,
    PubRec,
    PubRel,
    SubAck,
    UnsubAck,
)
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.server_connection import ServerConnection
from trio_mqtt.protocol.states import State
from trio_mqtt.protocol.wire import MAX_PACKET_SIZE
from trio_mqtt.transport.listeners.streams import HandshakeRefusedError

if TYPE_CHECKING:
    from trio_mqtt.broker.access.identity import Identity
    from trio_mqtt.broker.broker import Broker
    from trio_mqtt.broker.timers import Timer
    from trio_mqtt.transport.listeners.streams import ByteStream

logger = logging.getLogger("trio_mqtt.broker")


# What answers a packet of the client, and may say why it refuses.
Answer = PubAck | PubRec | PubRel | PubComp | SubAck | UnsubAck

# What a message is answered with that the access rules refuse.
NOT_PERMITTED = ReasonCode.NOT_AUTHORIZED, "the client may not publish to this topic"
STEPS_TO_KEEP = 8  # of routing, as which keeping a message counts
LONG_RUN = 64  # packets
COUNTED = 4_096  # bytes of an unfinished packet, from which on it counts
SIGN_OF_LIFE = 1_000  # bytes in one read that keep a client alive though they end no packet


class Connection:
    """What one client and the broker do with each other, from accept to close."""

    def __init__(self, broker: Broker, stream: ByteStream) -> None:
        limits = broker.limits
        self.broker = broker
        self.stream = stream
        self.protocol = ServerConnection(
            maximum_packet_size=limits.maximum_connect_size,
            # What comes in one read with CONNECT is held anyway.
            maximum_packet_size_later=limits.maximum_packet_size,
            receive_maximum=limits.receive_maximum,
            topic_alias_maximum=limits.topic_alias_maximum,
            maximum_user_properties=limits.maximum_user_properties,
            runs=True,
            packets_at_once=PACKETS_AT_ONCE,
            maximum_filters=limits.maximum_filters_at_once,
            maximum_request_size=limits.maximum_request_size,
        )
        self.outlet = Outlet(stream, limits, broker.statistics, self)
        self.session: Session | None = None
        self.client_id: str | None = None
        # Whom CONNECT names, or whom an authentication method has found the client to be.
        self.username: str | None = None
        # Whether the client wants reasons in words (§3.1.2.11.7).
        self.problem_information = True
        self.reason = ""
        self._accepted = False
        self._resumed = False
        self.authentication: Authentication | None = None  # if CONNECT named a method
        self.identity: Identity | None = None  # who the client is, once that is known
        # A program's hooks, if they are asked about what this client does.
        self.gate: Gate | None = None
        self._nursery: trio.Nursery | None = None
        self._reader: trio.lowlevel.Task | None = None
        self.requests = Requests(self)
        self._last_received = trio.current_time()
        # Whether the client is not read from, as it does not read.
        self._held_back = False
        # The time by which the client must be accepted, and what it has said before that was: with
        # CONNECT, and in bytes that are not decoded yet.
        self.connect_by = self._last_received + limits.connect_timeout
        self.said_more = False
        # The address that it counts for, where that is bounded; and whether that has too many.
        self.source: str | None = None
        self.is_one_too_many = False
        self.early = b""
        # When CONNECT must have come, then when the client must have been heard of again.
        self._deadline: Timer | None = None
        self._expiry: Timer | None = None  # of the client's token
        self._acks = Acknowledgements(self)
        self._counted = False  # part of a packet has come that the broker counts
        self.turn = Turn()
        # What is left to do for the packet at which the last turn ended.
        self._begun: Iterator[None] | None = None

    # -- the life of a connection ---------------------------------------------------------------

    async def run(self) -> None:
        """Serve the client until either side ends it. Whatever goes wrong ends only this one."""
        self._reader = trio.lowlevel.current_task()
        if not self.broker.enter(self):
            try:
                await self.stream.aclose()
            finally:
                self._let_go()
            return
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self.outlet.start(self.broker.tasks)
                # A timer instead of a cancel scope: most connections never come near it.
                self._deadline = self.broker.timers.after(
                    self.broker.limits.connect_timeout,
                    lambda: self.lost("it did not connect in time"),
                )
                try:
                    # Handshakes of TLS and WebSocket, under the same deadline as CONNECT.
                    is_known = not self.stream.origin.is_behind_proxies
                    if is_known and not self.broker.count_address(self):
                        raise HandshakeRefusedError(TOO_MANY_CONNECTIONS)
                    self.stream = await self.stream.open()
                    self.outlet.use(self.stream)
                    if not is_known and not self.broker.count_address(self):
                        raise HandshakeRefusedError(TOO_MANY_CONNECTIONS)
                    packets = await receive_first(self)
                    if packets and isinstance(packets[0], Connect):
                        self.said_more = len(packets) > 1
                        session = await self._accept(packets[0], nursery)
                        if session is not None:
                            more = self.protocol.receive(self.early) if self.early else ()
                            self.early = b""
                            await self._read([*packets[1:], *more], session)
                except RemoteProtocolError as error:
                    self.end(error.reason_code, str(error))
                except HandshakeRefusedError as error:
                    self.lost(str(error))
                except trio.BrokenResourceError:
                    self.lost("the connection was lost")
                if nursery.child_tasks:
                    nursery.cancel_scope.cancel()
        except Exception:
            self.failed()
        finally:
            # The session is free before the last bytes have left.
            try:
                self._leave()
            except Exception:
                self.failed()
            try:
                await self.outlet.finish()
            finally:
                self.broker.leave(self)
                self._let_go()

    def failed(self) -> None:
        """A defect of the broker, met by one client: the others go on."""
        logger.exception("The connection from %s failed", self.stream.peer)
        self.lost("internal error")

    async def _accept(self, connect: Connect, nursery: trio.Nursery) -> Session | None:
        """Answer CONNECT. The client's session, if it was accepted."""
        self.client_id = connect.client_id or None
        self.broker.statistics.packets_received += 1
        self.outlet.is_v5 = connect.protocol_version == ProtocolVersion.V5
        if self.outlet.is_v5 and self.protocol.peer_maximum_packet_size < MAX_PACKET_SIZE:
            self.outlet.maximum_packet_size = self.protocol.peer_maximum_packet_size
        self.problem_information = connect.properties.get("request_problem_information", 1) == 1
        self.username = connect.username
        answer = await authenticate(self, connect)
        if answer is None:
            return None
        reason = answer.properties.get("reason_string", "")
        if reason and not self.problem_information:
            answer.properties = answer.properties.copy()
            del answer.properties["reason_string"]
        session = self.session
        try:
            data = within_limit(self, answer)
        except RemoteProtocolError:
            if session is not None:
                session.will = None  # it was never accepted
            raise
        self.broker.statistics.other_packets_sent += 1
        if session is None:
            self.outlet.write(data)
            self.lost(reason or answer.reason_code.sentence)
            return None
        self._accepted = True
        maximum = min(
            self.protocol.peer_topic_alias_maximum if self.outlet.is_v5 else 0,
            self.broker.limits.client_topic_alias_maximum,
        )
        if maximum:
            self.outlet.aliases = TopicAliases(maximum)
        self.broker.statistics.clients_accepted += 1
        self.broker.statistics.clients_connected += 1
        if ClientConnected in self.broker.event_streams.wanted:
            self.broker.event_streams.tell(
                ClientConnected(
                    session.client_id,
                    self.stream.peer,
                    connect.protocol_version.text,
                    self.username,
                    answer.session_present,
                )
            )
        self.outlet.write(data)
        keep_alive = answer.properties.get("server_keep_alive", connect.keep_alive)
        self._cancel_deadline()
        self._last_received = trio.current_time()
        if keep_alive:
            self._check_keep_alive(keep_alive * 1.5)
        if session.sender:
            nursery.start_soon(send_again, self, session)
        else:
            self.begin_delivery(session)
        return session

    def admit(self, session: Session) -> None:
        """The session is this connection's: what its client may do holds from now on."""
        identity = self.identity
        if identity is None:
            return
        client = replace(identity.client, client_id=session.client_id)
        broker = self.broker
        access = broker.access
        session.permissions = access.permissions(client, identity.rules)
        broker.sessions.check_subscriptions(session)
        hooks = access.hooks
        if hooks is not None and (
            access.asks_publish or access.asks_subscribe or access.asks_delivery
        ):
            self.gate = Gate(self, hooks, client)
            if access.asks_delivery:
                self.outlet.hooks = self.gate
        if identity.expires_at is not None:
            self._expiry = broker.timers.after(
                seconds_left(identity.expires_at),
                lambda: self.end(ReasonCode.NOT_AUTHORIZED, "its token has expired"),
            )

    def refused_again(self, reason: str) -> None:
        """The client was let in, and is no longer: by its method, or as its password is another."""
        if self.identity is not None:
            self.broker.access.refusals.record(self.identity.client, "stay connected", rule=reason)
        self.end(ReasonCode.NOT_AUTHORIZED, reason)

    def on_auth(self, packet: Auth) -> None:
        """The client authenticates again, which the protocol allows only after a method."""
        if self.authentication is not None and self._nursery is not None:
            self.authentication.on_auth(packet, self._nursery)

    def encoded(self, packet: Packet) -> bytes:
        """The bytes of an answer.

        A client that says goodbye in the same read gets its answers too: the protocol is a read
        ahead then, and would refuse them. Raises LocalProtocolError as the protocol does.
        """
        if self.outlet.ended or self.protocol.state is not State.DISCONNECTED:
            return self.protocol.send(packet)
        data = encode(packet, self.protocol.version)
        return data if len(data) <= self.protocol.peer_maximum_packet_size else b""

    def explained(self, packet: Answer, reason: str) -> bytes:
        """The bytes of an answer that refuses, with the reason in words.

        They are left out where the client wants none (§3.1.2.11.7) or takes no packet so large.
        Raises LocalProtocolError as the protocol does.
        """
        if reason and self.outlet.is_v5 and self.problem_information:
            try:
                data = self.encoded(replace(packet, properties={"reason_string": reason}))
            except LocalProtocolError:
                data = b""
            if data:
                return data
        return self.encoded(packet)

    def begin_delivery(self, session: Session) -> None:
        """Let the tasks of all subscriptions begin."""
        self._resumed = True
        for subscription in session.subscriptions.values():
            self.start_delivery(subscription)

    def start_delivery(self, subscription: Subscription) -> None:
        """Start the task of a subscription; while the session is being resumed, it waits."""
        if self._resumed and self._nursery is not None and not subscription.is_served:
            subscription.is_served = True
            if subscription.shared_filter and not subscription.resting:
                self.broker.router.is_back(subscription)
            self._nursery.start_soon(subscription.deliver, self.outlet)

    async def _read(self, first: Sequence[Packet], session: Session) -> None:
        packets: Sequence[Packet | RefusedPublish] = first
        protocol = self.protocol
        gate = self.gate
        receive: Callable[[bytes], Sequence[Packet | RefusedPublish]] = protocol.receive
        check = offer_check(self.broker.options, protocol)
        if check is not None:
            receive = check.receive
            packets = check.passed(first)
        readable = self.stream.readable
        receive_nowait = self.stream.receive_nowait
        statistics = self.broker.statistics
        outlet = self.outlet
        current_time = trio.current_time
        while True:
            if packets:
                only = packets[0] if len(packets) == 1 else None
                if gate is not None:
                    self._held_back = True
                    await gate.process(packets, session)
                    self._held_back = False
                    self._last_received = current_time()
                elif isinstance(only, PublishRun):
                    statistics.packets_received += len(only)
                    self._publish(only, session)
                else:
                    self.turn.begin()
                    done = self.process(packets, session)
                    while done < len(packets) and not outlet.ended:
                        await self.turn.give_way()
                        if not outlet.ended:  # else the session may be another's
                            done = self.process(packets, session, done)
                if outlet.ended:
                    return
            violation = protocol.violation
            if violation is not None:
                self.end(violation.reason_code, str(violation))
                return
            if outlet.congested:
                # Once, not until all is written: those who deliver wait for the same, and none of
                # them must keep the client from being heard.
                self._held_back = True
                await outlet.wait_for_progress()
                self._held_back = False
                self._last_received = current_time()
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
                self.lost("the connection was lost")
                return
            statistics.bytes_received += len(data)
            packets = receive(data)
            if (protocol.unfinished > COUNTED or self._counted) and not self.count_unfinished():
                return
            # Bytes of a packet that does not end are no sign of life; yet a large one takes long.
            if packets or len(data) >= SIGN_OF_LIFE:
                self._last_received = current_time()

    def count_unfinished(self) -> bool:
        """Have the broker know how much has come of a packet that is not whole yet.

        False if there is no room for it: then the connection has ended.
        """
        held = self.protocol.unfinished
        if held > COUNTED or self._counted:
            self._counted = held > COUNTED
            self.broker.memory.receiving(self, held if self._counted else 0)
        return not self.outlet.ended

    def give_up_unfinished(self) -> None:
        """The broker has no room for what has come of a packet: let go of it, and end."""
        self._counted = False
        self.protocol.forget_unfinished()
        self.end(ReasonCode.QUOTA_EXCEEDED, "too many packets are unfinished at this broker")

    def process(
        self, packets: Sequence[Packet | RefusedPublish], session: Session, start: int = 0
    ) -> int:
        """Do what the packets from `start` on ask for, in order, until the turn is over.

        Returns how many are done; those that are, are answered: the acknowledgements of one turn
        leave together.
        """
        outlet = self.outlet
        if self._begun is not None:
            if not self._go_on(self._begun):
                return start
            start += 1
            if outlet.ended:
                return start
        elif not start:
            self.broker.statistics.packets_received += len(packets)
        broker = self.broker
        acks = self._acks.waiting
        messages: list[Publish] = []
        retained: list[Publish] = []
        statistics = broker.statistics
        keeping = steps = 0
        last: str | None = None
        done = len(packets)
        for index in range(start, done):
            packet = packets[index]
            if isinstance(packet, Publish):
                qos = packet.qos
                if qos == 1:
                    acks.append(0x4002_0000 | packet.packet_id)
                elif qos == 2:
                    acks.append(0x5002_0000 | packet.packet_id)
                    if not session.receiver.on_publish(packet.packet_id):
                        self.protocol.acknowledged()
                        statistics.messages_received += 1
                        statistics.payload_bytes_received += packet.payload_size
                        continue
                messages.append(packet)
                if packet.topic is not last:
                    last = packet.topic
                    steps += broker.router.steps_for(last)
                if packet.retain:
                    retained.append(packet)
                    steps += STEPS_TO_KEEP
                    # It occupies this much at most; what it may replace is looked at only when
                    # there is little room.
                    keeping += self.broker.retained.most(packet)
                    if (
                        qos
                        and outlet.is_v5
                        and not broker.retained.has_room_for(len(retained), keeping)
                    ):
                        # Those before it first: they may take the last room, or give some back.
                        messages.pop()
                        retained.pop()
                        ack = acks.pop()
                        if messages:
                            self._publish(messages, session, retained)
                            messages, retained = [], []
                        self._acks.write(session)
                        if broker.retained.takes(packet):
                            messages.append(packet)
                            retained.append(packet)
                            acks.append(ack)
                        else:
                            session.receiver.refused(packet.packet_id)
                            self.requests.refuse(_no_room(packet), session)
                if steps >= STEPS_AT_ONCE:
                    steps = 0
                    if messages:
                        self._publish(messages, session, retained)
                        messages, retained = [], []
                    if self.turn.is_over:
                        done = index + 1
                        break
            elif isinstance(packet, (PubAckRun, PubAck)):  # alone, with a reason code
                followed = broker.event_streams.wanted
                if followed and MessageAcknowledged in followed:
                    self._tell_acknowledged(packet, session)
                try:
                    if isinstance(packet, PubAckRun):
                        statistics.packets_received += len(packet.packet_ids) - 1
                        session.sender.on_pubacks(packet.packet_ids)
                    else:
                        session.sender.on_puback(packet.packet_id)
                except RemoteProtocolError as error:
                    # What came before it still counts, as QoS 2 has been noted as received.
                    self.protocol.violated(error)
                    break
            elif isinstance(packet, PublishRun):
                statistics.packets_received += len(packet) - 1
                if len(packet) > LONG_RUN:
                    # Taking it apart would cost more than parting it from what comes before it.
                    if messages:
                        self._publish(messages, session, retained)
                        messages, retained = [], []
                    self._publish(packet, session)
                else:
                    messages += packet.messages
                    steps += broker.router.steps_for(packet.topic)
                    if steps >= STEPS_AT_ONCE:
                        steps = 0
                        self._publish(messages, session, retained)
                        messages, retained = [], []
                        if self.turn.is_over:
                            done = index + 1
                            break
            else:
                if messages:
                    self._publish(messages, session, retained)
                    messages, retained = [], []
                self._acks.write(session)
                begun = self.requests.handle(packet, session)
                if begun is not None and not self._go_on(begun):
                    done = index
                    break
                if outlet.ended:
                    return done
                if self.turn.is_over:
                    done = index + 1
                    break
        if messages:
            self._publish(messages, session, retained)
        if acks:
            self._acks.write(session)
        if outlet.awaits_quota and session.sender.quota > 0:
            outlet.quota_is_back()
        return done

    def _go_on(self, begun: Iterator[None]) -> bool:
        """Go on with what a packet asks for; whether it is done in this turn."""
        self._begun = None
        for _ in begun:
            if self.outlet.ended:
                break
            if self.turn.is_over:
                self._begun = begun
                return False
        return True

    def _tell_acknowledged(self, packet: PubAckRun | PubAck, session: Session) -> None:
        """Tell those who follow it that the client has taken over messages."""
        ids = packet.packet_ids if isinstance(packet, PubAckRun) else [packet.packet_id]
        in_flight = session.sender.in_flight
        known = (in_flight[packet_id] for packet_id in ids if packet_id in in_flight)
        self.broker.event_streams.acknowledged(
            session.client_id, ((qos, message.topic) for qos, (message, *_) in known)
        )

    def _publish(
        self,
        messages: Sequence[Publish] | PublishRun,
        session: Session,
        retained: Sequence[Publish] = (),
    ) -> None:
        """Route what the client published, and say by acknowledgement what reached nobody."""
        forbidden: Sequence[Publish] | PublishRun = ()
        if session.permissions is not None:
            messages, retained, forbidden = session.permissions.divide(messages, retained)
        codes: dict[int, tuple[ReasonCode, str]] = {}
        if messages:
            batch = Batch(
                messages,
                sender=session,
                is_v5=self.outlet.is_v5,
                received_at=self._last_received,
            )
            self.broker.statistics.payload_bytes_received += batch.payload_size
            missed = self.broker.route(batch, retained)
            if missed and self.outlet.is_v5 and self._acks.waiting:
                codes = {m.packet_id: self.broker.reason_for(m) for m in missed if m.packet_id}
        if forbidden:
            self.broker.count_refused(session, forbidden)
            self.broker.statistics.payload_bytes_received += (
                forbidden.payload_size
                if isinstance(forbidden, PublishRun)
                else sum(message.payload_size for message in forbidden)
            )
            if self.outlet.is_v5 and not isinstance(forbidden, PublishRun):
                codes |= {m.packet_id: NOT_PERMITTED for m in forbidden if m.packet_id}
        if codes:
            self._acks.write(session, codes)

    def publish_instead(self, packet: Publish, message: Publish, session: Session) -> None:
        """Route `message` in place of a packet that the client sent, and acknowledge that."""
        self.broker.statistics.packets_received += 1
        no_room = message.retain and packet.qos and not self.broker.retained.takes(message)
        if no_room and self.outlet.is_v5:
            self.requests.refuse(_no_room(packet), session)
        elif self._acks.note(packet, session):
            self._publish([message], session, [message] * message.retain)
        self._acks.write(session)

    def _check_keep_alive(self, timeout: float) -> None:
        """End the connection when nothing came for `timeout` seconds (§3.1.2.10)."""
        left = self._last_received + timeout - trio.current_time()
        if self._held_back:
            left = timeout  # what it says is not read now; that it reads is for the writer to see
        if left > 0:
            self._deadline = self.broker.timers.after(left, lambda: self._check_keep_alive(timeout))
        else:
            if KeepAliveExpired in self.broker.event_streams.wanted and self.session is not None:
                self.broker.event_streams.tell(KeepAliveExpired(self.session.client_id))
            self.end(ReasonCode.KEEP_ALIVE_TIMEOUT, f"nothing came for {timeout:g} s")

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    # -- the end --------------------------------------------------------------------------------

    def end(
        self,
        reason_code: ReasonCode,
        reason: str = "",
        properties: Properties = NO_PROPERTIES,
    ) -> None:
        """End the connection, telling an MQTT 5 client why, with `properties` where they fit."""
        if self.outlet.ended:
            return
        state = self.protocol.state
        if self.outlet.is_v5 and state is State.CONNECTED:
            code = allowed(reason_code, PacketType.DISCONNECT)
            self._say(Disconnect(code, properties), reason)
        elif self.outlet.is_v5 and state is State.CONNECTING:
            self._say(ConnAck(reason_code=allowed(reason_code, PacketType.CONNACK)), reason)
        self.lost(reason or reason_code.sentence)

    def _say(self, packet: Disconnect | ConnAck, reason: str) -> None:
        """Send a last packet, with the reason in words where the client takes them (§4.13)."""
        properties = packet.properties
        attempts: list[Properties] = [properties, {}]
        if reason and self.problem_information:
            with_words = properties.copy()
            with_words["reason_string"] = reason
            attempts.insert(0, with_words)
        for attempt in attempts:
            # The client may accept nothing so large: the code alone is four bytes.
            packet.properties = attempt
            try:
                self.outlet.write(self.protocol.send(packet))
            except LocalProtocolError:
                continue
            self.broker.statistics.other_packets_sent += 1
            return
        logger.debug("%s accepts no packet that says why it is ended", self.stream.peer)

    def lost(self, reason: str) -> None:
        """The connection is over, for a reason that the client is not told or knows."""
        if not self.outlet.ended:
            self.outlet.ended = True
            self.reason = reason
        # The reader looks for itself; anybody else has to interrupt it.
        if self._nursery is not None and trio.lowlevel.current_task() is not self._reader:
            self._nursery.cancel_scope.cancel()

    def _leave(self) -> None:
        """Let go of the session; tell who watches."""
        self._nursery = None
        self._begun = None
        self.lost("it is no longer served")
        self._cancel_deadline()
        if self._expiry is not None:
            self._expiry.cancel()
        self.protocol.forget_unfinished()
        self.count_unfinished()
        session = self.session
        if session is not None:
            self.broker.sessions.release(self.outlet, session)
        event_streams = self.broker.event_streams
        if self._accepted and session is not None:
            self.broker.statistics.clients_connected -= 1
            if ClientDisconnected in event_streams.wanted:
                event_streams.tell(ClientDisconnected(session.client_id, self.reason))
        elif ClientRefused in event_streams.wanted:
            event_streams.tell(
                ClientRefused(self.client_id, self.stream.peer, self.reason, self.username)
            )
        logger.info("%r (%s): %s", self.client_id, self.stream.peer, self.reason or "goodbye")

    def _let_go(self) -> None:
        """All has ended: what refers back to this connection goes.

        So it is freed with its last reference, and nothing of it waits for the collector.
        """
        self.authentication = self.gate = self._reader = None
        del self.outlet, self.requests, self._acks


def _no_room(message: Publish) -> RefusedPublish:
    return RefusedPublish.of(
        message, ReasonCode.QUOTA_EXCEEDED, "this broker keeps no more retained messages"
    )
