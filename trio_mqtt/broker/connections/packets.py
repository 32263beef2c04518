"""What the packets of one read ask for, done in order and in turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from trio_mqtt.broker.connections.acknowledgements import PUBACK, PUBREC, Acknowledgements
from trio_mqtt.broker.connections.offers import CUT_OFF, STORAGE_FAILS, RefusedPublish
from trio_mqtt.broker.core import NOT_PERMITTED
from trio_mqtt.broker.routing.batch import Batch, size_alone
from trio_mqtt.broker.turns import STEPS_AT_ONCE
from trio_mqtt.protocol.decoding import ALONE_PUBACK, ALONE_PUBLISH
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.packets import (
    AckRun,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PublishRun,
    PubRec,
    PubRel,
)
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.connections.acknowledgements import Acks
    from trio_mqtt.broker.connections.link import Link
    from trio_mqtt.broker.connections.requests import Requests
    from trio_mqtt.broker.journal import Journal
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.errors import RemoteProtocolError

# What counts as so many steps of routing: keeping a message, and parting a batch from what follows.
STEPS_TO_KEEP = 8
STEPS_TO_PART = 16
LONG_RUN = 64  # packets


class PacketHandler:
    """Publishes, acknowledges and hands on what one client has sent."""

    __slots__ = ("_acks", "_begun", "_core", "_link", "_outlet", "_protocol", "_requests")

    def __init__(self, link: Link, requests: Requests) -> None:
        self._link = link
        self._core = link.core
        self._protocol = link.protocol
        self._outlet = link.outlet
        self._requests = requests
        self._acks = Acknowledgements(link)
        # What is left to do for the packet at which the last turn ended.
        self._begun: Iterator[None] | None = None

    def process(
        self, packets: Sequence[Packet | RefusedPublish], session: Session, start: int = 0
    ) -> int:
        """Do what the packets from `start` on ask for, in order, until the turn is over.

        Returns how many are done; those that are, are answered: the acknowledgements of one turn
        leave together.
        """
        link = self._link
        core, outlet = link.core, link.outlet
        if self._begun is not None:
            if not self._go_on(self._begun):
                self._acks.write(session)
                return start
            start += 1
            if outlet.ended:
                return start
        elif not start:
            core.statistics.packets_received += len(packets)
        acks = self._acks.waiting
        messages: list[Publish] = []
        retained: list[Publish] = []
        statistics = core.statistics
        keeping = steps = 0
        last: str | None = None
        done = len(packets)
        is_full = core.journal is not None and self._keeps_nothing(core.journal)
        for index in range(start, done):
            if steps >= STEPS_AT_ONCE:
                steps = 0
                if messages:
                    self.publish(messages, session, retained)
                    messages, retained = [], []
                if link.turn.is_over or core.router.spreading.under_way:
                    done = index
                    break
            packet = packets[index]
            if isinstance(packet, Publish):
                qos = packet.qos
                if is_full and qos and self._must_be_kept(packet, packet, session):
                    if outlet.is_v5:
                        # Those before it first: what answers them leaves in their order (§4.6).
                        steps += STEPS_TO_PART
                        if messages:
                            self.publish(messages, session, retained)
                            messages, retained = [], []
                        self._acks.write(session)
                        self._refuse_to_keep(packet, session)
                    continue
                if qos == 1:
                    acks.append(PUBACK | packet.packet_id)
                elif qos == 2:
                    if session.journal is None:
                        is_new = session.receiver.on_publish(packet.packet_id)
                    else:
                        is_new = session.on_publish(packet.packet_id)
                        outlet.hold(session.journal)  # PUBREC promises that it is known
                    if messages and not is_new:
                        # It may repeat one of these: if that is refused, it does not.
                        steps += STEPS_TO_PART
                        self.publish(messages, session, retained)
                        messages, retained = [], []
                        self._acks.write(session)
                        is_new = session.on_publish(packet.packet_id)
                    acks.append(PUBREC | packet.packet_id)
                    if not is_new:
                        link.protocol.acknowledged()
                        statistics.messages_received += 1
                        statistics.payload_bytes_received += packet.payload_size
                        continue
                messages.append(packet)
                if packet.topic is not last:
                    last = packet.topic
                    steps += core.router.steps_for(last)
                if packet.retain:
                    retained.append(packet)
                    steps += STEPS_TO_KEEP
                    # It occupies this much at most; what it may replace is looked at only when
                    # there is little room.
                    keeping += core.retained.most(packet)
                    if (
                        qos
                        and outlet.is_v5
                        and not core.retained.has_room_for(len(retained), keeping, session.key)
                    ):
                        # Those before it first: they may take the last room, or give some back.
                        messages.pop()
                        retained.pop()
                        ack = acks.pop()
                        if messages:
                            self.publish(messages, session, retained)
                            messages, retained = [], []
                        self._acks.write(session)
                        if core.retained.takes(packet, session.key):
                            messages.append(packet)
                            retained.append(packet)
                            acks.append(ack)
                        else:
                            statistics.retained_refused += 1
                            session.refuse(packet.packet_id)
                            self._requests.refuse(_no_room(packet), session)
            elif isinstance(packet, (AckRun, PubAck, PubRec, PubRel, PubComp)):
                if messages and _releases(packet, messages):
                    # A message that is refused gives its identifier back before that.
                    steps += STEPS_TO_PART
                    self.publish(messages, session, retained)
                    messages, retained = [], []
                    self._acks.write(session)
                violation = self._acks.take(packet, session)
                if violation is not None:
                    # What came before it still counts, as QoS 2 has been noted as received.
                    link.protocol.violated(violation)
                    break
                steps += len(packet.packet_ids) if isinstance(packet, AckRun) else 1
            elif isinstance(packet, PublishRun):
                if packet.qos == 2 and (is_full or not self._are_new(packet, session)):
                    if messages:
                        self.publish(messages, session, retained)
                        messages, retained = [], []
                    if not self._go_on(self._process_each(packet, session)):
                        done = index
                        break
                    continue
                statistics.packets_received += len(packet) - 1
                steps += core.router.steps_for(packet.topics[0])
                if packet.qos:
                    steps += len(packet)
                may_be_refused = is_full and packet.qos > 0
                if len(packet) <= LONG_RUN and len(packets) > 1 and not may_be_refused:
                    # Taking it apart costs less than parting it from what comes before and after.
                    if packet.qos:
                        self._acks.note_run(packet)
                    messages += packet.messages
                    steps += sum(map(core.router.steps_for, dict.fromkeys(packet.topics[1:])))
                else:
                    if messages:
                        self.publish(messages, session, retained)
                        messages, retained = [], []
                    publish = self._publish_unkept if may_be_refused else self._publish_run
                    if not self._go_on(publish(packet, session)):
                        done = index
                        break
            else:
                if messages:
                    self.publish(messages, session, retained)
                    messages, retained = [], []
                self._acks.write(session)
                begun = self._requests.handle(packet, session)
                if begun is not None and not self._go_on(begun):
                    done = index
                    break
                if outlet.ended:
                    return done
                if link.turn.is_over:
                    done = index + 1
                    break
        if messages:
            self.publish(messages, session, retained)
        self._acks.write(session)
        if outlet.awaits_quota and session.sender.quota > 0:
            outlet.quota_is_back()
        return done

    def take_alone(self, data: bytes, session: Session, now: float) -> bool:
        """Do at once what bytes ask for that are one PUBLISH or PUBACK, as most of them are.

        They came `now`, on the broker's clock, and nothing is left to do of what came before. False
        for whatever else they are: then nothing is done.
        """
        protocol = self._protocol
        first = data[0]
        if first > ALONE_PUBACK or (first == ALONE_PUBACK and len(data) > 4):
            packet_ids = protocol.receive_acks(data)
            if packet_ids is None:
                return False
            self._link.last_received = now
            violation = self._acks.take_run(first, packet_ids, session)
            if violation is not None or first > ALONE_PUBACK:
                self._acknowledged(violation, session)
            else:  # nothing answers PUBACK
                outlet = self._outlet
                if outlet.awaits_quota and session.sender.quota > 0:
                    outlet.quota_is_back()
            return True
        if first == ALONE_PUBACK:
            packet_id = protocol.receive_puback(data)
            if not packet_id or not self._acks.take_alone(packet_id, session):
                return False
            self._link.last_received = now
            self._core.statistics.packets_received += 1
            outlet = self._outlet
            if outlet.awaits_quota and session.sender.quota > 0:
                outlet.quota_is_back()
            return True
        if first not in ALONE_PUBLISH:
            return False
        message = protocol.receive_alone(data)
        if message is None:
            return False
        self._link.last_received = now
        if not self._publish_alone(message, len(data) - message.payload_at, session, now):
            self._link.turn.begin()
            self.process((message,), session)
        return True

    def _publish_alone(
        self, message: Publish, payload_size: int, session: Session, now: float
    ) -> bool:
        """Route a message without RETAIN that came alone, and acknowledge it.

        False where that is not as simple as mostly: then nothing is done.
        """
        core = self._core
        journal, permissions = core.journal, session.permissions
        before = 0 if journal is None else journal.count
        if (
            core.load.is_late
            or (journal is not None and self._keeps_nothing(journal))
            or (permissions is not None and not permissions.may_publish(message.topic))
            or not core.route_alone(message, session, self._outlet.is_v5, now)
        ):
            return False
        statistics = core.statistics
        statistics.packets_received += 1
        statistics.payload_bytes_received += payload_size
        if message.qos:
            if journal is not None and journal.count != before:
                self._outlet.hold(journal, size_alone(message))
            self._acks.write_one(PUBACK | message.packet_id)
        return True

    def acknowledge(self, run: AckRun, session: Session) -> None:
        """Do what a run of acknowledgements asks for that is all of a read: `process` for those."""
        self._link.core.statistics.packets_received += 1
        self._acknowledged(self._acks.take(run, session), session)

    def _acknowledged(self, violation: RemoteProtocolError | None, session: Session) -> None:
        """All acknowledgements of a read were taken, up to one that breaks the rules."""
        if violation is not None:
            self._protocol.violated(violation)
        self._acks.write(session)
        outlet = self._outlet
        if outlet.awaits_quota and session.sender.quota > 0:
            outlet.quota_is_back()

    def _keeps_nothing(self, journal: Journal) -> bool:
        """Whether what must be kept now cannot be."""
        return journal.failure is not None or self._link.last_received > journal.known_until

    def publish_whole(self, run: PublishRun, session: Session) -> bool:
        """Do what a run asks for that is all of a read, if it can be done at once."""
        if self._begun is not None:
            return False  # some of it is done
        core = self._link.core
        if run.topic is None and core.router.count_at_once(run.topics) < len(run.topics):
            return False
        if run.qos and core.journal is not None and self._keeps_nothing(core.journal):
            return False
        if run.qos == 2 and not self._are_new(run, session):
            return False
        core.statistics.packets_received += len(run)
        self._publish_part(run, session)
        self._acks.write(session)
        return True

    def _must_be_kept(self, packet: Publish, message: Publish, session: Session) -> bool:
        """Whether the storage would have to keep `message`, for which a packet stands."""
        if packet.qos == 2 and packet.packet_id in session.receiver.accepted:
            return False
        journal = self._link.core.journal
        return (
            (packet.qos == 2 and session.journal is not None)  # its identifier
            or message.retain
            # Somebody may want it elsewhere.
            or (journal is not None and self._link.last_received > journal.known_until)
            or self._link.core.router.match(message.topic).must_be_kept
        )

    def _refuse_to_keep(self, packet: Publish, session: Session) -> None:
        """Refuse a packet whose message must be kept, while the storage keeps nothing.

        MQTT 5 has a reason code for it (§3.4.2.1). To an MQTT 3 client it is not acknowledged, so
        that it sends it again.
        """
        if self._link.outlet.is_v5:
            journal = self._link.core.journal
            is_known = journal is None or self._link.last_received <= journal.known_until
            why = STORAGE_FAILS if is_known else CUT_OFF
            refused = RefusedPublish.of(packet, ReasonCode.QUOTA_EXCEEDED, why)
            self._requests.refuse(refused, session)

    def _are_new(self, run: PublishRun, session: Session) -> bool:
        """Whether all messages of a run of QoS 2 are new ones: they are noted as accepted then.

        Not where something else has to know of each.
        """
        return session.journal is None and session.receiver.on_publishes(run.packet_ids)

    def _process_each(self, run: PublishRun, session: Session) -> Iterator[None]:
        """Do what the messages of a run ask for one by one, as `process` would."""
        messages = run.messages
        self._core.statistics.packets_received -= 1  # the run was counted as one
        done = 0
        while (done := self.process(messages, session, done)) < len(messages):
            yield

    def _publish_run(self, run: PublishRun, session: Session) -> Iterator[None]:
        """Route what the client published, as much at once as its topics make little work."""
        router = self._link.core.router
        while run.topic is None:
            count = router.count_at_once(run.topics)
            if count == len(run.topics):
                break
            self._publish_part(run.some(range(count)), session)
            run = run.some(range(count, len(run.topics)))
            yield
        self._publish_part(run, session)

    def _publish_unkept(self, run: PublishRun, session: Session) -> Iterator[None]:
        """Route what need not be kept of a run of QoS 1, and refuse the rest, in order (§4.6)."""
        taken: list[Publish] = []
        for number, message in enumerate(run.messages, 1):
            is_refused = self._must_be_kept(message, message, session)
            if not is_refused:
                self._acks.waiting.append(PUBACK | message.packet_id)
                taken.append(message)
            if taken and (is_refused or number == len(run)):
                self.publish(taken, session)
                taken = []
            if is_refused:
                self._acks.write(session)
                self._refuse_to_keep(message, session)
                yield

    def _publish_part(self, run: PublishRun, session: Session) -> None:
        """Route part of a run, and note what acknowledges that; nothing before it is routed."""
        if run.qos:
            self._acks.note_run(run)
        self.publish(run, session)

    def _go_on(self, begun: Iterator[None]) -> bool:
        """Go on with what a packet asks for; whether it is done in this turn."""
        self._begun = None
        for _ in begun:
            if self._link.outlet.ended:
                break
            if self._link.turn.is_over:
                self._begun = begun
                return False
        return True

    def publish(
        self,
        messages: Sequence[Publish] | PublishRun,
        session: Session,
        retained: Sequence[Publish] = (),
    ) -> None:
        """Route what the client published, and say by acknowledgement what reached nobody."""
        link = self._link
        core, is_v5 = link.core, link.outlet.is_v5
        forbidden: Sequence[Publish] | PublishRun = ()
        if session.permissions is not None:
            messages, retained, forbidden = session.permissions.divide(messages, retained)
        codes: dict[int, tuple[ReasonCode, str]] = {}
        if core.load.is_late:
            messages = self._without_qos_0(messages)
        if messages:
            batch = Batch(
                messages,
                sender=session,
                is_v5=is_v5,
                received_at=link.last_received,
            )
            core.statistics.payload_bytes_received += batch.payload_size
            journal = core.journal
            before = 0 if journal is None else journal.count
            missed = core.route(batch, retained)
            if journal is not None and self._acks.are_due and journal.count != before:
                # What is promised must be kept first.
                link.outlet.hold(journal, batch.size)
            if missed and is_v5 and self._acks.are_due:
                codes = {m.packet_id: core.reason_for(m) for m in missed if m.packet_id}
        if forbidden:
            core.count_refused(session, forbidden)
            core.statistics.payload_bytes_received += (
                forbidden.payload_size
                if isinstance(forbidden, PublishRun)
                else sum(message.payload_size for message in forbidden)
            )
            if is_v5 and self._acks.are_due:
                refused = forbidden.messages if isinstance(forbidden, PublishRun) else forbidden
                codes |= {m.packet_id: NOT_PERMITTED for m in refused if m.packet_id}
        if codes:
            self._acks.write(session, codes)

    def _without_qos_0(
        self, messages: Sequence[Publish] | PublishRun
    ) -> Sequence[Publish] | PublishRun:
        """What the broker still takes when it does not keep up; what it does not is counted."""
        if isinstance(messages, PublishRun) and messages.qos:
            return messages
        taken = (
            []
            if isinstance(messages, PublishRun)
            else [message for message in messages if message.qos or message.retain]
        )
        shed = len(messages) - len(taken)
        statistics = self._link.core.statistics
        statistics.messages_received += shed
        statistics.messages_dropped += shed
        statistics.messages_shed += shed
        return taken

    def publish_instead(self, packet: Publish, message: Publish, session: Session) -> None:
        """Route `message` in place of a packet that the client sent, and acknowledge that."""
        link = self._link
        link.core.statistics.packets_received += 1
        journal = link.core.journal
        is_full = journal is not None and self._keeps_nothing(journal)
        if is_full and packet.qos and self._must_be_kept(packet, message, session):
            self._refuse_to_keep(packet, session)
            return
        no_room = (
            message.retain and packet.qos and not link.core.retained.takes(message, session.key)
        )
        if no_room and link.outlet.is_v5:
            link.core.statistics.retained_refused += 1
            self._requests.refuse(_no_room(packet), session)
        elif self._acks.note(packet, session):
            self.publish([message], session, [message] * message.retain)
        self._acks.write(session)


def messages_among(packets: Sequence[Packet | RefusedPublish]) -> int:
    """How many messages come with the packets of one read."""
    return sum(
        len(packet) if isinstance(packet, PublishRun) else 1
        for packet in packets
        if isinstance(packet, (Publish, PublishRun, RefusedPublish))
    )


def _releases(packet: Acks, messages: Sequence[Publish]) -> bool:
    """Whether a client goes on with one of these messages, which were not acknowledged yet."""
    if isinstance(packet, AckRun):
        if packet.kind is not PacketType.PUBREL:
            return False
        released = set(packet.packet_ids)
    elif isinstance(packet, PubRel):
        released = {packet.packet_id}
    else:
        return False
    return not released.isdisjoint([message.packet_id for message in messages])


def _no_room(message: Publish) -> RefusedPublish:
    return RefusedPublish.of(
        message, ReasonCode.QUOTA_EXCEEDED, "this broker keeps no more retained messages"
    )
