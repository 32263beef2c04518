"""PUBACK and PUBREC for what a client published: those of one read leave together."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.packets import PubAck, Publish, PubRec

if TYPE_CHECKING:
    from trio_mqtt.broker.connections.link import Link
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.protocol.reason_codes import ReasonCode


_PUBACK, _PUBREC = ("PUBACK", 0), ("PUBREC", 0)


class Acknowledgements:
    """What is to be acknowledged when the packets of one read are done."""

    __slots__ = ("_link", "waiting")

    def __init__(self, link: Link) -> None:
        self._link = link
        # The four bytes of each, as a number.
        self.waiting: list[int] = []

    def write(
        self, session: Session, codes: dict[int, tuple[ReasonCode, str]] | None = None
    ) -> None:
        """Send them in the order of arrival (§4.6).

        `codes` are those that say more than success, by packet identifier, with words for failures.
        """
        acks = self.waiting
        if not acks:
            return
        link = self._link
        protocol = link.protocol
        statistics = link.core.statistics
        sent = statistics.kinds_sent
        statistics.other_packets_sent += len(acks)
        if codes is None and len(acks) == 1:
            ack = acks.pop()
            if ack < 0x5000_0000:
                protocol.acknowledged()
                sent[_PUBACK] += 1
            else:
                sent[_PUBREC] += 1
            link.outlet.write(ack.to_bytes(4, "big"))
            return
        done = 0  # what is acknowledged by PUBACK no longer counts; QoS 2 counts to PUBCOMP
        for ack in acks:
            if ack < 0x5000_0000:
                done += 1
        sent[_PUBACK] += done
        sent[_PUBREC] += len(acks) - done
        if codes is None:
            data = struct.pack(f">{len(acks)}I", *acks)
        else:
            for ack in acks:
                if (code := codes.get(ack & 0xFFFF)) is not None:
                    plain = _PUBACK if ack < 0x5000_0000 else _PUBREC
                    sent[plain] -= 1
                    sent[plain[0], code[0]] += 1
            data = b"".join(
                self._with_code(ack, *code)
                if (code := codes.get(ack & 0xFFFF)) is not None
                else ack.to_bytes(4, "big")
                for ack in acks
            )
        for packet_id, (reason_code, _) in (codes or {}).items():
            if reason_code.is_failure and packet_id in session.receiver.accepted:
                session.refuse(packet_id)
                done += 1
        protocol.acknowledged(done)
        acks.clear()
        link.outlet.write(data)

    def _with_code(self, ack: int, code: ReasonCode, reason: str) -> bytes:
        """PUBACK or PUBREC with a reason code."""
        link = self._link
        if reason and link.problem_information:
            kind = PubAck if ack < 0x5000_0000 else PubRec
            try:
                return link.explained(kind(ack & 0xFFFF, code), reason)
            except LocalProtocolError:
                return b""  # it accepts not even five bytes
        return struct.pack(">IB", ack + 0x1_0000, code)

    def note(self, packet: Publish, session: Session) -> bool:
        """A PUBLISH that came is to be acknowledged; whether it is a new one (§4.3.3)."""
        if packet.qos == 1:
            self.waiting.append(0x4002_0000 | packet.packet_id)
        elif packet.qos == 2:
            self.waiting.append(0x5002_0000 | packet.packet_id)
            if not session.on_publish(packet.packet_id):
                self._link.protocol.acknowledged()
                return False
            if session.journal is not None:
                self._link.outlet.hold(session.journal)
        return True
