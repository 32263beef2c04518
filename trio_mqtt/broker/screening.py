"""What a client publishes, held to what the broker offers: only where it offers less than all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trio_mqtt.errors import RemoteProtocolError
from trio_mqtt.protocol.packets import Packet, Publish, Will
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.topics import has_wildcard, parse_shared

if TYPE_CHECKING:
    from trio_mqtt.broker.options import BrokerOptions
    from trio_mqtt.protocol.connection import ServerConnection


class Screen:
    """Looks at the packets of one connection before anybody else does."""

    __slots__ = ("_options", "_protocol")

    def __init__(self, options: BrokerOptions, protocol: ServerConnection) -> None:
        self._options = options
        self._protocol = protocol

    def receive(self, data: bytes) -> Sequence[Packet]:
        """What the protocol makes of `data`, as far as the broker offers it."""
        return self.passed(self._protocol.receive(data))

    def passed(self, packets: Sequence[Packet]) -> Sequence[Packet]:
        """The packets up to one that asks too much: that is the protocol's violation then."""
        for index, packet in enumerate(packets):
            if isinstance(packet, Publish):
                problem = problem_of(packet, self._options)
                if problem is not None:
                    code, reason = problem
                    self._protocol.violation = RemoteProtocolError(reason, code)
                    return packets[:index]
        return packets


def screen_for(options: BrokerOptions, protocol: ServerConnection) -> Screen | None:
    """What looks at the packets of a connection; None if there is nothing to look for."""
    if options.maximum_qos == 2 and options.retain_available:
        return None
    return Screen(options, protocol)


def problem_of(message: Publish | Will, options: BrokerOptions) -> tuple[ReasonCode, str] | None:
    """What a message or will asks for that is not offered (MQTT 5.0 §3.2.2.3.4, §3.2.2.3.5)."""
    if message.qos > options.maximum_qos:
        return (
            ReasonCode.QOS_NOT_SUPPORTED,
            f"this broker takes messages of QoS {options.maximum_qos} at most",
        )
    if message.retain and not options.retain_available:
        return ReasonCode.RETAIN_NOT_SUPPORTED, "this broker keeps no retained messages"
    return None


def unoffered_filter(topic_filter: str, options: BrokerOptions) -> tuple[ReasonCode, str] | None:
    """What a topic filter asks for that is not offered (MQTT 5.0 §3.2.2.3.11, §3.2.2.3.13)."""
    if not options.shared_subscription_available and parse_shared(topic_filter) is not None:
        return (
            ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
            "this broker takes no shared subscriptions",
        )
    if not options.wildcard_subscription_available and has_wildcard(topic_filter):
        return (
            ReasonCode.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED,
            "this broker takes no subscriptions with wildcards",
        )
    return None
