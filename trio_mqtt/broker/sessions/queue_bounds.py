"""How much may wait for one client, and for all: messages and bytes in the queues of sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.routing.sizes import MESSAGE, size_of

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
    if away and (qos == 0 or batch.highest_qos == 0):
        return None, 0
    count, size = session.queued_messages, session.queued_bytes
    others = in_all - size  # what waits for the other sessions
    most = limits.maximum_queued_messages
    # Whatever waits for the others, who is connected may take what would be written at once.
    little = 0 if away else limits.write_buffer
    # The bytes up to which the queue may grow by QoS 1 and 2, and by QoS 0, which may fill half.
    bytes_in_all = limits.maximum_queued_bytes_in_all
    top = min(most_bytes, max(bytes_in_all - others, little))
    half = min(most_bytes // 2, max(bytes_in_all // 2 - others, little))
    # At a flood, thousands of queues are full: then nothing that comes is looked at one by one.
    is_qos_0 = qos == 0 or batch.highest_qos == 0
    end, last = (half, most // 2) if is_qos_0 else (top, most)
    if count >= last or size + batch.mean_size > end:
        return None, batch.above_qos_0 if away else batch.count
    if is_qos_0 or batch.above_qos_0 == batch.count:
        if count + batch.count <= last and size + batch.size <= end:
            return batch, 0
        first = batch.first(last - count, end - size)
        return first, batch.count - (0 if first is None else first.count)
    fitting = []
    dropped = 0
    for message in batch.messages:
        is_qos_0 = message.qos == 0 or qos == 0
        if is_qos_0 and away:
            continue
        end, last = (half, most // 2) if is_qos_0 else (top, most)
        message_size = size_of(message) + MESSAGE
        if count >= last or size + message_size > end:
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
