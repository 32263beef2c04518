"""How much may wait for one client, and for all: messages and bytes in the queues of sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.broker.routing.batch import MESSAGE, Batch, size_of

if TYPE_CHECKING:
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.sessions.delivery_state import DeliveryState


def fitting_part(
    batch: Batch, qos: int, session: DeliveryState, most_bytes: int, limits: Limits, in_all: int
) -> tuple[Batch | None, int]:
    """The part of a batch that may wait, sent at `qos` at most; and how many do not for its bounds.

    `most_bytes` may wait for the session, and `in_all` do so for all. No QoS 0 waits for who is
    away, which counts as nothing lost.
    """
    away = session.outlet is None
    count, size = session.queued_messages, session.queued_bytes
    if qos == 0 or batch.highest_qos == 0:
        # At a flood there is no look at each of them.
        if away:
            return None, 0
        if 2 * count >= limits.maximum_queued_messages or 2 * size >= most_bytes:
            return None, batch.count
    others = in_all - size  # what waits for the other sessions
    fitting = []
    dropped = 0
    for message in batch.messages:
        is_qos_0 = message.qos == 0 or qos == 0
        if is_qos_0 and away:
            continue
        share = 2 if is_qos_0 else 1  # QoS 0 may fill half of the queue
        message_size = size_of(message) + MESSAGE
        if (
            (count + 1) * share > limits.maximum_queued_messages
            or (size + message_size) * share > most_bytes
            or (others + size + message_size) * share > limits.maximum_queued_bytes_in_all
        ):
            dropped += 1
            continue
        fitting.append(message)
        count += 1
        size += message_size
    if not fitting:
        return None, dropped
    if len(fitting) == batch.count:
        return batch, 0
    return (batch.part(fitting) if dropped or not away else batch.lasting(fitting)), dropped


def has_room_for(session: DeliveryState, limits: Limits, count: int, size: int) -> bool:
    """Whether so many messages of so many bytes, of any QoS, can wait for a session too."""
    return (
        2 * (session.queued_messages + count) <= limits.maximum_queued_messages
        and 2 * (session.queued_bytes + size) <= limits.maximum_queued_bytes
    )
