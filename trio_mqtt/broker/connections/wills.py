"""The will that CONNECT brings: whether the client may publish it, and there is room for it
(MQTT 5.0 §3.1.2.5).
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from trio_mqtt.broker.access.protocols import AccessRefused
from trio_mqtt.broker.connections.connack import refusal
from trio_mqtt.broker.connections.mounting import mounted_will
from trio_mqtt.broker.sessions.delivery_state import session_key
from trio_mqtt.broker.sessions.room import holder_of
from trio_mqtt.protocol.packets import ConnAck, Connect, Will
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.access.identity import Identity
    from trio_mqtt.broker.connections.link import Link

NO_WILL = "the client may not publish its will"
# Mosquitto's bridges leave here, unasked, whether they are connected. It goes nowhere in this
# broker, but to refuse it would keep them out.
_BRIDGE_STATE = re.compile(r"\$SYS/broker/connection/.+/state")


async def check_will(
    link: Link, connect: Connect, will: Will, identity: Identity
) -> ConnAck | None:
    """The refusal of a will that the client may not publish; a hook may change it instead."""
    core, access = link.core, link.access
    if link.mount_point:
        mounted = mounted_will(link.mount_point, will)
        if mounted is None:
            return refusal(ReasonCode.TOPIC_NAME_INVALID, f"{NO_WILL}: its topic is too long")
        connect.will = will = mounted
    questions = access.hook_questions(identity.client, link.settings.hooks)
    if questions is not None and access.asks_publish:
        decided = await questions.publish(will)
        if isinstance(decided, AccessRefused):
            reason = decided.reason or NO_WILL
            rule = f"the program's hook: {reason}"
            access.refusals.record(identity.client, "will", will.topic, rule=rule)
            link.by_access = True
            return refusal(decided.reason_code, reason)
        if decided is not None:
            connect.will = will = Will(
                decided.topic,
                decided.payload,
                decided.qos,
                decided.retain,
                decided.properties,
            )
    permissions = access.permissions(identity.client, identity.rules)
    if permissions is not None and not permissions.may_publish(will.topic):
        permissions.tell_refused("will", will.topic)
        link.by_access = True
        return refusal(ReasonCode.NOT_AUTHORIZED, NO_WILL)
    reserved = core.reserved_because(will.topic)
    if reserved:
        access.refusals.record(identity.client, "will", will.topic, rule=reserved)
        if not _BRIDGE_STATE.fullmatch(will.topic):
            link.by_access = True
            return refusal(ReasonCode.TOPIC_NAME_INVALID, f"{NO_WILL}: {reserved}")
    return None


def room_for_will(
    link: Link, will: Will | None, client_id: str, user: str | None
) -> AbstractContextManager[str | None]:
    """Room for the will that CONNECT brings, while its client gets its session; gives why there is
    none, for CONNACK, or None. `user` is the one that the client has proved to be.
    """
    if will is None:
        return nullcontext()
    core, holder = link.core, holder_of(user, link.stream.peer)
    session = core.sessions.get(session_key(client_id, link.mount_point))
    replaced = session.will if session is not None and session.holder == holder else None
    return core.will_room.coming(will, holder, replaced)
