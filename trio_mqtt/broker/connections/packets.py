"""What the packets of one read ask for, done in order and in turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from trio_mqtt.broker.connections.acknowledgements import PUBACK, PUBREC
from trio_mqtt.broker.connections.offers import RefusedPublish
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

if TYPE_CHECKING:
    from trio_mqtt.broker.connections.acknowledgements import Acknowledgements, Acks
    from trio_mqtt.broker.connections.link import Link
    from trio_mqtt.broker.connections.publishing import Publishing
    from trio_mqtt.broker.connections.requests import Requests
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.errors import RemoteProtocolError

# What counts as so many steps of routing: keeping a message, and parting a batch from what follows.
STEPS_TO_KEEP = 8
STEPS_TO_PART = 16
LONG_RUN = 64  # packets


class PacketHandler:
    """Has what one client sent published, acknowledged and answered, in its order."""

    __slots__ = ("_acks", "_begun", "_core", "_link", "_outlet", "_protocol", "_publishing",
                 "_requests")  # fmt: skip

    def __init__(
        self, link: Link, requests: Requests, acks: Acknowledgements, publishing: Publishing
    ) -> None:
        self._link = link
        self._core = link.core
        self._protocol = link.protocol
        self._outlet = link.outlet
        self._requests = requests
        self._acks = acks
        self._publishing = publishing
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
        core, outlet, publishing = link.core, link.outlet, self._publishing
        router = core.router
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
        is_full = core.journal is not None and publishing.keeps_nothing(core.journal)
        for index in range(start, done):
            if steps >= STEPS_AT_ONCE:
                steps = 0
                if messages:
                    publishing.publish(messages, session, retained)
                    messages, retained = [], []
                if link.turn.is_over or router.spreading.under_way:
                    done = index
                    break
            packet = packets[index]
            if isinstance(packet, Publish):
                qos = packet.qos
                if is_full and qos and publishing.must_be_kept(packet, packet, session):
                    if outlet.is_v5:
                        # Those before it first: what answers them leaves in their order (§4.6).
                        steps += STEPS_TO_PART
                        if messages:
                            publishing.publish(messages, session, retained)
                            messages, retained = [], []
                        self._acks.write(session)
                        publishing.refuse_to_keep(packet, session)
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
                        publishing.publish(messages, session, retained)
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
                    steps += router.index.steps_for(last)
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
                            publishing.publish(messages, session, retained)
                            messages, retained = [], []
                        self._acks.write(session)
                        if core.retained.takes(packet, session.key):
                            messages.append(packet)
                            retained.append(packet)
                            acks.append(ack)
                        else:
                            session.refuse(packet.packet_id)
                            publishing.refuse_to_retain(packet, session)
            elif isinstance(packet, (AckRun, PubAck, PubRec, PubRel, PubComp)):
                if messages and _releases(packet, messages):
                    # A message that is refused gives its identifier back before that.
                    steps += STEPS_TO_PART
                    publishing.publish(messages, session, retained)
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
                        publishing.publish(messages, session, retained)
                        messages, retained = [], []
                    if not self._go_on(self._process_each(packet, session)):
                        done = index
                        break
                    continue
                statistics.packets_received += len(packet) - 1
                steps += router.index.steps_for(packet.topics[0])
                if packet.qos:
                    steps += len(packet)
                may_be_refused = is_full and packet.qos > 0
                if len(packet) <= LONG_RUN and len(packets) > 1 and not may_be_refused:
                    # Taking it apart costs less than parting it from what comes before and after.
                    if packet.qos:
                        self._acks.note_run(packet)
                    messages += packet.messages
                    steps += sum(map(router.index.steps_for, dict.fromkeys(packet.topics[1:])))
                else:
                    if messages:
                        publishing.publish(messages, session, retained)
                        messages, retained = [], []
                    publish = (
                        publishing.publish_unkept if may_be_refused else publishing.publish_in_parts
                    )
                    if not self._go_on(publish(packet, session)):
                        done = index
                        break
            else:
                if messages:
                    publishing.publish(messages, session, retained)
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
            publishing.publish(messages, session, retained)
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
        size = len(data) - message.payload_at
        if not self._publishing.publish_alone(message, size, session, now):
            self._link.turn.begin()
            self.process((message,), session)
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

    def publish_whole(self, run: PublishRun, session: Session) -> bool:
        """Do what a run asks for that is all of a read, if it can be done at once."""
        if self._begun is not None:
            return False  # some of it is done
        core = self._link.core
        if run.topic is None and core.router.index.count_at_once(run.topics) < len(run.topics):
            return False
        if run.qos and core.journal is not None and self._publishing.keeps_nothing(core.journal):
            return False
        if run.qos == 2 and not self._are_new(run, session):
            return False
        core.statistics.packets_received += len(run)
        self._publishing.publish_run(run, session)
        self._acks.write(session)
        return True

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
