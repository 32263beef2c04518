"""What a client publishes, held to what the broker offers: only where it offers less than all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trio_mqtt.errors import RemoteProtocolError
from trio_mqtt.protocol.packets import Packet, Publish, PublishRun, Will
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.options import BrokerOptions
    from trio_mqtt.protocol.server_connection import ServerConnection


STORAGE_FAILS = "the broker's storage is full, or fails"
CUT_OFF = "the broker is cut off from its cluster"


@dataclass(slots=True)
class RefusedPublish:
    """Stands where a message of QoS 1 or 2 did that is answered with a reason code only."""

    topic: str
    packet_id: int
    qos: int
    reason_code: ReasonCode
    reason: str
    payload_size: int
    by_access: bool = False  # a program's hook has refused it

    @classmethod
    def of(
        cls, message: Publish, code: ReasonCode, reason: str, *, by_access: bool = False
    ) -> RefusedPublish:
        """What stands in place of `message`."""
        return cls(
            message.topic,
            message.packet_id,
            message.qos,
            code,
            reason,
            message.payload_size,
            by_access,
        )


class OfferCheck:
    """Looks at the packets of one connection before anybody else does."""

    __slots__ = ("_options", "_protocol")

    def __init__(self, options: BrokerOptions, protocol: ServerConnection) -> None:
        self._options = options
        self._protocol = protocol

    def receive(self, data: bytes) -> Sequence[Packet | RefusedPublish]:
        """What the protocol makes of `data`, as far as the broker offers it."""
        return self.passed(self._protocol.receive(data))

    def passed(self, packets: Sequence[Packet]) -> Sequence[Packet | RefusedPublish]:
        """The packets up to one that asks too much: that is the protocol's violation then."""
        passed: list[Packet | RefusedPublish] = []
        for packet in packets:
            if isinstance(packet, PublishRun) and packet.qos > self._options.maximum_qos:
                packet = packet.message(0)
            if isinstance(packet, Publish):
                problem = unoffered_message(packet, self._options)
                if problem is not None:
                    code, reason = problem
                    if code != ReasonCode.PAYLOAD_FORMAT_INVALID or packet.qos == 0:
                        self._protocol.violated(RemoteProtocolError(reason, code))
                        break
                    passed.append(RefusedPublish.of(packet, code, reason))
                    continue
            passed.append(packet)
        return passed


def offer_check(options: BrokerOptions, protocol: ServerConnection) -> OfferCheck | None:
    """What looks at the packets of a connection; None if there is nothing to look for."""
    offers_all = options.maximum_qos == 2 and options.retain_available
    if offers_all and not options.check_payload_format:
        return None
    return OfferCheck(options, protocol)


def unoffered_message(
    message: Publish | Will, options: BrokerOptions
) -> tuple[ReasonCode, str] | None:
    """What is wrong with a message or will for this broker, as a reason code and in words.

    It asks for what is not offered (MQTT 5.0 §3.2.2.3.4, §3.2.2.3.5), or is not the text that it
    says it is (§3.3.2.3.2).
    """
    if message.qos > options.maximum_qos:
        return (
            ReasonCode.QOS_NOT_SUPPORTED,
            f"this broker takes messages of QoS {options.maximum_qos} at most",
        )
    if message.retain and not options.retain_available:
        return ReasonCode.RETAIN_NOT_SUPPORTED, "this broker keeps no retained messages"
    if options.check_payload_format and message.properties.get("payload_format_indicator") == 1:
        try:
            message.payload.decode()
        except UnicodeDecodeError as error:
            return (
                ReasonCode.PAYLOAD_FORMAT_INVALID,
                f"the payload is not UTF-8 as it says: {error.reason} at byte {error.start}",
            )
    return None
