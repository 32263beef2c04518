"""Messages that come: to whom they go, and when they are acknowledged."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from trio_mqtt.client.connection.connection import Connection
from trio_mqtt.client.messages import Messages
from trio_mqtt.client.session.journal import Journal
from trio_mqtt.client.session.subscriptions import Subscriptions, Targets
from trio_mqtt.errors import LocalProtocolError, MqttError, RemoteProtocolError
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import PubAck, PubComp, Publish, PubRec, PubRel
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.receiver import Receiver
from trio_mqtt.storage.client_changes import ReceivedDone, ReceivedForgotten, ReceivedStored

logger = logging.getLogger("trio_mqtt.client")

# Messages of QoS 1 and 2 that a resumed session brings before anybody has subscribed here.
MAX_UNCLAIMED = 100


class _Acknowledgement:
    """An acknowledgement that waits: for the queues of its message, or for those before it."""

    __slots__ = (
        "_incoming",
        "abandoned",
        "connection",
        "left",
        "publish",
        "queues",
        "reason_code",
        "reason_string",
    )

    def __init__(
        self,
        incoming: Incoming,
        connection: Connection,
        publish: Publish,
        queues: Sequence[Messages] = (),
    ) -> None:
        self._incoming = incoming
        self.connection = connection  # the one that it came by, last
        self.publish = publish
        self.queues = queues  # that must agree first
        self.left = len(queues)
        self.abandoned = False  # those that came after it no longer wait for it
        self.reason_code = ReasonCode.SUCCESS
        self.reason_string = ""

    def check(self, reason_code: ReasonCode) -> None:
        version = self.connection.protocol.version
        if reason_code and version != ProtocolVersion.V5:
            raise LocalProtocolError(
                f"MQTT {version.text} acknowledges without a reason: a message cannot be refused."
            )

    def settle(self, reason_code: ReasonCode = ReasonCode.SUCCESS, reason_string: str = "") -> None:
        self.left -= 1
        if reason_code and not self.reason_code:
            self.reason_code, self.reason_string = ReasonCode(reason_code), reason_string
        if self.left == 0:
            self._incoming.settled(self)


class Incoming:
    """The receiving half of a session."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.subscriptions = Subscriptions()
        self.full: set[Messages] = set()  # queues that make the client stop reading
        self._receiver = Receiver()
        self._owed: dict[int, _Acknowledgement] = {}  # PUBREC that is still to be sent
        # By QoS: what was not acknowledged yet on this connection, from the first on that waits.
        # PUBACK keeps the order of the messages, and so does PUBREC (§4.6).
        self._pending: dict[int, deque[_Acknowledgement]] = {1: deque(), 2: deque()}
        self._keeps_unclaimed = False
        self._unclaimed: deque[tuple[Connection, Publish]] = deque()
        self._all_messages: set[Messages] = set()
        self.journal: Journal | None = None

    def keep_in(self, journal: Journal) -> None:
        """Go on with the messages of QoS 2 that the program before had received."""
        self.journal = journal
        self._receiver.restore(journal.received)

    # Connections come and go.

    def attach(self, connection: Connection, *, present: bool) -> None:
        """Go on with a new connection, in the same session or in a new one."""
        self.connection = connection
        if not present:
            self._receiver.forget()
            self._owed.clear()
            if self.journal is not None:
                self.journal.note(ReceivedForgotten())

    def detach(self) -> None:
        """The connection has ended."""
        self.connection = None
        for pending in self._pending.values():
            pending.clear()
        # QoS 1 comes again. QoS 2 does too, but counts as a repetition then.
        self._unclaimed = deque(kept for kept in self._unclaimed if kept[1].qos == 2)

    def end(self, error: MqttError | None) -> None:
        """Nothing will come any more: end all iterations, with an error or without."""
        for messages in list(self._all_messages):
            messages.close(error)

    # Subscriptions come and go.

    def relieved(self, messages: Messages) -> None:
        """A queue that was full has room again."""
        self.full.discard(messages)
        if not self.full and self.connection is not None:
            self.connection.resume()

    def opened(self, messages: Messages) -> None:
        """A subscription begins: what was kept for it comes first."""
        self._all_messages.add(messages)

    def closed(self, messages: Messages) -> None:
        """A subscription has ended."""
        self._all_messages.discard(messages)
        messages.close()
        self.full.discard(messages)
        for pending in self._pending.values():
            # The program may never acknowledge these: nobody can wait for it any more.
            for owed in [owed for owed in pending if owed.left and messages in owed.queues]:
                owed.abandoned = True
                pending.remove(owed)
            self._release(pending)
        if self.connection is not None:
            self.connection.flush_soon()

    def keep_unclaimed(self) -> None:
        """The session is older than this program: keep its messages until they find a user."""
        self._keeps_unclaimed = True

    def claim(self) -> None:
        """Hand kept messages to a subscription that has come."""
        kept, self._unclaimed = self._unclaimed, deque()
        for connection, publish in kept:
            self.wake(self._deliver(connection, publish))
        if self.connection is not None:
            self.connection.flush()

    # Messages.

    def wake(self, touched: Iterable[Messages]) -> None:
        """Tell those who wait for messages in these queues."""
        for messages in touched:
            messages.wake()
            if messages.is_full:
                self.full.add(messages)

    def on_run(self, run: list[Publish], touched: set[Messages]) -> None:
        """Messages of QoS 0 on one topic came, without properties."""
        self.offer(run, self.subscriptions.targets_of(run[0].topic), touched)

    def offer(self, run: list[Publish], targets: Targets, touched: set[Messages]) -> None:
        """Queue messages of QoS 0 there; where the client reads on past full queues, in bounds."""
        touched.update(targets)
        bounded = bool(self.full)
        for messages in targets:
            if bounded:
                messages.offer(run)
            else:
                messages.extend(run)

    def on_publish(self, connection: Connection, publish: Publish) -> Targets:
        """A message of QoS 1 or 2 came; the queues that it went to."""
        if publish.qos == 2 and not self._receiver.on_publish(publish.packet_id):
            # It is here already (§4.3.3): the answer was lost, or is not due yet.
            owed = self._owed.get(publish.packet_id)
            if owed is None:
                self._acknowledge_in_turn(connection, publish)
            elif owed.connection is not connection:
                owed.connection = connection
                if not owed.abandoned:
                    self._pending[2].append(owed)
                    self._release(self._pending[2])
            return ()
        return self._deliver(connection, publish)

    def _deliver(self, connection: Connection, publish: Publish) -> Targets:
        targets = self.subscriptions.targets(publish)
        if not targets and self._keeps_unclaimed:
            if len(self._unclaimed) >= MAX_UNCLAIMED:
                old_connection, oldest = self._unclaimed.popleft()
                logger.warning(
                    "A message on %r that no subscription of this client asks for is dropped.",
                    oldest.topic,
                )
                self.acknowledge(old_connection, oldest)
            self._unclaimed.append((connection, publish))
            return ()
        crowded = [messages for messages in targets if not messages.has_room()]
        for messages in targets:
            messages.push(publish)
        if crowded:
            owed = self._wait(_Acknowledgement(self, connection, publish, crowded))
            for messages in crowded:
                messages.owe(owed)
        else:
            self._acknowledge_in_turn(connection, publish)
        return targets

    def _acknowledge_in_turn(self, connection: Connection, publish: Publish) -> None:
        """Acknowledge, after all that came before."""
        if self._pending[publish.qos] and connection is self.connection:
            self._wait(_Acknowledgement(self, connection, publish))
        else:
            self.acknowledge(connection, publish)

    def _wait(self, owed: _Acknowledgement) -> _Acknowledgement:
        publish = owed.publish
        if publish.qos == 2:
            self._owed[publish.packet_id] = owed
        if owed.connection is self.connection:
            self._pending[publish.qos].append(owed)
        return owed

    def _release(self, pending: deque[_Acknowledgement]) -> None:
        """Acknowledge what waits for nothing any more."""
        while pending and not pending[0].left:
            self._settle(pending.popleft())

    def _settle(self, owed: _Acknowledgement) -> None:
        packet_id = owed.publish.packet_id
        if self._owed.get(packet_id) is owed:
            del self._owed[packet_id]
            if owed.reason_code:
                # The identifier is free again (§4.3.3): what comes with it is another message, or,
                # where the refusal does not reach the broker, the same one, to be refused again.
                self._receiver.refused(packet_id)
        if owed.reason_code:
            self._refuse(owed)
        else:
            self.acknowledge(owed.connection, owed.publish)

    def _refuse(self, owed: _Acknowledgement) -> None:
        """Tell the broker that the program refuses the message (gathered, not yet sent)."""
        connection, publish = owed.connection, owed.publish
        if connection is not self.connection:
            return
        kind = PubAck if publish.qos == 1 else PubRec

        def reply(packet_id: int) -> None:
            connection.protocol.acknowledged()
            words: Properties = {"reason_string": owed.reason_string} if owed.reason_string else {}
            try:
                connection.reply(kind(packet_id, owed.reason_code, words))
            except LocalProtocolError:  # too long for the broker, which need not be told in words
                connection.reply(kind(packet_id, owed.reason_code))

        if publish.qos == 1 or self.journal is None:
            reply(publish.packet_id)
        else:
            # In its turn: those before it wait until they are safe.
            self._when_safe(self.journal, connection, ReceivedDone(publish.packet_id), reply)

    def settled(self, owed: _Acknowledgement) -> None:
        """All queues of an acknowledgement that is owed agree."""
        if owed.abandoned or owed.connection is not self.connection:
            self._settle(owed)
        else:
            self._release(self._pending[owed.publish.qos])
        if self.connection is not None:
            self.connection.flush_soon()

    def acknowledge(self, connection: Connection, publish: Publish) -> None:
        """Tell the broker that the message has arrived (gathered, not yet sent)."""
        if connection is not self.connection:
            return  # it will send the message again
        if publish.qos == 1:
            connection.acknowledge(publish.packet_id)
        elif self.journal is None:
            connection.reply(PubRec(publish.packet_id))
        else:
            # Else the message would be a new one to the program after this, if PUBREC gets lost.
            self._reply_when_safe(
                self.journal, connection, ReceivedStored(publish.packet_id), PubRec
            )

    def on_pubrel(self, connection: Connection, packet: PubRel) -> None:
        """The sender has let go of a message of QoS 2.

        Raises RemoteProtocolError if it could not, as PUBREC is still owed.
        """
        if packet.packet_id in self._owed:
            raise RemoteProtocolError("PUBREL comes before PUBREC was sent")
        code = self._receiver.on_pubrel(packet.packet_id)
        if code == ReasonCode.SUCCESS:
            connection.protocol.acknowledged()
        if self.journal is None or code != ReasonCode.SUCCESS:
            connection.reply(PubComp(packet.packet_id, code))
        else:
            # Else the next message with this identifier would count as a repetition after a crash.
            self._reply_when_safe(self.journal, connection, ReceivedDone(packet.packet_id), PubComp)

    def _reply_when_safe(
        self,
        journal: Journal,
        connection: Connection,
        change: ReceivedStored | ReceivedDone,
        answer: type[PubRec | PubComp],
    ) -> None:
        def reply(packet_id: int) -> None:
            connection.reply(answer(packet_id))

        self._when_safe(journal, connection, change, reply)

    def _when_safe(
        self,
        journal: Journal,
        connection: Connection,
        change: ReceivedStored | ReceivedDone,
        reply: Callable[[int], None],
    ) -> None:
        def then() -> None:
            if connection is self.connection:
                reply(change.packet_id)

        journal.note(change, then)
