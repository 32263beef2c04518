"""What a member of shared subscriptions leaves behind when it goes (MQTT 5.0 §4.8.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.routing.sizes import size_of
from trio_mqtt.broker.sessions.delivery_state import in_flight_of
from trio_mqtt.protocol.packets import Publish

if TYPE_CHECKING:
    from trio_mqtt.broker.routing.shared import SharedGroup
    from trio_mqtt.broker.routing.subscription_index import SubscriptionIndex
    from trio_mqtt.broker.sessions.session import Session


def share_what_is_left(session: Session, index: SubscriptionIndex, *, ended: bool = False) -> None:
    """Give what a member of shared subscriptions leaves behind to the others (§4.8.2).

    While it may come back, only to those that are connected, and only if none of them could be
    made to drop anything, or to the log from which all are served; where its session has `ended`,
    to whoever is there. What was sent at QoS 2 is given to nobody else.
    """
    sent = [
        (packet_id, message, shared_filter, at)
        for packet_id, qos, item in session.sender.to_resend()
        for message, _, (_, shared_filter), at, _ in (in_flight_of(packet_id, item),)
        if shared_filter is not None and qos == 1
    ]
    count = session.queued_messages + len(sent)
    size = session.queued_bytes + sum(size_of(message) for _, message, _, _ in sent)
    if not count:
        return
    willing: dict[SharedGroup, bool] = {}

    def takes_over(group: SharedGroup) -> bool:
        if group not in willing:
            willing[group] = ended or group.takes_over(count, size)
        return willing[group]

    for packet_id, message, shared_filter, at in sent:
        group = index.group(shared_filter)
        if group is not None and takes_over(group):
            session.give_up(packet_id)
            # Without its frame: who published it, and in which version, is not known any more.
            again = Publish(
                message.topic,
                message.payload,
                message.qos,
                message.retain,
                properties=message.properties,
            )
            group.deliver(Batch([again], received_at=at))
    for subscription in session.subscriptions.values():
        if subscription.shared_filter is None:
            continue
        group = index.group(subscription.shared_filter)
        if group is not None and takes_over(group):
            for _, batch in subscription.withdraw():
                group.deliver(batch)
