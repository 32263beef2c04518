"""What becomes of the messages that one client publishes: routed, refused, and acknowledged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from trio_mqtt.broker.connections.acknowledgements import PUBACK
from trio_mqtt.broker.connections.offers import CUT_OFF, STORAGE_FAILS, RefusedPublish
from trio_mqtt.broker.core import NOT_PERMITTED
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.routing.sizes import size_alone
from trio_mqtt.protocol.packets import Publish, PublishRun
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.connections.acknowledgements import Acknowledgements
    from trio_mqtt.broker.connections.link import Link
    from trio_mqtt.broker.connections.requests import Requests
    from trio_mqtt.broker.journal import Journal
    from trio_mqtt.broker.sessions.session import Session


class Publishing:
    """Hands on what one client publishes, in pieces as whoever reads its packets asks for it."""

    __slots__ = ("_acks", "_core", "_link", "_outlet", "_requests")

    def __init__(self, link: Link, requests: Requests, acks: Acknowledgements) -> None:
        self._link = link
        self._core = link.core
        self._outlet = link.outlet
        self._requests = requests
        self._acks = acks

    # -- taken ----------------------------------------------------------------------------------

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
        statistics = self._core.statistics
        statistics.messages_received += shed
        statistics.messages_dropped += shed
        statistics.messages_shed += shed
        return taken

    def publish_alone(
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
            or (journal is not None and self.keeps_nothing(journal))
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

    def publish_in_parts(self, run: PublishRun, session: Session) -> Iterator[None]:
        """Route what the client published, as much at once as its topics make little work."""
        router = self._core.router
        while run.topic is None:
            count = router.index.count_at_once(run.topics)
            if count == len(run.topics):
                break
            self.publish_run(run.some(range(count)), session)
            run = run.some(range(count, len(run.topics)))
            yield
        self.publish_run(run, session)

    def publish_run(self, run: PublishRun, session: Session) -> None:
        """Route part of a run, and note what acknowledges that; nothing before it is routed."""
        if run.qos:
            self._acks.note_run(run)
        self.publish(run, session)

    def publish_instead(self, packet: Publish, message: Publish, session: Session) -> None:
        """Route `message` in place of a packet that the client sent, and acknowledge that."""
        link = self._link
        link.core.statistics.packets_received += 1
        journal = link.core.journal
        is_full = journal is not None and self.keeps_nothing(journal)
        if is_full and packet.qos and self.must_be_kept(packet, message, session):
            self.refuse_to_keep(packet, session)
            return
        no_room = (
            message.retain and packet.qos and not link.core.retained.takes(message, session.key)
        )
        if no_room and link.outlet.is_v5:
            self.refuse_to_retain(packet, session)
        elif self._acks.note(packet, session):
            self.publish([message], session, [message] * message.retain)
        self._acks.write(session)

    # -- refused --------------------------------------------------------------------------------

    def keeps_nothing(self, journal: Journal) -> bool:
        """Whether what must be kept now cannot be."""
        return journal.failure is not None or self._link.last_received > journal.known_until

    def must_be_kept(self, packet: Publish, message: Publish, session: Session) -> bool:
        """Whether the storage would have to keep `message`, for which a packet stands."""
        if packet.qos == 2 and packet.packet_id in session.receiver.accepted:
            return False
        journal = self._core.journal
        return (
            (packet.qos == 2 and session.journal is not None)  # its identifier
            or message.retain
            # Somebody may want it elsewhere.
            or (journal is not None and self._link.last_received > journal.known_until)
            or self._core.router.index.match(message.topic).must_be_kept
        )

    def refuse_to_keep(self, packet: Publish, session: Session) -> None:
        """Refuse a packet whose message must be kept, while the storage keeps nothing.

        MQTT 5 has a reason code for it (§3.4.2.1). To an MQTT 3 client it is not acknowledged, so
        that it sends it again.
        """
        if self._outlet.is_v5:
            journal = self._core.journal
            is_known = journal is None or self._link.last_received <= journal.known_until
            why = STORAGE_FAILS if is_known else CUT_OFF
            refused = RefusedPublish.of(packet, ReasonCode.QUOTA_EXCEEDED, why)
            self._requests.refuse(refused, session)

    def publish_unkept(self, run: PublishRun, session: Session) -> Iterator[None]:
        """Route what need not be kept of a run of QoS 1, and refuse the rest, in order (§4.6)."""
        taken: list[Publish] = []
        for number, message in enumerate(run.messages, 1):
            is_refused = self.must_be_kept(message, message, session)
            if not is_refused:
                self._acks.waiting.append(PUBACK | message.packet_id)
                taken.append(message)
            if taken and (is_refused or number == len(run)):
                self.publish(taken, session)
                taken = []
            if is_refused:
                self._acks.write(session)
                self.refuse_to_keep(message, session)
                yield

    def refuse_to_retain(self, packet: Publish, session: Session) -> None:
        """Refuse a packet of MQTT 5 for whose retained message there is no room."""
        self._core.statistics.retained_refused += 1
        why = "this broker keeps no more retained messages"
        self._requests.refuse(RefusedPublish.of(packet, ReasonCode.QUOTA_EXCEEDED, why), session)
