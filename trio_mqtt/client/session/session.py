"""What outlives a connection: messages on their way, subscriptions, and who waits for what."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from contextvars import ContextVar

import anyio

from trio_mqtt.client.arguments import check_topic
from trio_mqtt.client.connection.connection import Connection, explanation
from trio_mqtt.client.messages import Messages
from trio_mqtt.client.session.incoming import Incoming
from trio_mqtt.client.session.journal import MAX_STORED, Journal
from trio_mqtt.client.session.subscriptions import Request, Targets
from trio_mqtt.client.session.waiting import Line, Outgoing, Pending
from trio_mqtt.errors import (
    ConnectionLostError,
    LocalProtocolError,
    MqttError,
    RemoteProtocolError,
    RequestRefusedError,
)
from trio_mqtt.protocol.delivery import Sender
from trio_mqtt.protocol.packets import (
    Auth,
    Disconnect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.storage.client_changes import OutgoingDone, OutgoingReleased, OutgoingStored

logger = logging.getLogger("trio_mqtt.client")

# In tasks that speak first on a connection, and in those that they start: what holds the others up.
_first: ContextVar[object] = ContextVar("trio_mqtt.first", default=None)


class Session:
    """The state of a client, and what it does with each packet that comes.

    All methods but the waits are synchronous: nothing is ever seen half done, and cancelling a wait
    leaves the state as it is.
    """

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.error: MqttError | None = None  # why there will be no connection any more
        self.incoming = Incoming()
        self.sender: Sender[Outgoing] = Sender()
        self._pending: dict[int, Pending] = {}
        self._attached = False  # to a connection, now or before
        self._connected = anyio.Event()
        self.waiting_unacknowledged: Line = OrderedDict()  # QoS 0, for room in the buffer
        self.waiting_acknowledged: Line = OrderedDict()  # QoS 1 and 2, for that or the quota
        # While a connection begins with what is to come first, that stands in a line of its own; at
        # the head of the other two stand messages that are never sent, so that they look taken.
        self._hold: object | None = None
        self._first_line: Line = OrderedDict()
        self._heads: list[Outgoing] = []
        self._held_back: list[int] = []  # to be sent from the store after that
        self._to_resend: deque[int] = deque()  # packet identifiers that wait for the quota
        self._redelivers = False  # what is sent again has been sent in this session
        self._awaiting = 0  # tasks that wait for an answer of the broker
        self._left_subscribed: dict[str, None] = {}  # to unsubscribe from once connected again
        self.journal: Journal | None = None

    def keep_in(self, journal: Journal) -> None:
        """Go on with what the store holds, and keep there what comes."""
        self.journal = self.incoming.journal = journal
        journal.on_commit = self._committed
        sender = self.sender
        for kept in journal.outgoing:
            item = Outgoing(kept.topic, kept.payload, kept.qos, kept.retain, kept.properties)
            item.number = kept.number
            item.sent = True  # it may have been, by the program before
            item.stored = anyio.Event()
            item.stored.set()
            if kept.released:
                sender.restore_released(kept.packet_id, item)
            else:
                sender.restore(kept.packet_id, kept.qos, item)
        self.incoming.restore(journal.received)
        journal.outgoing = []

    # Connections come and go.

    def attach(self, connection: Connection) -> None:
        """Go on with a new connection: what was begun is sent again as its session allows."""
        present = connection.connack.session_present
        sender = self.sender
        self.incoming.attach(connection, present=present)
        if present and not self._attached:
            self.incoming.keep_unclaimed()
        self._attached = True
        if not present:
            self._forget_broken_off(connection)
        sender.connected(connection.protocol.peer_receive_maximum)
        self.connection = connection
        if self.error is None:
            self._subscribe_again(connection, present)
        self._send_again(connection, present=present)
        connection.flush()
        self._connected.set()
        if self._begin_waiting():
            connection.flush_soon()

    def hold(self) -> None:
        """Before a connection is attached: what waits is to wait until `release`."""
        self._hold = object()
        for line in (self.waiting_unacknowledged, self.waiting_acknowledged):
            head = Outgoing("", b"", 0, False, NO_PROPERTIES, _nobody)
            head.stand_in(line)
            line.move_to_end(head, last=False)
            self._heads.append(head)

    def release(self) -> None:
        """What has waited comes now."""
        self._hold = None
        heads, self._heads = self._heads, []
        for head in heads:
            head.leave_line()
        connection = self.connection
        if heads and connection is not None:
            self._to_resend.extend(self._held_back)
            self._held_back.clear()
            self._resend(connection)
            self._begin_waiting()
            connection.flush_soon()

    def speak_first(self) -> None:
        """What this task publishes, and those that it starts, does not wait for `release`."""
        _first.set(self._hold)

    @property
    def speaks_first(self) -> bool:
        """Whether this task comes before those that wait."""
        return self._hold is not None and _first.get() is self._hold

    def _forget_broken_off(self, connection: Connection) -> None:
        """The broker knows nothing of the session: neither may this end (§4.1)."""
        sender = self.sender
        for item in sender.forget_released():
            self._settled(item)
            item.fail(
                ConnectionLostError(
                    f"The broker at {connection.url} lost the session after it had received a"
                    f" message of QoS 2 on {item.topic!r}:"
                    " whether it was delivered is not known."
                )
            )
        for packet_id, (_qos, item) in list(sender.in_flight.items()):
            if item.abandoned:
                sender.give_up(packet_id)
                self._settled(item)

    def _subscribe_again(self, connection: Connection, present: bool) -> None:
        left, self._left_subscribed = list(self._left_subscribed), {}
        if present:
            if left:
                self.unsubscribe(connection, left)
            return
        for request in self.incoming.subscriptions.all_again(self.identifiers_available):

            def refused(answer: SubAck | UnsubAck, request: Request = request) -> None:
                for entry, code in zip(request.filters, answer.reason_codes, strict=True):
                    if code.is_failure:
                        error = refusal(connection.url, [(entry.topic_filter, code)], answer)
                        logger.warning("%s", error)
                        for messages in entry.users:
                            messages.close(error)

            self.subscribe(connection, request, refused)

    def _send_again(self, connection: Connection, *, present: bool) -> None:
        sender = self.sender
        for packet_id, item in sender.released.items():
            if self._is_safe(item):
                connection.gather(connection.protocol.send(PubRel(packet_id)))
        self._to_resend = deque(
            packet_id for packet_id, (_, item) in sender.in_flight.items() if self._is_safe(item)
        )
        if self._hold is not None:
            # Sent again is what was sent; what only stands in the store waits like the others.
            self._held_back = [i for i in self._to_resend if not sender.in_flight[i][1].sent]
            self._to_resend = deque(i for i in self._to_resend if sender.in_flight[i][1].sent)
        self._redelivers = present
        self._resend(connection)

    def _resend(self, connection: Connection) -> None:
        """Send again what the receive maximum allows; the rest when something is acknowledged."""
        sender = self.sender
        while self._to_resend and sender.quota > 0:
            packet_id = self._to_resend.popleft()
            entry = sender.in_flight.get(packet_id)
            if entry is None:
                continue
            item = entry[1]
            if item.abandoned and not item.sent:
                # Cancelled before it was ever sent: then it never is.
                sender.give_up(packet_id)
                self._settled(item)
                continue
            try:
                again = self._redelivers and item.sent
                self._gather(connection, packet_id.to_bytes(2, "big"), item, dup=again)
            except LocalProtocolError as error:
                # This broker no longer accepts what the one before did.
                sender.give_up(packet_id)
                self._settled(item)
                item.fail(error)
            else:
                item.sent = True
                sender.sent_again()

    def detach(self, error: MqttError) -> None:
        """The connection has ended: requests on it will not be answered, messages stay."""
        self.connection = None
        if self.error is None:
            self._connected = anyio.Event()
        self._to_resend.clear()
        self._held_back.clear()
        self.incoming.detach()
        pending, self._pending = self._pending, {}
        self.sender.disconnected()
        for request in pending.values():
            request.fail(error)

    def end(self, error: MqttError, *, in_order: bool = False) -> None:
        """There will be no connection any more: everybody who waits is told why.

        `in_order` means that the program wants it so: iterations end without an error.
        """
        if self.error is not None:
            return
        self.error = error
        self.connection = None
        self._withdraw()
        for _qos, item in list(self.sender.in_flight.values()):
            if item.stored is not None and not item.stored.is_set():
                not_safe, item.stored = item.stored, None
                not_safe.set()
            item.fail(error)
        for item in list(self.sender.released.values()):
            item.fail(error)
        for request in self._pending.values():
            request.fail(error)
        self.incoming.end(None if in_order else error)
        self._connected.set()
        for line in (self._first_line, self.waiting_unacknowledged, self.waiting_acknowledged):
            for item in list(line):
                item.leave_line()
                item.fail(error)

    async def connected(self) -> Connection:
        """The connection, once there is one. Raises the error that ended the client."""
        while self.error is None:
            if self.connection is not None:
                return self.connection
            await self._connected.wait()
        raise self.error

    # Publishing.

    def may_begin(self) -> bool:
        """Whether a message of QoS 1 or 2 need not wait."""
        if self.waiting_acknowledged:
            return False
        if self.journal is not None:
            return self._has_place()
        connection = self.connection
        return connection is not None and self.sender.quota > 0 and not connection.full

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,
        properties: Properties,
        on_end: Callable[[Outgoing], None] | None = None,
    ) -> Outgoing:
        """Send a message now, or when those before it have been sent and it may be.

        Messages of QoS 0 and those of QoS 1 and 2 stand in two lines, for only these wait for the
        receive maximum (MQTT 5.0 §4.9). Whoever makes room sends what stands in line: the tasks
        that wait need not run for it, and so nobody comes between. Where there is a store, messages
        are sent when they stand there.

        Raises what makes the message impossible, and the error that ended the client.
        """
        item = Outgoing(topic, payload, qos, retain, properties, on_end)
        if qos and self.may_begin():
            self._begin(item)
            if self.journal is not None:
                return item
            connection = self.connection
            if connection is None:
                raise AssertionError("begun without a connection")
            if len(self.sender.in_flight) == 1:
                # Nothing else is on its way that this could leave together with.
                connection.flush()
            else:
                connection.flush_soon()
            return item
        if self.error is not None:
            raise self.error
        check_topic(topic)
        self._check_accepted(item)
        if self.speaks_first:
            item.stand_in(self._first_line)
            if self._begin_waiting() and self.connection is not None:
                self.connection.flush_soon()
            return item
        item.stand_in(self.waiting_acknowledged if qos else self.waiting_unacknowledged)
        return item

    def _begin(self, item: Outgoing) -> None:
        """Gather a message, or have it stored; the caller sees to it that it may be."""
        if self.journal is not None and item.qos:
            self._begin_stored(self.journal, item)
            return
        connection = self.connection
        if connection is None:
            raise AssertionError("there is no connection")
        if not item.qos:
            self._gather(connection, b"", item, dup=False)
            return
        sender = self.sender
        item.sent = True
        packet_id = sender.begin(item.qos, item)
        try:
            self._gather(connection, packet_id.to_bytes(2, "big"), item, dup=False)
        except BaseException:
            sender.take_back(packet_id)
            raise

    def _begin_waiting(self) -> bool:
        """Send what stands in line, as far as it may be; return whether something was gathered."""
        connection = self.connection
        gathered = False
        line = self._first_line
        while line and self._may_come(next(iter(line))):
            item = self._begin_next(line)
            if item.error is None and not item.qos:
                item.finish()
            gathered = True
        if self._hold is not None:
            return gathered
        line = self.waiting_unacknowledged
        while line and connection is not None and not connection.full:
            item = self._begin_next(line)
            if item.error is None:
                item.finish()
            gathered = True
        line = self.waiting_acknowledged
        if self.journal is not None:
            while line and self._has_place():
                self._begin_next(line)
        else:
            while line and connection and self.sender.quota > 0 and not connection.full:
                self._begin_next(line)
                gathered = True
        return gathered

    def _may_come(self, item: Outgoing) -> bool:
        """Whether there is room for that message, by whatever it needs."""
        if item.qos and self.journal is not None:
            return self._has_place()
        connection = self.connection
        return (
            connection is not None
            and not connection.full
            and (not item.qos or self.sender.quota > 0)
        )

    def _begin_next(self, line: Line) -> Outgoing:
        item = next(iter(line))
        item.leave_line()
        try:
            self._begin(item)
        except MqttError as error:
            item.fail(error)
        return item

    def on_room(self, connection: Connection) -> None:
        """Something has been written: those who wait for that come next."""
        if (
            (self.waiting_unacknowledged or self.waiting_acknowledged)
            and connection is self.connection
            and self._begin_waiting()
        ):
            connection.flush_soon()

    def abandon(self, on_end: Callable[[Outgoing], None]) -> None:
        """Nobody waits any more for the messages whose end is told there."""
        for _qos, item in self.sender.in_flight.values():
            if item.belongs_to(on_end):
                item.abandoned = True

    def _begin_stored(self, journal: Journal, item: Outgoing) -> None:
        self._check_accepted(item)  # else it does not come to the store
        packet_id = self.sender.begin_later(item.qos, item)
        item.number = journal.next_number()
        safe = item.stored = anyio.Event()
        stored = OutgoingStored(
            item.number,
            packet_id,
            item.qos,
            item.retain,
            item.topic,
            item.payload,
            item.properties,
        )

        def then() -> None:
            safe.set()
            if self.connection is not None:
                self._to_resend.append(packet_id)

        journal.note(stored, then)

    def _check_accepted(self, item: Outgoing) -> None:
        """Raise what the present broker has against a message now, not when it is sent."""
        if self.connection is not None:
            self.connection.protocol.message_head(
                item.topic, len(item.payload), item.qos, item.retain, item.properties
            )

    async def safe(self, item: Outgoing) -> None:
        """Wait until a message stands in the store. Raises the error that ended the client."""
        stored = item.stored
        if stored is None:
            raise AssertionError("it does not go to a store")
        try:
            await stored.wait()
        except BaseException:
            item.abandoned = True
            raise
        if item.stored is not stored and self.error is not None:
            raise self.error

    def _withdraw(self) -> None:
        """Messages whose publishers were cancelled before they were ever sent are not to be."""
        sender = self.sender
        for packet_id, (_qos, item) in list(sender.in_flight.items()):
            if item.abandoned and not item.sent:
                sender.give_up(packet_id)
                self._settled(item)

    def _committed(self) -> None:
        """What was noted is safe: send what has waited for that."""
        connection = self.connection
        if connection is not None and not connection.closing:
            self._resend(connection)
            self._begin_waiting()
            connection.flush()

    def _is_safe(self, item: Outgoing) -> bool:
        """Whether the present state of a message outlives this program, if it is to."""
        return item.stored is None or item.stored.is_set()

    def _settled(self, item: Outgoing) -> None:
        """A message is delivered, or never will be."""
        if self.journal is not None:
            self.journal.note(OutgoingDone(item.number))

    def _has_place(self) -> bool:
        """Whether one more message may come to the store."""
        if self.error is None and len(self.sender) >= MAX_STORED:
            self._withdraw()
        return self.error is None and len(self.sender) < MAX_STORED

    @staticmethod
    def _gather(connection: Connection, packet_id: bytes, item: Outgoing, *, dup: bool) -> None:
        head, after = connection.protocol.message_head(
            item.topic, len(item.payload), item.qos, item.retain, item.properties
        )
        if dup:
            head = bytes((head[0] | 8,)) + head[1:]
        connection.gather_message(head + packet_id + after, item.payload)

    # Asking.

    @property
    def identifiers_available(self) -> bool:
        """Whether the broker sends subscription identifiers (MQTT 5.0 §3.2.2.3.12)."""
        connection = self.connection
        return (
            connection is not None
            and connection.protocol.version == 5
            and connection.connack.properties.get("subscription_identifier_available", 1) == 1
        )

    def subscribe(
        self,
        connection: Connection,
        request: Request,
        on_answer: Callable[[SubAck | UnsubAck], None] | None = None,
    ) -> Pending:
        """Send SUBSCRIBE on the present connection."""
        pending = Pending(SubAck, len(request.subscriptions), on_answer)
        packet_id = self.sender.reserve_identifier()
        packet = Subscribe(packet_id, request.subscriptions, request.properties)
        return self._ask(connection, packet, pending)

    def unsubscribe(self, connection: Connection, filters: list[str]) -> Pending:
        """Send UNSUBSCRIBE on the present connection."""
        packet_id = self.sender.reserve_identifier()
        return self._ask(
            connection, Unsubscribe(packet_id, filters), Pending(UnsubAck, len(filters))
        )

    def unsubscribe_later(self, filters: list[str]) -> None:
        """There is no connection: should the session be resumed, unsubscribe then."""
        self._left_subscribed.update(dict.fromkeys(filters))

    def subscribed_again(self, topic_filter: str) -> None:
        """A filter that was to be left is used once more."""
        self._left_subscribed.pop(topic_filter, None)

    def _ask(
        self, connection: Connection, packet: Subscribe | Unsubscribe, pending: Pending
    ) -> Pending:
        try:
            connection.write(connection.protocol.send(packet))
        except BaseException:
            self.sender.return_identifier(packet.packet_id)
            raise
        self._pending[packet.packet_id] = pending
        return pending

    # Waiting for answers, and reading no faster than messages are taken.

    def begin_to_wait(self) -> None:
        """A task comes to wait for the broker: read on, even past full queues."""
        self._awaiting += 1
        if self.incoming.full and self.connection is not None:
            self.connection.resume()

    def end_to_wait(self) -> None:
        self._awaiting -= 1

    def must_pause(self) -> bool:
        """Whether queues are full and nobody waits for what is behind them."""
        return bool(self.incoming.full) and not self._awaiting

    # Packets.

    def on_packets(self, connection: Connection, packets: list[Packet]) -> None:
        """Do what each packet asks for; acknowledgements are gathered for one write."""
        if connection.closing:
            return
        touched: set[Messages] = set()
        try:
            self._on_each(connection, packets, touched)
        finally:
            self.incoming.wake(touched)

    def _on_each(
        self, connection: Connection, packets: list[Packet], touched: set[Messages]
    ) -> None:
        incoming = self.incoming
        run: list[Publish] = []  # of QoS 0 without properties, on one topic
        topic: str | None = None
        for packet in packets:
            if isinstance(packet, Publish):
                if not packet.qos and not packet.properties:
                    if packet.topic is topic:
                        run.append(packet)
                        continue
                    if run:
                        self._on_run(run, touched)
                    run = [packet]
                    topic = packet.topic
                    continue
                if run:
                    self._on_run(run, touched)
                    run = []
                    topic = None
                if packet.qos:
                    touched.update(incoming.on_publish(connection, packet))
                else:
                    self._deliver([packet], incoming.subscriptions.targets(packet), touched)
                continue
            if run:
                self._on_run(run, touched)
                run = []
                topic = None
            if isinstance(packet, PubAck):
                self._on_puback(packet)
            elif isinstance(packet, PubRec):
                self._on_pubrec(connection, packet)
            elif isinstance(packet, PubRel):
                incoming.on_pubrel(connection, packet)
            elif isinstance(packet, PubComp):
                item = self.sender.on_pubcomp(packet.packet_id)
                if item is not None:
                    self._settled(item)
                    item.finish()
            elif isinstance(packet, SubAck | UnsubAck):
                self._on_answer(packet)
            elif isinstance(packet, Disconnect):
                connection.on_disconnect(packet)
            elif isinstance(packet, Auth):
                connection.on_auth(packet)
        if run:
            self._on_run(run, touched)
        if self._to_resend:
            self._resend(connection)
        if self.waiting_acknowledged:
            self._begin_waiting()

    def _on_run(self, run: list[Publish], touched: set[Messages]) -> None:
        """Messages of QoS 0 on one topic came."""
        self._deliver(run, self.incoming.subscriptions.targets_of(run[0].topic), touched)

    def _deliver(self, run: list[Publish], targets: Targets, touched: set[Messages]) -> None:
        touched.update(targets)
        bounded = bool(self.incoming.full)
        for messages in targets:
            if bounded:
                messages.offer(run)
            else:
                messages.extend(run)

    def _on_puback(self, packet: PubAck) -> None:
        item = self.sender.on_puback(packet.packet_id)
        if item is not None:
            self._settled(item)
            self._take_reason(item, packet)
            item.finish()

    def _on_pubrec(self, connection: Connection, packet: PubRec) -> None:
        item, release = self.sender.on_pubrec(packet.packet_id, packet.reason_code)
        if item is None:
            if not packet.reason_code.is_failure:
                code = ReasonCode.PACKET_IDENTIFIER_NOT_FOUND
                connection.reply(PubRel(packet.packet_id, code))
            return
        self._take_reason(item, packet)
        if not release:
            self._settled(item)
            item.finish()
        elif self.journal is None:
            connection.reply(PubRel(packet.packet_id))
        else:
            self._release_stored(self.journal, packet.packet_id, item)

    def _release_stored(self, journal: Journal, packet_id: int, item: Outgoing) -> None:
        """Send PUBREL once it is safe that PUBREC came.

        Else, after a restart, the message itself would be sent to a broker that has let go of it.
        """
        safe = item.stored = anyio.Event()

        def then() -> None:
            safe.set()
            connection = self.connection
            if connection is not None and self.sender.released.get(packet_id) is item:
                connection.reply(PubRel(packet_id))

        journal.note(OutgoingReleased(item.number), then)

    @staticmethod
    def _take_reason(item: Outgoing, packet: PubAck | PubRec) -> None:
        item.reason = packet.reason_code
        if packet.properties:
            item.reason_text = explanation(packet.properties)

    def _on_answer(self, packet: SubAck | UnsubAck) -> None:
        pending = self._pending.get(packet.packet_id)
        if pending is None:
            return
        if not isinstance(packet, pending.awaits):
            raise RemoteProtocolError(
                f"{type(packet).__name__.upper()} answers what awaits"
                f" {pending.awaits.__name__.upper()}"
            )
        # MQTT 3 has no codes in UNSUBACK.
        if packet.reason_codes or type(packet) is SubAck:
            codes = len(packet.reason_codes)
            if codes != pending.count:
                raise RemoteProtocolError(
                    f"{type(packet).__name__.upper()} has {codes} reason codes"
                    f" for {pending.count} topic filters"
                )
        del self._pending[packet.packet_id]
        self.sender.return_identifier(packet.packet_id)
        pending.finish(packet)


def _nobody(_item: Outgoing) -> None:
    """Nobody is told of the end of a message that only holds a place."""


def refusal(
    url: str, refused: list[tuple[str, ReasonCode]], answer: SubAck | UnsubAck
) -> RequestRefusedError:
    """The error for topic filters that a broker did not grant."""
    filters = ", ".join(f"{name!r} ({code.sentence})" for name, code in refused)
    return RequestRefusedError(
        f"The broker at {url} refused the subscription to {filters}"
        f"{explanation(answer.properties)}.",
        refused[0][1],
    )
