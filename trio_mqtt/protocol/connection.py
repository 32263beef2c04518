"""What one end of a connection may receive and send now, and what each end told the other.

Bytes in, packets out; packets in, bytes out. No socket, no clock. Here is what both ends have in
common; `ServerConnection` is a broker's end, `ClientConnection` a client's.
"""

from __future__ import annotations

from trio_mqtt.errors import LocalProtocolError, RemoteProtocolError, without_frames
from trio_mqtt.protocol.ack_runs import consecutive_acks
from trio_mqtt.protocol.authentication import NO_METHOD, OTHER_METHOD, Authentication
from trio_mqtt.protocol.decoding import ALONE_PUBACK, PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    AckRun,
    Auth,
    ConnAck,
    Connect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PublishRun,
    PubRec,
    PubRel,
)
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.states import State
from trio_mqtt.protocol.wire import MAX_PACKET_SIZE

# What may come at any time while connected, and as often as the peer likes.
_UNCHECKED: frozenset[type[Packet]] = frozenset(
    {PublishRun, PubAck, PubRec, PubRel, PubComp, AckRun}
)

_CONNECTED = State.CONNECTED


class ProtocolConnection:
    """What both ends have in common."""

    def __init__(
        self,
        decoder: PacketDecoder,
        *,
        receive_maximum: int = 65_535,
        topic_alias_maximum: int = 0,
    ) -> None:
        # These are for others to read, at every read from the network; methods change them.
        self.state = State.OPENED
        self.violation: RemoteProtocolError | None = None
        # Whether more packets may have come than the last `receive` has returned: `receive(b"")`
        # goes on with them.
        self.pending = False
        # The bytes that have come of a packet which is not whole yet.
        self.unfinished = 0
        # What this end told, and holds the peer to.
        self.receive_maximum = receive_maximum
        self.topic_alias_maximum = topic_alias_maximum
        self._unacknowledged = 0
        # What the peer told, and this end keeps to.
        self.peer_receive_maximum = 65_535
        self.peer_maximum_packet_size = MAX_PACKET_SIZE
        self.peer_topic_alias_maximum = 0
        self._decoder = decoder
        self._aliases: dict[int, str] = {}
        # Keys alone: an empty set takes three times the memory of an empty dictionary.
        self._sent_aliases: dict[int, None] = {}
        # What CONNECT said and later packets are held to.
        self._clean_start = True
        self._expires_at_once = True
        # None where CONNECT names no authentication method.
        self._authentication: Authentication | None = None
        self._unchecked = _UNCHECKED

    @property
    def version(self) -> ProtocolVersion:
        """The protocol version in use; MQTT 5 until CONNECT says otherwise."""
        return self._decoder.version or ProtocolVersion.V5

    @property
    def unacknowledged(self) -> int:
        """How many messages of QoS 1 and 2 were received here and are not acknowledged (§4.9)."""
        return self._unacknowledged

    def acknowledged(self, count: int = 1) -> None:
        """So many messages no longer count: PUBACK, PUBCOMP or a refusing PUBREC answers them.

        A message of QoS 2 that an earlier connection has brought was not counted on this one.
        """
        left = self._unacknowledged - count
        self._unacknowledged = left if left > 0 else 0

    def violated(self, error: RemoteProtocolError) -> None:
        """Whoever handles the packets has found that one breaks the rules: nothing follows it.

        What `receive` may have found comes after that.
        """
        self.violation = without_frames(error)
        self.pending = False

    def receive(self, data: bytes) -> list[Packet]:
        """The packets that `data` completes and that the rules allow, in order.

        Where the peer breaks the rules, the packets before that are returned and `violation` is
        the error that says what it did, with the reason code to answer.
        """
        if self.violation is not None:
            return []
        decoder = self._decoder
        packets = decoder.feed(data)
        self.violation = decoder.violation
        self.pending = decoder.pending
        self.unfinished = decoder.held
        for index, packet in enumerate(packets):
            if not isinstance(packet, Publish):
                if type(packet) in self._unchecked and self.state is State.CONNECTED:
                    error = None
                else:
                    error = self._check(packet)
                if isinstance(packet, PublishRun) and packet.qos and error is None:
                    error = self._count(packet)
                    if error is not None:
                        fitting = self.receive_maximum - self._unacknowledged + len(packet)
                        packets[index:] = packet.first(max(0, fitting))
                        index = len(packets)
                if error is None:
                    continue
            elif packet.properties or self.state is not State.CONNECTED:
                error = self._check_publish(packet)
            elif packet.qos:
                self._unacknowledged += 1
                if self._unacknowledged <= self.receive_maximum:
                    continue
                error = self._too_many()
            else:
                continue
            if error is not None:
                self.violation = error
                self.pending = False
                del packets[index:]
                break
        return packets

    def receive_alone(self, data: bytes) -> Publish | None:
        """The PUBLISH of QoS 0 or 1 that `data` is, if it is one and nothing else has to be known.

        None for all else, which `receive` takes: nothing has changed then. That it is nothing of
        another packet is asked here and in the next two at once: most reads pass one of them.
        """
        if (
            self.state is _CONNECTED
            and not self.unfinished
            and not self.pending
            and self.violation is None
        ):
            message = self._decoder.alone(data)
            if message is not None:
                if message.qos:
                    if self._unacknowledged >= self.receive_maximum:
                        return None
                    self._unacknowledged += 1
                return message
        return None

    def receive_puback(self, data: bytes) -> int:
        """The packet identifier of the PUBACK that `data` is, if it is one that says success alone.

        0 for all else, which `receive` takes.
        """
        if (
            len(data) == 4
            and data[0] == ALONE_PUBACK
            and data[1] == 2
            and self.state is _CONNECTED
            and not self.unfinished
            and not self.pending
            and self.violation is None
        ):
            return data[2] << 8 | data[3]
        return 0

    def receive_acks(self, data: bytes) -> range | None:
        """The packet identifiers of acknowledgements, one after the other, if `data` is just that.

        They are of one kind, which its first byte tells, and say success. None for all else, which
        `receive` takes.
        """
        if (
            self.state is not _CONNECTED
            or self.unfinished
            or self.pending
            or self.violation is not None
        ):
            return None
        return consecutive_acks(data)

    @property
    def wanted(self) -> int:
        """The bytes of the packet which is not whole yet, as far as that is known."""
        return self._decoder.wanted

    def forget_unfinished(self) -> None:
        """Nothing more is received: let go of what has come of a packet that has no end."""
        self._decoder.forget_unfinished()
        self.pending = False
        self.unfinished = 0

    def _check(self, packet: Packet) -> RemoteProtocolError | None:
        raise AssertionError("each end checks what it receives")

    def _check_publish(self, packet: Publish) -> RemoteProtocolError | None:
        alias = packet.properties.get("topic_alias")
        error = self._resolve_alias(packet, alias) if alias is not None else None
        if error is None and packet.qos:
            self._unacknowledged += 1
            if self._unacknowledged > self.receive_maximum:
                return self._too_many()
        return error

    def _count(self, run: PublishRun) -> RemoteProtocolError | None:
        """Count the messages of a run of QoS 1 or 2."""
        self._unacknowledged += len(run)
        return self._too_many() if self._unacknowledged > self.receive_maximum else None

    def _too_many(self) -> RemoteProtocolError | None:
        """More is unacknowledged than allowed; MQTT 3 knows no such bound."""
        if self.version != 5:
            return None
        return RemoteProtocolError(
            f"more than {self.receive_maximum} messages are unacknowledged",
            ReasonCode.RECEIVE_MAXIMUM_EXCEEDED,
        )

    def _resolve_alias(self, packet: Publish, alias: int) -> RemoteProtocolError | None:
        """Replace the alias by what it stands for (§3.3.2.3.4): aliases end at this connection."""
        if alias > self.topic_alias_maximum:
            return RemoteProtocolError(
                f"topic alias {alias} is above the maximum of {self.topic_alias_maximum}",
                ReasonCode.TOPIC_ALIAS_INVALID,
            )
        if packet.topic:
            self._aliases[alias] = packet.topic
        elif alias in self._aliases:
            packet.topic = self._aliases[alias]
        else:
            return RemoteProtocolError(f"topic alias {alias} was never set")
        properties = packet.properties.copy()
        del properties["topic_alias"]
        packet.properties = properties
        packet.forget_frame()
        return None

    def _encode(self, packet: Packet) -> bytes:
        data = encode(packet, self.version)
        if len(data) > self.peer_maximum_packet_size:
            raise LocalProtocolError(
                f"a {type(packet).__name__} of {len(data)} bytes is larger than the"
                f" {self.peer_maximum_packet_size} that the peer accepts"
            )
        return data

    def _check_alias_to_send(self, packet: Publish) -> None:
        """Raise LocalProtocolError for an alias that the peer cannot resolve (§3.3.2.3.4)."""
        alias = packet.properties.get("topic_alias", 0)
        if alias > self.peer_topic_alias_maximum:
            raise LocalProtocolError(
                f"The peer accepts topic aliases up to {self.peer_topic_alias_maximum}."
            )
        if alias and not packet.topic and alias not in self._sent_aliases:
            raise LocalProtocolError(f"topic alias {alias} was never set")

    def _opened(self, packet: Connect) -> None:
        """CONNECT was sent or received."""
        self.state = State.CONNECTING
        self._clean_start = packet.clean_start
        properties = packet.properties if self.version == 5 else NO_PROPERTIES
        self._expires_at_once = properties.get("session_expiry_interval", 0) == 0
        method = properties.get("authentication_method")
        self._authentication = None if method is None else Authentication(method)

    def _connack_problem(self, packet: ConnAck) -> str | None:
        """What keeps CONNACK from answering the CONNECT before it, or None."""
        if packet.session_present and self._clean_start and self.version != 3:
            return "CONNACK says session present after a clean start"
        if self._authentication is not None:
            return self._authentication.connack_problem(packet)
        return OTHER_METHOD if "authentication_method" in packet.properties else None

    def _closed_or_connected(self, packet: ConnAck) -> None:
        """CONNACK was sent or received."""
        accepted = packet.reason_code == ReasonCode.SUCCESS
        self.state = State.CONNECTED if accepted else State.DISCONNECTED
        if self._authentication is not None:
            self._authentication.ended()

    def _send_auth(self, packet: Auth, *, from_client: bool) -> bytes:
        authentication = self._authentication
        if authentication is None:
            raise LocalProtocolError(NO_METHOD)
        problem = authentication.problem(packet, self.state, from_client=from_client)
        if problem is not None:
            raise LocalProtocolError(problem)
        data = self._encode(packet)
        authentication.went_on(packet, from_client=from_client)
        return data

    def _receive_auth(self, packet: Auth, *, from_client: bool) -> RemoteProtocolError | None:
        authentication = self._authentication
        if authentication is None:
            return RemoteProtocolError(NO_METHOD)
        problem = authentication.problem(packet, self.state, from_client=from_client)
        if problem is not None:
            return RemoteProtocolError(problem)
        authentication.went_on(packet, from_client=from_client)
        return None

    def _learn(self, properties: Properties) -> None:
        """Keep what CONNECT or CONNACK says about the peer's limits (§3.1.2.11, §3.2.2.3)."""
        self.peer_receive_maximum = properties.get("receive_maximum", 65_535)
        self.peer_maximum_packet_size = properties.get("maximum_packet_size", MAX_PACKET_SIZE)
        self.peer_topic_alias_maximum = properties.get("topic_alias_maximum", 0)
