"""One class for each control packet (MQTT 5.0 §3), with the standard's field names.

The classes hold values and nothing else; `decoding` and `encoding` turn bytes into them and back.
They serve all protocol versions: what a version does not have keeps its default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.publish import Publish as Publish
from trio_mqtt.protocol.publish import PublishRun as PublishRun
from trio_mqtt.protocol.reason_codes import ReasonCode


def _no_properties() -> Properties:
    return NO_PROPERTIES


@dataclass(slots=True)
class Will:
    """The message that the server publishes when the connection ends unexpectedly (§3.1.2.5)."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class Connect:
    """Connection request (§3.1). `keep_alive` is in seconds, 0 turns it off.

    `is_bridge` is the highest bit of the level, by which bridges of MQTT 3 ask for no local and
    retain as published in all that they subscribe to. No standard has it.
    """

    client_id: str = ""
    clean_start: bool = True
    keep_alive: int = 60
    protocol_version: ProtocolVersion = ProtocolVersion.V5
    will: Will | None = None
    username: str | None = None
    password: bytes | None = None
    properties: Properties = field(default_factory=_no_properties)
    is_bridge: bool = False


@dataclass(slots=True)
class ConnAck:
    """Connect acknowledgement (§3.2). MQTT 3 return codes are given as reason codes."""

    session_present: bool = False
    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class PubAck:
    """QoS 1 acknowledgement (§3.4)."""

    packet_id: int
    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class PubRec:
    """QoS 2, first answer: received (§3.5)."""

    packet_id: int
    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class PubRel:
    """QoS 2, the sender releases the packet identifier (§3.6)."""

    packet_id: int
    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class PubComp:
    """QoS 2, complete (§3.7)."""

    packet_id: int
    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class AckRun:
    """Consecutive acknowledgements of one kind that say success, where a decoder is asked for runs.

    `kind` is PUBACK, PUBREC, PUBREL or PUBCOMP. The packet identifiers are a range where they are
    consecutive, and more than one.
    """

    kind: PacketType
    packet_ids: Sequence[int]


@dataclass(slots=True)
class Subscription:
    """A topic filter and its subscription options (§3.8.3)."""

    topic_filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


@dataclass(slots=True)
class Subscribe:
    """Subscribe request (§3.8)."""

    packet_id: int
    subscriptions: list[Subscription]
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class SubAck:
    """Subscribe acknowledgement (§3.9): one reason code for each subscription, in order."""

    packet_id: int
    reason_codes: list[ReasonCode]
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class Unsubscribe:
    """Unsubscribe request (§3.10)."""

    packet_id: int
    topic_filters: list[str]
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class UnsubAck:
    """Unsubscribe acknowledgement (§3.11). MQTT 3 has no reason codes here: the list is empty."""

    packet_id: int
    reason_codes: list[ReasonCode] = field(default_factory=list)
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class PingReq:
    """PING request (§3.12)."""


@dataclass(slots=True)
class PingResp:
    """PING response (§3.13)."""


@dataclass(slots=True)
class Disconnect:
    """Disconnect notification (§3.14)."""

    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = field(default_factory=_no_properties)


@dataclass(slots=True)
class Auth:
    """Authentication exchange, MQTT 5.0 only (§3.15)."""

    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = field(default_factory=_no_properties)


Packet = (
    Connect
    | ConnAck
    | Publish
    | PublishRun
    | PubAck
    | PubRec
    | PubRel
    | PubComp
    | AckRun
    | Subscribe
    | SubAck
    | Unsubscribe
    | UnsubAck
    | PingReq
    | PingResp
    | Disconnect
    | Auth
)
