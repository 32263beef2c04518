"""What CONNACK says: that a client is refused, or what holds for one that is let in (§3.2)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trio_mqtt.broker.connections.offers import unoffered_message
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect, Packet
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ALLOWED, ReasonCode
from trio_mqtt.protocol.topics import topic_name_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.options import BrokerOptions
    from trio_mqtt.broker.successors import Successors


def refusal(code: ReasonCode, reason: str) -> ConnAck:
    """CONNACK that refuses a client, with the reason in words if there is one."""
    answer = ConnAck(reason_code=allowed(code, PacketType.CONNACK))
    if reason:
        answer.properties = {"reason_string": reason}
    return answer


def allowed(code: ReasonCode, kind: PacketType) -> ReasonCode:
    """The nearest reason code that a packet of this kind may carry (§3.2.2.2, §3.14.2.1)."""
    if code in ALLOWED[kind]:
        return code
    if code in (ReasonCode.SESSION_TAKEN_OVER, ReasonCode.SERVER_SHUTTING_DOWN):
        return ReasonCode.SERVER_UNAVAILABLE
    return ReasonCode.PROTOCOL_ERROR


def redirection(moved: bool) -> ReasonCode:
    """The reason code that sends a client to another server, for good or for now (§4.11)."""
    return ReasonCode.SERVER_MOVED if moved else ReasonCode.USE_ANOTHER_SERVER


def sent_away(successors: Successors) -> ConnAck:
    """The answer to a client that comes to a broker which gives all of them up."""
    reference = successors.next()
    if reference is None:
        return refusal(ReasonCode.SERVER_UNAVAILABLE, "this broker takes no more clients")
    return ConnAck(
        reason_code=redirection(successors.has_moved),
        properties={
            "server_reference": reference,
            "reason_string": f"this broker takes no more clients: it is sent to {reference}",
        },
    )


def refusal_of(
    connect: Connect, asked: Connect, limits: Limits, options: BrokerOptions
) -> ConnAck | None:
    """The answer to a CONNECT that no client of this broker may send, whoever it is.

    `asked` is what came, `connect` what the program's hooks have made of it.
    """
    if options.server_reference is not None:
        return ConnAck(
            reason_code=redirection(options.server_moved),
            properties={
                "server_reference": options.server_reference,
                "reason_string": "this broker's clients are served by another",
            },
        )
    version = connect.protocol_version
    client_id = connect.client_id
    problem = None
    code = ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
    if version == ProtocolVersion.V31 and not 1 <= len(asked.client_id) <= 23:
        problem = "a client identifier of MQTT 3.1 has 1 to 23 characters"
    elif not (asked.client_id or connect.clean_start) and version != ProtocolVersion.V5:
        problem = "a session that is to be kept needs a client identifier"
    elif len(client_id) > limits.maximum_client_identifier:
        problem = (
            f"the client identifier has more than {limits.maximum_client_identifier} characters"
        )
    elif not keep_alive_fits(connect, limits):
        problem = f"its keep alive is not from 1 to {limits.maximum_keep_alive_mqtt_3:g} s"
    elif connect.will is not None:
        unoffered = unoffered_message(connect.will, options)
        if unoffered is not None:
            code, problem = unoffered
    if problem is None:
        return None
    return ConnAck(reason_code=code, properties={"reason_string": problem})


def keep_alive_fits(connect: Connect, limits: Limits) -> bool:
    """Whether a client may have the keep alive that it asks for; 0 is none (§3.1.2.10).

    One of MQTT 5 is told another.
    """
    return (
        connect.protocol_version == ProtocolVersion.V5
        or (connect.keep_alive or math.inf) <= limits.maximum_keep_alive_mqtt_3
    )


def terms(
    connect: Connect, asked: Connect, client_id: str, limits: Limits, options: BrokerOptions
) -> tuple[int, Properties]:
    """The session expiry interval that a client gets (§3.1.2.11.2), and what CONNACK tells it.

    That is what differs from what it `asked` for, or from what MQTT 5 supposes (§3.2.2.3).
    `connect` is what the program's hooks have made of that.
    """
    properties: Properties = {}
    if not asked.client_id:
        properties["assigned_client_identifier"] = client_id
    longest = limits.maximum_session_expiry
    if connect.protocol_version != ProtocolVersion.V5:
        return 0 if connect.clean_start else longest, properties
    expiry_interval = connect.properties.get("session_expiry_interval", 0)
    if expiry_interval > longest:
        properties["session_expiry_interval"] = expiry_interval = longest
    properties["receive_maximum"] = limits.receive_maximum
    properties["maximum_packet_size"] = limits.maximum_packet_size
    if limits.topic_alias_maximum:
        properties["topic_alias_maximum"] = limits.topic_alias_maximum
    if options.maximum_qos < 2:
        properties["maximum_qos"] = options.maximum_qos
    if not options.retain_available:
        properties["retain_available"] = 0
    if not options.wildcard_subscription_available:
        properties["wildcard_subscription_available"] = 0
    if not options.subscription_identifier_available:
        properties["subscription_identifier_available"] = 0
    if not options.shared_subscription_available:
        properties["shared_subscription_available"] = 0
    prefix = options.response_topic_prefix
    if prefix is not None and connect.properties.get("request_response_information") == 1:
        start = prefix + client_id
        if topic_name_problem(start) is None:
            properties["response_information"] = start
    keep_alive = connect.keep_alive
    if keep_alive == 0 or keep_alive > limits.maximum_keep_alive:
        keep_alive = limits.maximum_keep_alive
    if keep_alive != asked.keep_alive:
        properties["server_keep_alive"] = keep_alive
    return expiry_interval, properties


def fitting(answer: ConnAck, encoded: Callable[[Packet], bytes]) -> bytes:
    """The bytes of a CONNACK, without what it can do without where it is too large for its client.

    Nothing where that is too large as well. `encoded` raises LocalProtocolError for what is too
    large, or gives nothing.
    """
    data = _encoded(answer, encoded)
    if data:
        return data
    properties = answer.properties = answer.properties.copy()
    properties.pop("reason_string", None)  # it is only for people (§3.2.2.3.9)
    data = _encoded(answer, encoded)
    if data:
        return data
    properties.pop("response_information", None)
    properties.pop("server_reference", None)
    return _encoded(answer, encoded)


def _encoded(answer: ConnAck, encoded: Callable[[Packet], bytes]) -> bytes:
    try:
        return encoded(answer)
    except LocalProtocolError:
        return b""
