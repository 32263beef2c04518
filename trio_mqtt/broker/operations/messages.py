"""Messages: published by whoever runs the broker, and sent to one client alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.mount_points import topic_below
from trio_mqtt.broker.operations.finding import link_of, session_of
from trio_mqtt.broker.operations.forms.messages import ClientMessage, Done, NewMessage
from trio_mqtt.broker.operations.keeping import changes_of, until_kept
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.routing.target import Target
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.protocol.properties import Carrier, Properties, encode_properties
from trio_mqtt.protocol.topics import topic_matches_filter

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.broker.sessions.subscription import Subscription


class Messages:
    """Messages of whoever runs one broker."""

    def __init__(self, core: Core, publish: Callable[..., Awaitable[None]]) -> None:
        """`publish` is that of the broker."""
        self._core = core
        self._publish = publish

    async def publish(self, asked: NewMessage) -> Done:
        await self._publish(
            asked.topic,
            asked.content,
            qos=asked.qos,
            retain=asked.retain,
            properties=_properties(asked),
        )
        return Done()

    async def send_to_client(self, asked: ClientMessage) -> Done:
        await trio.lowlevel.checkpoint()
        core = self._core
        session = session_of(core, asked)
        size = len(asked.topic.encode()) + len(asked.content)
        if size > core.limits.maximum_packet_size // 2:
            raise LocalProtocolError(f"a message of {size} bytes is too large for one client alone")
        properties = _properties(asked)
        encode_properties(properties, Carrier.PUBLISH)  # raises where nobody could be sent it
        below = topic_below(session.mount_point, asked.topic)
        if below is None:
            raise LocalProtocolError(f"{asked.topic!r} is not below the client's mount point")
        carrier = _carrier(session, asked.topic)
        if carrier is None and (asked.qos or session.outlet is None):
            raise LocalProtocolError(
                f"{asked.client_id!r} has no subscription that the message could wait in: only one"
                " of QoS 0 can be sent to it, and only while it is connected."
            )
        # It is sent as published to be retained, but nobody keeps it: it is for one client.
        message = Publish(
            asked.topic, asked.content, asked.qos, asked.retain, properties=properties
        )
        batch = Batch([message], received_at=trio.current_time())
        core.statistics.messages_received += 1
        core.statistics.messages_without_packet += 1
        if carrier is not None:
            target = Target(carrier, asked.qos, True, (), False, mount_point=session.mount_point)
            before = changes_of(core)
            carrier.offer(target, batch)
            if asked.qos:
                await until_kept(core, before)
        else:
            self._write(session, message, below)
        return Done(client_id=asked.client_id)

    def _write(self, session: Session, message: Publish, topic: str) -> None:
        """Send a message of QoS 0 at once, to a client without any subscription."""
        link = link_of(session)
        if link is None or link.outlet.congested:
            raise LocalProtocolError(f"{session.client_id!r} takes nothing now")
        sent = Publish(topic, message.payload, 0, message.retain, properties=message.properties)
        data = encode(sent, link.protocol.version or ProtocolVersion.V5)
        maximum = link.outlet.maximum_packet_size
        if maximum is not None and len(data) > maximum:
            raise LocalProtocolError(f"{session.client_id!r} takes no packet so large")
        self._core.statistics.messages_sent += 1
        self._core.statistics.payload_bytes_sent += message.payload_size
        link.outlet.write(data)


def _carrier(session: Session, topic: str) -> Subscription | None:
    """The subscription through which a message goes: one that matches, else the oldest."""
    own = [
        one
        for one in session.subscriptions.values()
        if not one.shared_filter and not one.closed and not one.resting
    ]
    matching = [one for one in own if topic_matches_filter(topic, one.topic_filter.plain)]
    return min(matching or own, key=lambda one: one.serial, default=None)


def _properties(asked: NewMessage) -> Properties:
    properties = Properties()
    if asked.expiry_interval is not None:
        properties["message_expiry_interval"] = asked.expiry_interval
    if asked.content_type is not None:
        properties["content_type"] = asked.content_type
    if asked.user_properties:
        properties["user_property"] = list(asked.user_properties)
    return properties
