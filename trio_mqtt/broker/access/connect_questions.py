"""Questions to a program's hooks before a client is let in: of its connection, and its CONNECT."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import trio

from trio_mqtt.broker.access.protocols import (
    AccessRefused,
    ConnectionInfo,
    ConnectRequest,
    Publication,
)
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Connect, Will
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.access.in_force import AccessInForce
    from trio_mqtt.broker.access.protocols import ClientInfo
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.transport.listeners.origin import Origin

logger = logging.getLogger("trio_mqtt.broker")

T = TypeVar("T")

UNDECIDED = AccessRefused(
    ReasonCode.UNSPECIFIED_ERROR, "the broker could not decide whether to let it in"
)


async def refusal_of_connection(
    access: AccessInForce, limits: Limits, origin: Origin, address: str
) -> str | None:
    """Why a connection is not served, as the hooks have it; None where it is."""
    hooks = access.hooks
    if hooks is None:
        return None
    certificate = origin.certificate
    connection = ConnectionInfo(
        address=address,
        listener="" if origin.listener is None else origin.listener.url,
        is_encrypted=origin.is_encrypted,
        certificate_name=None if certificate is None else certificate.common_name,
        certificate_subject=None if certificate is None else certificate.subject,
        upgrade=origin.upgrade,
    )
    # It is a program's: what it returns may be anything.
    decided: object = await _within(hooks.accept(connection), "accept", address, access, limits)
    if decided is None:
        return None
    if not isinstance(decided, AccessRefused):
        logger.error("accept returned for %s what is neither None nor AccessRefused", address)
        decided = UNDECIDED
    return decided.reason or "the program's hook does not serve it"


async def connect_as_decided(
    access: AccessInForce, limits: Limits, client: ClientInfo, connect: Connect
) -> Connect | AccessRefused:
    """What holds in place of a CONNECT, as the hooks have it; the same where they change nothing.

    What they make of it has to be a CONNECT as well, and one that the broker would take.
    """
    hooks = access.hooks
    if hooks is None:
        return connect
    will = connect.will
    offered = ConnectRequest(
        connect.client_id,
        connect.keep_alive,
        None
        if will is None
        else Publication(will.topic, will.payload, will.qos, will.retain, will.properties),
    )
    decided = await _within(
        hooks.authorize_connect(client, offered),
        "authorize_connect",
        client.address,
        access,
        limits,
    )
    if decided is offered:
        return connect
    if isinstance(decided, AccessRefused):
        return decided
    changed, problem = _changed(connect, decided, limits)
    if changed is None:
        logger.error("authorize_connect returned for %s what %s", client.address, problem)
        return UNDECIDED
    return changed


async def _within(
    answer: Awaitable[T], name: str, address: str, access: AccessInForce, limits: Limits
) -> T | AccessRefused:
    """What a hook answers, within its time."""
    timeout = limits.hook_timeout
    with trio.move_on_after(timeout):
        try:
            return await answer
        except Exception:
            logger.exception("%s failed for %s", name, address)
            return UNDECIDED
    access.statistics.hooks_timed_out += 1
    logger.warning("%s took more than %g s for %s", name, timeout, address)
    return UNDECIDED


def _changed(connect: Connect, request: object, limits: Limits) -> tuple[Connect | None, str]:
    """A CONNECT that asks for what a hook has made of it; None if there is none, and why."""
    if not isinstance(request, ConnectRequest):
        return None, "is no ConnectRequest"
    will = None
    decided: object = request.will
    if decided is not None:
        if not isinstance(decided, Publication):
            return None, "has a will that is no Publication"
        will = Will(decided.topic, decided.payload, decided.qos, decided.retain, decided.properties)
    try:
        keep_alive = _keep_alive(connect, request.keep_alive)
        changed = replace(connect, client_id=request.client_id, keep_alive=keep_alive, will=will)
        # As MQTT 5 has it, whatever the client speaks: that has a place for all that hooks can say.
        size = len(
            encode(
                replace(
                    changed,
                    protocol_version=ProtocolVersion.V5,
                    clean_start=True,
                    is_bridge=False,
                ),
                ProtocolVersion.V5,
            )
        )
    except (LocalProtocolError, TypeError, AttributeError) as error:
        return None, f"cannot be a CONNECT: {error}"
    if size > limits.maximum_packet_size:
        return None, "is larger than the maximum packet size"
    return changed, ""


def _keep_alive(connect: Connect, wanted: int) -> int:
    """The keep alive that holds: a client of MQTT 3 does not hear that it is to be shorter."""
    if connect.protocol_version == ProtocolVersion.V5 or wanted == 0:
        return wanted
    return max(connect.keep_alive, wanted) if connect.keep_alive else 0
