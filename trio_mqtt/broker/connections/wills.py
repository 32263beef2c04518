"""Whether a client may publish the will that CONNECT brings (MQTT 5.0 §3.1.2.5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trio_mqtt.broker.access.protocols import AccessRefused
from trio_mqtt.broker.connections.connack import refusal
from trio_mqtt.broker.connections.mounting import mounted_will
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
