"""A session goes on with another connection: what was in flight is sent again (MQTT 5.0 §4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.mount_points import properties_below, topic_below
from trio_mqtt.broker.sessions.delivery_state import in_flight_of
from trio_mqtt.protocol.ack_runs import encode_ack_run
from trio_mqtt.protocol.encoding import publish_parts
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.wire import MAX_PACKET_SIZE

if TYPE_CHECKING:
    from trio_mqtt.broker.connections.deliveries import Deliveries
    from trio_mqtt.broker.connections.link import Link
    from trio_mqtt.broker.sessions.delivery_state import InFlight
    from trio_mqtt.broker.sessions.session import Session


async def send_again(link: Link, session: Session, deliveries: Deliveries) -> None:
    """Send again what was in flight (§4.4), then let the subscriptions go on."""
    if link.outlet.ended:
        return  # the client said goodbye before this task began
    sender = session.sender
    version = ProtocolVersion.V5 if link.outlet.is_v5 else ProtocolVersion.V311
    if sender.released:
        link.core.statistics.count_sent("PUBREL", packets=len(sender.released))
        link.outlet.write(encode_ack_run(PacketType.PUBREL, list(sender.released)))
    pending = {
        packet_id: (qos, in_flight_of(packet_id, item))
        for packet_id, qos, item in sender.to_resend()
    }
    while not link.outlet.ended:
        # What was answered meanwhile, before it was sent again, gave quota back that it had
        # not taken, or will by PUBCOMP; and after PUBREL no PUBLISH may follow (§4.3.3).
        for packet_id in [known for known in pending if known not in sender.in_flight]:
            del pending[packet_id]
            sender.sent_again()
        if not pending:
            break
        if sender.quota <= 0:
            await link.outlet.quota_change()
            await trio.lowlevel.checkpoint_if_cancelled()  # ended while it was woken
            continue
        packet_id = next(iter(pending))
        qos, item = pending.pop(packet_id)
        before, after = _again(item, qos, version, session.mount_point)
        may_receive = session.permissions is None or session.permissions.may_receive(item[0].topic)
        if not may_receive or len(before) + 2 + len(after) > (
            link.outlet.maximum_packet_size or MAX_PACKET_SIZE
        ):
            # As if it had been delivered (§3.1.2.11.4).
            session.give_up(packet_id)
            if may_receive:
                link.core.statistics.messages_dropped += 1
                link.core.statistics.messages_expired += 1
            else:
                link.core.statistics.deliveries_refused += 1
            continue
        sender.sent_again()
        link.outlet.write(before + packet_id.to_bytes(2, "big") + after)
        link.core.statistics.messages_sent += 1
        link.core.statistics.payload_bytes_sent += item[0].payload_size
        if link.outlet.congested:
            await link.outlet.wait_until_written()
            await trio.lowlevel.checkpoint_if_cancelled()  # ended while it was woken
    if not link.outlet.ended:
        deliveries.begin(session)


def _again(
    item: InFlight, qos: int, version: ProtocolVersion, mount_point: str
) -> tuple[bytes, bytes]:
    """A PUBLISH that was sent before, with DUP set, before and after its packet identifier."""
    message, retain, (identifiers, _), received_at, _ = item
    topic, properties = message.topic, message.properties
    if mount_point:
        topic = topic_below(mount_point, topic) or topic
        properties = properties_below(mount_point, properties)
    interval = properties.get("message_expiry_interval") if properties else None
    if identifiers or interval is not None:
        properties = properties.copy()
    if identifiers:
        properties["subscription_identifier"] = list(identifiers)
    if interval is not None:
        # It does not expire once it was sent (§4.3.3), but its time goes on.
        elapsed = int(trio.current_time() - received_at)
        properties["message_expiry_interval"] = max(0, interval - elapsed)
    before, after = publish_parts(
        topic,
        message.payload,
        qos,
        retain,
        properties,
        version,
    )
    return bytes((before[0] | 8,)) + before[1:], after
