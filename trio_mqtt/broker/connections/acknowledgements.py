"""Acknowledgements both ways: what a client's change, and what one read is answered at once.

A client acknowledges what it was sent by PUBACK, or by PUBREC and PUBCOMP, and goes on with what it
has sent by PUBREL. Where many messages are under way, whole reads consist of those. They come as
runs: each is one change, and the answers of all leave together.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from trio_mqtt.broker.events.kinds import MessageAcknowledged
from trio_mqtt.broker.sessions.delivery_state import in_flight_of
from trio_mqtt.errors import LocalProtocolError, RemoteProtocolError
from trio_mqtt.protocol.ack_runs import ACKNOWLEDGEMENTS, encode_ack_run, encode_answers
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.packets import (
    AckRun,
    PubAck,
    PubComp,
    Publish,
    PublishRun,
    PubRec,
    PubRel,
)
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.connections.link import Link
    from trio_mqtt.broker.sessions.delivery_state import Sent
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.protocol.outcome import Outcome

Acks = AckRun | PubAck | PubRec | PubRel | PubComp

# What is sent, as numbers of four bytes that begin with these two; to be added is the identifier.
PUBACK, PUBREC, PUBREL, PUBCOMP = 0x4002_0000, 0x5002_0000, 0x6202_0000, 0x7002_0000
_HEADS = {
    PacketType.PUBACK: PUBACK,
    PacketType.PUBREC: PUBREC,
    PacketType.PUBREL: PUBREL,
    PacketType.PUBCOMP: PUBCOMP,
}
_LARGEST = 0xFFFF_FFFF  # those of five bytes end with a reason code

_PUBACK, _PUBREC = PacketType.PUBACK, PacketType.PUBREC
_PUBREL, _PUBCOMP = PacketType.PUBREL, PacketType.PUBCOMP
_KINDS: dict[type, PacketType] = {
    PubAck: PacketType.PUBACK,
    PubRec: PacketType.PUBREC,
    PubRel: PacketType.PUBREL,
    PubComp: PacketType.PUBCOMP,
}
# What they are counted as, by their kind and by their first byte.
_COUNTED = {kind: (kind.name, 0) for kind in _KINDS.values()}
_COUNTED_FIRST = {first: (kind.name, 0) for first, kind in ACKNOWLEDGEMENTS.items()}


class Acknowledgements:
    """What the acknowledgements of one client do, and what answers the packets of one read."""

    __slots__ = ("_event_streams", "_link", "_statistics", "of_runs", "waiting")

    def __init__(self, link: Link) -> None:
        self._link = link
        self._statistics = link.core.statistics
        self._event_streams = link.core.event_streams
        # What is to be sent when the packets of one read are done.
        self.waiting: list[int] = []
        # And before that: answers of runs, as they leave.
        self.of_runs = b""

    # -- what comes -----------------------------------------------------------------------------

    def take_alone(self, packet_id: int, session: Session) -> bool:
        """As `take`, of one PUBACK that says success, up to telling of what breaks the rules.

        False, and nothing is done, where somebody else has to hear of it.
        """
        if session.journal is not None or MessageAcknowledged in self._event_streams.wanted:
            return False
        self._statistics.kinds_received[_COUNTED_FIRST[0x40]] += 1
        try:
            session.sender.on_puback(packet_id)
        except RemoteProtocolError as error:
            self._link.protocol.violated(error)
        return True

    def take(self, packet: Acks, session: Session) -> RemoteProtocolError | None:
        """Do what acknowledgements ask for, and note what answers them.

        What is returned breaks the rules: those before it hold.
        """
        statistics = self._statistics
        packet_ids: Sequence[int]
        if isinstance(packet, AckRun):
            kind, packet_ids = packet.kind, packet.packet_ids
            statistics.packets_received += len(packet_ids) - 1
            statistics.kinds_received[_COUNTED[kind]] += len(packet_ids)
            if isinstance(packet_ids, range):
                packet_ids = self._take_in_order(kind, packet_ids, session)
                if not packet_ids:
                    return None
        else:
            kind, packet_ids = _KINDS[type(packet)], (packet.packet_id,)
            statistics.kinds_received[kind.name, packet.reason_code] += 1
            if kind is _PUBREC and packet.reason_code.is_failure:
                try:
                    session.on_refused(packet.packet_id, packet.reason_code)
                except RemoteProtocolError as error:
                    return error
                return None
        return self._take_each(kind, packet_ids, session)

    def _take_each(
        self, kind: PacketType, packet_ids: Sequence[int], session: Session
    ) -> RemoteProtocolError | None:
        """Do what acknowledgements ask for, each of which says success or has been looked at."""
        link = self._link
        if kind is _PUBREL:
            released = session.on_pubrels(packet_ids)
            link.protocol.acknowledged(len(released.items))
            self._answer(PUBCOMP, packet_ids, released, session)
            return None
        is_followed = MessageAcknowledged in self._event_streams.wanted
        if session.journal is None:
            outcome = session.sender.on_run(kind, packet_ids)
        else:
            outcome = session.on_run(kind, packet_ids)
        if kind is _PUBREC:
            self._answer(PUBREL, packet_ids, outcome, session)
        if is_followed:
            self._tell_taken(kind, outcome.items, session)
        return outcome.violation

    def take_run(
        self, first_byte: int, packet_ids: range, session: Session
    ) -> RemoteProtocolError | None:
        """As `take`, of acknowledgements that begin with a byte, one after the other."""
        count = len(packet_ids)
        statistics = self._statistics
        statistics.packets_received += count
        statistics.kinds_received[_COUNTED_FIRST[first_byte]] += count
        kind = ACKNOWLEDGEMENTS[first_byte]
        left = self._take_in_order(kind, packet_ids, session)
        return self._take_each(kind, left, session) if left else None

    def _take_in_order(self, kind: PacketType, packet_ids: range, session: Session) -> range:
        """Do what acknowledgements ask for as one, where they are of what was sent in that order.

        What of them is left is to be looked at one by one.
        """
        if session.journal is not None:
            return packet_ids
        if kind is _PUBACK:
            if MessageAcknowledged in self._event_streams.wanted:
                return packet_ids
            return session.sender.on_pubacks(packet_ids)
        if kind is _PUBREL:
            if not session.receiver.on_all_pubrels(packet_ids):
                return packet_ids
            self._link.protocol.acknowledged(len(packet_ids))
            self._note(_PUBCOMP, packet_ids)
            return packet_ids[:0]
        if MessageAcknowledged in self._event_streams.wanted:
            return packet_ids
        sender = session.sender
        if kind is _PUBREC:
            left = sender.on_pubrecs(packet_ids)
            if left.start > packet_ids.start:
                self._note(_PUBREL, range(packet_ids.start, left.start))
            return left
        return packet_ids[:0] if sender.on_pubcomps(packet_ids) else packet_ids

    def _note(self, kind: PacketType, packet_ids: range) -> None:
        """These are to be sent."""
        if self.waiting:
            head = _HEADS[kind]
            self.waiting += [head | packet_id for packet_id in packet_ids]
        else:
            self.of_runs += encode_ack_run(kind, packet_ids)

    def _answer(
        self,
        answer: int,
        packet_ids: Sequence[int],
        outcome: Outcome[Sent] | Outcome[None],
        session: Session,
    ) -> None:
        """Note what answers a run; it promises what is kept with the session."""
        link = self._link
        if session.journal is not None and outcome.items:
            link.outlet.hold(session.journal)
        answers = [answer | packet_id for packet_id in packet_ids[: outcome.count]]
        if outcome.unknown and link.outlet.is_v5:
            for place in outcome.unknown:
                answers[place] = _with_code(answers[place], ReasonCode.PACKET_IDENTIFIER_NOT_FOUND)
        self.waiting += answers

    def _tell_taken(self, kind: PacketType, items: Mapping[int, Sent], session: Session) -> None:
        """Tell those who follow it that the client has taken over messages."""
        if kind is _PUBACK or kind is _PUBREC:
            qos = 1 if kind is _PUBACK else 2
            self._link.core.event_streams.acknowledged(
                session.client_id,
                ((qos, in_flight_of(*one)[0].topic) for one in items.items()),
            )

    # -- what goes ------------------------------------------------------------------------------

    def note(self, packet: Publish, session: Session) -> bool:
        """A PUBLISH that came is to be acknowledged; whether it is a new one (§4.3.3)."""
        if packet.qos == 1:
            self.waiting.append(PUBACK | packet.packet_id)
        elif packet.qos == 2:
            self.waiting.append(PUBREC | packet.packet_id)
            if not session.on_publish(packet.packet_id):
                self._link.protocol.acknowledged()
                return False
            if session.journal is not None:
                self._link.outlet.hold(session.journal)
        return True

    @property
    def are_due(self) -> bool:
        """Whether any is to be sent."""
        return bool(self.waiting) or bool(self.of_runs)

    def note_run(self, run: PublishRun) -> None:
        """The messages of a run of QoS 1 or 2 are to be acknowledged."""
        kind = _PUBACK if run.qos == 1 else _PUBREC
        if self.waiting:
            head = _HEADS[kind]
            self.waiting += [head | packet_id for packet_id in run.packet_ids]
        else:
            self.of_runs += encode_answers(kind, run.identifiers)

    def write(
        self, session: Session, codes: dict[int, tuple[ReasonCode, str]] | None = None
    ) -> None:
        """Send them in the order of arrival (§4.6).

        `codes` are those of PUBACK and PUBREC that say more than success, by packet identifier,
        with words for failures.
        """
        acks = self.waiting
        link = self._link
        if len(acks) == 1 and not codes and not self.of_runs and acks[0] <= _LARGEST:
            self.write_one(acks.pop())
            return
        if self.of_runs:
            data, self.of_runs = self.of_runs, b""
            if not acks and not codes:
                self._count_sent(data)
                link.outlet.write(data)
                return
            acks[:0] = struct.unpack(f">{len(data) >> 2}I", data)
        if not acks:
            return
        if codes or max(acks) > _LARGEST:
            link.core.statistics.other_packets_sent += len(acks)
            data = self._say_codes(session, codes or {})
        else:
            data = struct.pack(f">{len(acks)}I", *acks)
            self._count_sent(data)
        acks.clear()
        link.outlet.write(data)

    def _count_sent(self, data: bytes) -> None:
        """Acknowledgements that say success leave, each in four bytes."""
        statistics = self._statistics
        first_bytes = data[::4]
        left = len(first_bytes)
        statistics.other_packets_sent += left
        while left:  # there are seldom several kinds
            first = first_bytes[0]
            count = first_bytes.count(first)
            statistics.kinds_sent[_COUNTED_FIRST[first]] += count
            if first == 0x40:  # it no longer counts; QoS 2 does so until PUBCOMP
                self._link.protocol.acknowledged(count)
            left -= count
            if left:
                first_bytes = first_bytes.replace(first_bytes[:1], b"")

    def write_one(self, ack: int) -> None:
        """Send one that says success, where no others wait."""
        statistics = self._statistics
        statistics.other_packets_sent += 1
        statistics.kinds_sent[_COUNTED_FIRST[ack >> 24]] += 1
        if ack < PUBREC:  # it no longer counts; QoS 2 does so until PUBCOMP
            self._link.protocol.acknowledged()
        self._link.outlet.write(ack.to_bytes(4, "big"))

    def _say_codes(self, session: Session, codes: dict[int, tuple[ReasonCode, str]]) -> bytes:
        """What is sent where some of it says more than success."""
        link = self._link
        sent = link.core.statistics.kinds_sent
        done = 0
        data: list[bytes] = []
        for ack in self.waiting:
            packet_id, reason = ack & 0xFFFF, ""
            if ack <= _LARGEST and packet_id in codes and ack < PUBREL:
                code, reason = codes[packet_id]
                ack = _with_code(ack, code)
            if ack <= _LARGEST:
                first = ack >> 24
                sent[_COUNTED_FIRST[first]] += 1
                data.append(ack.to_bytes(4, "big"))
            else:
                first = ack >> 32
                sent[_COUNTED_FIRST[first][0], ack & 0xFF] += 1
                data.append(self._explained(ack, reason) if reason else ack.to_bytes(5, "big"))
            if first == 0x40:
                done += 1
        for packet_id, (code, _) in codes.items():
            if code.is_failure and packet_id in session.receiver.accepted:
                session.refuse(packet_id)
                done += 1
        link.protocol.acknowledged(done)
        return b"".join(data)

    def _explained(self, ack: int, reason: str) -> bytes:
        """PUBACK or PUBREC that refuses, with the reason in words if the client wants them."""
        kind = PubAck if ack >> 32 == 0x40 else PubRec
        try:
            return self._link.explained(kind(ack >> 8 & 0xFFFF, ReasonCode(ack & 0xFF)), reason)
        except LocalProtocolError:
            return b""  # it accepts not even five bytes


def _with_code(ack: int, code: ReasonCode) -> int:
    """The five bytes of an acknowledgement that has a reason code (§3.4.2.1), as a number."""
    return (ack + 0x1_0000) << 8 | code
