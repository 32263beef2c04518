"""Messages that go: when each is sent, sent again, and done."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio

from trio_mqtt.client.arguments import check_topic
from trio_mqtt.client.connection.connection import Connection
from trio_mqtt.client.session.delivery import Delivery, SendQueue
from trio_mqtt.client.session.journal import MAX_STORED, Journal
from trio_mqtt.client.session.send_queues import SendQueues
from trio_mqtt.errors import ConnectionLostError, LocalProtocolError, MqttError
from trio_mqtt.protocol.delivery import Sender
from trio_mqtt.protocol.packets import PubAck, PubComp, PubRec, PubRel
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.storage.client_changes import OutgoingDone, OutgoingReleased


class Outgoing:
    """The sending half of a session."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.error: MqttError | None = None  # why nothing will be sent any more
        self.sender: Sender[Delivery] = Sender()
        self.queues = SendQueues()
        # The same objects as there, as every message asks for them.
        self.waiting_unacknowledged = self.queues.unacknowledged
        self.waiting_acknowledged = self.queues.acknowledged
        self.to_resend: deque[int] = deque()  # packet identifiers that wait for the quota
        self._held_back: list[int] = []  # to be sent from the store after what comes first
        self._redelivers = False  # what is sent again has been sent in this session
        self.journal: Journal | None = None
        # AnyIO's own name for it finds out anew, for each, on which loop it is.
        self._event = type(anyio.Event())

    def keep_in(self, journal: Journal) -> None:
        """Go on with what the store holds, and keep there what comes."""
        self.journal = journal
        journal.on_commit = self.committed
        sender = self.sender
        for kept in journal.outgoing:
            item = Delivery.restored(kept)
            if kept.released:
                sender.restore_released(kept.packet_id, item)
            else:
                sender.restore(kept.packet_id, kept.qos, item)
        journal.outgoing = []

    # Connections come and go.

    def attach(self, connection: Connection, *, present: bool) -> None:
        """Go on with a new connection, in the same session or in a new one: see `send_again`."""
        if not present:
            self._forget_broken_off(connection)
        self.sender.connected(connection.protocol.peer_receive_maximum)
        self.connection = connection
        self._redelivers = present

    def send_again(self, connection: Connection) -> None:
        """Send what was begun on the connections before, as its session allows."""
        sender = self.sender
        for packet_id, item in sender.released.items():
            if item.is_safe:
                connection.gather(connection.protocol.send(PubRel(packet_id)))
        self.to_resend = deque(
            packet_id for packet_id, (_, item) in sender.in_flight.items() if item.is_safe
        )
        if self.queues.held:
            # Sent again is what was sent; what only stands in the store waits like the others.
            self._held_back = [i for i in self.to_resend if not sender.in_flight[i][1].sent]
            self.to_resend = deque(i for i in self.to_resend if sender.in_flight[i][1].sent)
        self.resend(connection)

    def resend(self, connection: Connection) -> None:
        """Send again what the receive maximum allows; the rest when something is acknowledged."""
        sender = self.sender
        while self.to_resend and sender.quota > 0:
            packet_id = self.to_resend.popleft()
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

    def detach(self) -> None:
        """The connection has ended; messages stay."""
        self.connection = None
        self.to_resend.clear()
        self._held_back.clear()
        self.sender.disconnected()

    def end(self, error: MqttError) -> None:
        """Nothing will be sent any more: everybody who waits is told why."""
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
        self.queues.end(error)

    def release(self) -> None:
        """What has waited for what comes first on a connection comes now."""
        had_waited = self.queues.release()
        connection = self.connection
        if had_waited and connection is not None:
            self.to_resend.extend(self._held_back)
            self._held_back.clear()
            self.resend(connection)
            self.begin_waiting()
            connection.flush_soon()

    # Sending.

    def _may_begin(self) -> bool:
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
        on_end: Callable[[Delivery], None] | None = None,
    ) -> Delivery:
        """Send a message now, or when those before it have been sent and it may be.

        Messages of QoS 0 and those of QoS 1 and 2 stand in two queues, for only these wait for the
        receive maximum (MQTT 5.0 §4.9). Whoever makes room sends what waits its turn: the tasks
        that wait need not run for it, and so nobody comes between. Where there is a store, messages
        are sent when they stand there.

        Raises what makes the message impossible, and the error that ended the client.
        """
        item = Delivery(topic, payload, qos, retain, properties, on_end, self._event)
        if qos and self._may_begin():
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
        if self.queues.speaks_first:
            item.join(self.queues.first)
            if self.begin_waiting() and self.connection is not None:
                self.connection.flush_soon()
            return item
        item.join(self.waiting_acknowledged if qos else self.waiting_unacknowledged)
        return item

    def _begin(self, item: Delivery) -> None:
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

    def begin_waiting(self) -> bool:
        """Send what waits its turn, as far as it may be; return whether something was gathered."""
        connection = self.connection
        gathered = False
        queue = self.queues.first
        while queue and self._may_come(next(iter(queue))):
            item = self._begin_next(queue)
            if item.error is None and not item.qos:
                item.finish()
            gathered = True
        if self.queues.held:
            return gathered
        queue = self.waiting_unacknowledged
        while queue and connection is not None and not connection.full:
            item = self._begin_next(queue)
            if item.error is None:
                item.finish()
            gathered = True
        queue = self.waiting_acknowledged
        if self.journal is not None:
            while queue and self._has_place():
                self._begin_next(queue)
        else:
            while queue and connection and self.sender.quota > 0 and not connection.full:
                self._begin_next(queue)
                gathered = True
        return gathered

    def _may_come(self, item: Delivery) -> bool:
        """Whether there is room for that message, by whatever it needs."""
        if item.qos and self.journal is not None:
            return self._has_place()
        connection = self.connection
        return (
            connection is not None
            and not connection.full
            and (not item.qos or self.sender.quota > 0)
        )

    def _begin_next(self, queue: SendQueue) -> Delivery:
        item = next(iter(queue))
        item.leave_queue()
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
            and self.begin_waiting()
        ):
            connection.flush_soon()

    def publish_soon(
        self, topic: str, payload: bytes, qos: int, retain: bool, properties: Properties
    ) -> Delivery:
        """`publish` for those who do not wait: what may be sent now is."""
        item = self.publish(topic, payload, qos, retain, properties)
        if item.waits and self.begin_waiting() and self.connection is not None:
            self.connection.flush_soon()
        return item

    def take_out(self, item: Delivery) -> bool:
        """Have a message never sent; returns whether that came in time."""
        if item.leave_queue():
            return True
        if item.sent or self.journal is None:
            return False
        for packet_id, (_qos, one) in self.sender.in_flight.items():
            if one is item:
                self.sender.give_up(packet_id)
                self._settled(item)
                return True
        return False

    def abandon(self, on_end: Callable[[Delivery], None]) -> None:
        """Nobody waits any more for the messages whose end is told there."""
        for _qos, item in self.sender.in_flight.values():
            if item.belongs_to(on_end):
                item.abandoned = True

    def _check_accepted(self, item: Delivery) -> None:
        """Raise what the present broker has against a message now, not when it is sent."""
        if self.connection is not None:
            self.connection.protocol.message_head(
                item.topic, len(item.payload), item.qos, item.retain, item.properties
            )

    @staticmethod
    def _gather(connection: Connection, packet_id: bytes, item: Delivery, *, dup: bool) -> None:
        head, after = connection.message_head(
            item.topic, len(item.payload), item.qos, item.retain, item.properties
        )
        if dup:
            head = bytes((head[0] | 8,)) + head[1:]
        connection.gather_message(head + packet_id + after, item.payload)

    # Acknowledgements.

    def on_puback(self, packet: PubAck) -> None:
        """The broker has taken or refused a message of QoS 1."""
        item = self.sender.on_puback(packet.packet_id)
        if item is not None:
            self._settled(item)
            item.take_reason(packet)
            item.finish()

    def on_pubrec(self, connection: Connection, packet: PubRec) -> None:
        """The broker has taken or refused a message of QoS 2, or never knew it."""
        item, release = self.sender.on_pubrec(packet.packet_id, packet.reason_code)
        if item is None:
            if not packet.reason_code.is_failure:
                code = ReasonCode.PACKET_IDENTIFIER_NOT_FOUND
                connection.reply(PubRel(packet.packet_id, code))
            return
        item.take_reason(packet)
        if not release:
            self._settled(item)
            item.finish()
        elif self.journal is None:
            connection.reply(PubRel(packet.packet_id))
        else:
            self._release_stored(self.journal, packet.packet_id, item)

    def on_pubcomp(self, packet: PubComp) -> None:
        """The broker has let go of a message of QoS 2."""
        item = self.sender.on_pubcomp(packet.packet_id)
        if item is not None:
            self._settled(item)
            item.finish()

    # The store.

    def _begin_stored(self, journal: Journal, item: Delivery) -> None:
        self._check_accepted(item)  # else it does not come to the store
        packet_id = self.sender.begin_later(item.qos, item)
        item.number = journal.next_number()
        safe = item.stored = anyio.Event()

        def then() -> None:
            safe.set()
            entry = self.sender.in_flight.get(packet_id)
            if self.connection is not None and entry is not None and entry[1] is item:
                self.to_resend.append(packet_id)

        journal.note(item.to_store(packet_id), then)

    def _release_stored(self, journal: Journal, packet_id: int, item: Delivery) -> None:
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

    def committed(self) -> None:
        """What was noted is safe: send what has waited for that."""
        connection = self.connection
        if connection is not None and not connection.closing:
            self.resend(connection)
            self.begin_waiting()
            connection.flush()

    def _withdraw(self) -> None:
        """Messages whose publishers were cancelled before they were ever sent are not to be."""
        sender = self.sender
        for packet_id, (_qos, item) in list(sender.in_flight.items()):
            if item.abandoned and not item.sent:
                sender.give_up(packet_id)
                self._settled(item)

    def _settled(self, item: Delivery) -> None:
        """A message is delivered, or never will be."""
        if self.journal is not None:
            self.journal.note(OutgoingDone(item.number))

    def _has_place(self) -> bool:
        """Whether one more message may come to the store."""
        if self.error is None and len(self.sender) >= MAX_STORED:
            self._withdraw()
        return self.error is None and len(self.sender) < MAX_STORED
