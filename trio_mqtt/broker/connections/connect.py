"""The answer to CONNECT: who the client is, and what CONNACK says (MQTT 5.0 §3.1.4, §3.2)."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.access.credentials import Credentials
from trio_mqtt.broker.access.protocols import (
    AccessRefused,
    Authenticated,
    AuthenticationRefused,
    ClientInfo,
)
from trio_mqtt.broker.connections.auth_exchange import Authentication
from trio_mqtt.broker.connections.hook_gate import Gate
from trio_mqtt.errors import LocalProtocolError, RemoteProtocolError, UnsupportedVersionError
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.packets import ConnAck, Connect, Packet, Will
from trio_mqtt.protocol.reason_codes import ALLOWED, ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.access.identity import Identity
    from trio_mqtt.broker.connections.connection import Connection

NO_WILL = "the client may not publish its will"
TOO_MANY_CONNECTIONS = "its address has as many connections as one may have"
# Mosquitto's bridges leave here, unasked, whether they are connected. It goes nowhere in this
# broker, but to refuse it would keep them out.
_BRIDGE_STATE = re.compile(r"\$SYS/broker/connection/.+/state")
# Answers that refuse nobody, but send to another server.
_ELSEWHERE = (ReasonCode.USE_ANOTHER_SERVER, ReasonCode.SERVER_MOVED)


async def receive_first(connection: Connection) -> list[Packet]:
    """What comes with CONNECT, and CONNECT first; nothing if it does not come."""
    while True:
        await connection.stream.readable()
        data = connection.stream.receive_nowait()
        if data is None:
            continue
        if not data:
            connection.lost("it closed the connection before CONNECT")
            return []
        connection.broker.statistics.bytes_received += len(data)
        packets = connection.protocol.receive(data)
        if not connection.count_unfinished():
            return []
        if packets:
            return packets
        if connection.protocol.violation is not None:
            _refuse_violation(connection, connection.protocol.violation)
            return []


def _refuse_violation(connection: Connection, error: RemoteProtocolError) -> None:
    """A first packet that is no right CONNECT: closed without a word, unless those are known."""
    if isinstance(error, UnsupportedVersionError):
        # Without words: what it said about them, and about its limits, is not understood.
        answer = encode(ConnAck(reason_code=error.reason_code), error.answer_version)
    else:
        code = allowed(error.reason_code, PacketType.CONNACK)
        answer = connection.protocol.refusal(code, str(error))
    if answer:
        connection.broker.statistics.other_packets_sent += 1
        connection.outlet.write(answer)
    connection.lost(str(error))


async def authenticate(connection: Connection, connect: Connect) -> ConnAck | None:
    """Find out who the client is, and give it its session; the answer to its CONNECT.

    None if the connection has ended meanwhile.
    """
    if connection.is_one_too_many:
        return _refused(connection, connect, ReasonCode.QUOTA_EXCEEDED, TOO_MANY_CONNECTIONS)
    method = connect.properties.get("authentication_method")
    if method is None:
        if connection.broker.authentication_required:
            return _refused(
                connection,
                connect,
                ReasonCode.NOT_AUTHORIZED,
                "this broker asks for an authentication method",
            )
        return await _admit(connection, connect, None)
    authenticator = connection.broker.authenticators.get(method)
    if authenticator is None:
        return _refused(
            connection,
            connect,
            ReasonCode.BAD_AUTHENTICATION_METHOD,
            "this broker does not offer that authentication method",
        )
    connection.authentication = Authentication(connection, method, authenticator)
    outcome = await connection.authentication.before_connack(connect)
    if outcome is None:
        return None
    if not isinstance(outcome, Authenticated):
        return _refused(connection, connect, outcome.reason_code, outcome.reason)
    if outcome.username is not None:
        connection.username = outcome.username
    answer = await _admit(connection, connect, outcome)
    if not answer.reason_code.is_failure:
        answer.properties = {
            **answer.properties, **connection.authentication.properties(outcome.data)
        }  # fmt: skip
    return answer


async def _admit(
    connection: Connection, connect: Connect, outcome: Authenticated | None
) -> ConnAck:
    """Check what the client shows, and its will; then give it its session."""
    broker = connection.broker
    credentials = Credentials(
        connect,
        username=connection.username,
        origin=connection.stream.origin,
        address=connection.stream.peer,
        access=broker.access,
        limits=broker.limits,
        answer_by=connection.connect_by,
        meanwhile=None if connection.said_more else partial(_end_if_it_leaves, connection),
    )
    identity = await credentials.check(outcome)
    if isinstance(identity, AuthenticationRefused):
        return _refused(connection, connect, identity.reason_code, identity.reason)
    if connect.will is not None:
        refused = await _check_will(connection, connect, connect.will, identity)
        if refused is not None:
            return refused
    if not broker.access.still_knows(identity):
        # The files were read again meanwhile. From here on that ends the connection.
        reason = "its password is no longer valid"
        return _refused(connection, connect, ReasonCode.NOT_AUTHORIZED, reason)
    connection.username = identity.client.username
    connection.identity = identity
    answer = await broker.sessions.accept(connection, connect)
    if answer.reason_code.is_failure and answer.reason_code not in _ELSEWHERE:
        reason = answer.properties.get("reason_string", answer.reason_code.sentence)
        broker.access.refusals.record(identity.client, "connect", rule=reason)
    return answer


async def _end_if_it_leaves(connection: Connection) -> None:
    """Hear a client that waits for CONNACK: once it has gone, nothing is done for it any more.

    One that has gone on speaking may have said all that it wanted when it closes its side.
    """
    stream = connection.stream
    while True:
        try:
            await stream.readable()
            data = stream.receive_nowait()
        except trio.BrokenResourceError:
            data = b""
        if data:
            connection.broker.statistics.bytes_received += len(data)
            connection.early = data
            return
        if data is not None:
            connection.lost("it closed the connection before it was accepted")
            return


async def _check_will(
    connection: Connection, connect: Connect, will: Will, identity: Identity
) -> ConnAck | None:
    """The refusal of a will that the client may not publish; a hook may change it instead."""
    access = connection.broker.access
    if access.hooks is not None and access.asks_publish:
        decided = await Gate(connection, access.hooks, identity.client).publish(will)
        if isinstance(decided, AccessRefused):
            reason = decided.reason or NO_WILL
            rule = f"the program's hook: {reason}"
            access.refusals.record(identity.client, "will", will.topic, rule=rule)
            return _refusal(decided.reason_code, reason)
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
        return _refusal(ReasonCode.NOT_AUTHORIZED, NO_WILL)
    reserved = connection.broker.reserved_because(will.topic)
    if reserved:
        access.refusals.record(identity.client, "will", will.topic, rule=reserved)
        if not _BRIDGE_STATE.fullmatch(will.topic):
            return _refusal(ReasonCode.TOPIC_NAME_INVALID, f"{NO_WILL}: {reserved}")
    return None


def within_limit(connection: Connection, answer: ConnAck) -> bytes:
    """The bytes of CONNACK, without what it can do without where the client takes so little."""
    try:
        return connection.encoded(answer)
    except LocalProtocolError:
        # Too large for this client: without what is only for people (§3.2.2.3.9).
        answer.properties = answer.properties.copy()
        answer.properties.pop("reason_string", None)
    try:
        return connection.encoded(answer)
    except LocalProtocolError:
        # And without what it can do without.
        answer.properties.pop("response_information", None)
        answer.properties.pop("server_reference", None)
    try:
        return connection.encoded(answer)
    except LocalProtocolError as error:
        raise RemoteProtocolError(
            "it accepts only packets that are too small for CONNACK",
            ReasonCode.PACKET_TOO_LARGE,
        ) from error


def _refused(connection: Connection, connect: Connect, code: ReasonCode, reason: str) -> ConnAck:
    """The answer to a client that is not let in, which the log has too."""
    client = ClientInfo(
        client_id=connect.client_id,
        username=connection.username,
        address=connection.stream.peer,
        protocol_version=connect.protocol_version.text,
    )
    connection.broker.access.refusals.record(client, "connect", rule=reason or code.sentence)
    return _refusal(code, reason)


def _refusal(code: ReasonCode, reason: str) -> ConnAck:
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
