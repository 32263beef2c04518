"""What a client says of topics, by the broker's names for them: where its listener is mounted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from trio_mqtt.broker.connections.offers import RefusedPublish
from trio_mqtt.broker.mount_points import (
    MOST,
    mounted_filter,
    mounted_properties,
    mounted_topic,
)
from trio_mqtt.errors import RemoteProtocolError
from trio_mqtt.protocol.packets import Publish, PublishRun, Subscribe, Unsubscribe, Will
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.protocol.packets import Packet
    from trio_mqtt.protocol.server_connection import ServerConnection

_REMEMBERED = 1_000  # topics of one client; beyond that all are forgotten at once
_REMEMBERED_LENGTH = 512  # characters of those


class _TooLongError(Exception):
    """A topic has too many bytes by the broker's name for it."""


class Mounting:
    """Renames topics in the packets of one connection before anybody else sees them."""

    __slots__ = ("_mount_point", "_protocol", "_receive", "_topics")

    def __init__(
        self,
        mount_point: str,
        receive: Callable[[bytes], Sequence[Packet | RefusedPublish]],
        protocol: ServerConnection,
    ) -> None:
        """`receive` is what makes packets of bytes that come."""
        self._mount_point = mount_point
        self._receive = receive
        self._protocol = protocol
        # One string for each topic that comes again: what routes it looks at that first.
        self._topics: dict[str, str] = {}

    def receive(self, data: bytes) -> Sequence[Packet | RefusedPublish]:
        """The packets of `data`, renamed."""
        return self.passed(self._receive(data))

    def passed(
        self, packets: Sequence[Packet | RefusedPublish]
    ) -> Sequence[Packet | RefusedPublish]:
        """The packets, renamed, up to one whose topic is too long: the protocol's violation."""
        passed: list[Packet | RefusedPublish] = []
        for packet in packets:
            try:
                passed.append(self._renamed(packet))
            except _TooLongError:
                if isinstance(packet, PublishRun):
                    passed += self._before_too_long(packet)
                most = MOST - len(self._mount_point.encode())
                is_name = isinstance(packet, (Publish, PublishRun))
                code = ReasonCode.TOPIC_NAME_INVALID if is_name else ReasonCode.TOPIC_FILTER_INVALID
                self._protocol.violated(
                    RemoteProtocolError(f"a topic may have {most:,} bytes here", code)
                )
                break
        return passed

    def _renamed(self, packet: Packet | RefusedPublish) -> Packet | RefusedPublish:
        mount_point = self._mount_point
        if isinstance(packet, PublishRun):
            return self._renamed_run(packet)
        if isinstance(packet, Publish):
            properties = mounted_properties(mount_point, packet.properties)
            if properties is None:
                raise _TooLongError
            return Publish(
                self._topic(packet.topic),
                packet.payload,
                packet.qos,
                packet.retain,
                packet.dup,
                packet.packet_id,
                properties,
            )
        if isinstance(packet, Subscribe):
            asked = [
                replace(one, topic_filter=self._filter(one.topic_filter))
                for one in packet.subscriptions
            ]
            return replace(packet, subscriptions=asked)
        if isinstance(packet, Unsubscribe):
            return replace(
                packet, topic_filters=[self._filter(one) for one in packet.topic_filters]
            )
        if isinstance(packet, RefusedPublish):
            return replace(packet, topic=self._topic(packet.topic))
        return packet

    def _before_too_long(self, run: PublishRun) -> list[PublishRun]:
        """What of a run comes before a topic that is too long."""
        names = [mounted_topic(self._mount_point, topic) for topic in run.topics]
        fitting = names.index(None)
        return [self._renamed_run(run.some(range(fitting)))] if fitting else []

    def _renamed_run(self, run: PublishRun) -> PublishRun:
        return run.renamed([self._topic(topic) for topic in run.topics])

    def _topic(self, topic: str) -> str:
        found = self._topics.get(topic)
        if found is None:
            found = mounted_topic(self._mount_point, topic)
            if found is None:
                raise _TooLongError
            if len(topic) <= _REMEMBERED_LENGTH:
                if len(self._topics) >= _REMEMBERED:
                    self._topics.clear()
                self._topics[topic] = found
        return found

    def _filter(self, topic_filter: str) -> str:
        mounted = mounted_filter(self._mount_point, topic_filter)
        if mounted is None:
            raise _TooLongError
        return mounted


def mounted_will(mount_point: str, will: Will) -> Will | None:
    """A will by the broker's names; None where one is too long."""
    topic = mounted_topic(mount_point, will.topic)
    properties = mounted_properties(mount_point, will.properties)
    if topic is None or properties is None:
        return None
    return replace(will, topic=topic, properties=properties)
