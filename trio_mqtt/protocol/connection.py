"""What one end of a connection may receive and send now, and what each end told the other.

Bytes in, packets out; packets in, bytes out. No socket, no clock. `ServerConnection` is a broker's
end, `ClientConnection` a client's.
"""

from __future__ import annotations

from enum import Enum

from trio_mqtt.errors import LocalProtocolError, RemoteProtocolError, without_frames
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode, encode_message_properties, encode_topic_name
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubAckRun,
    PubComp,
    Publish,
    PublishRun,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.topics import has_wildcard, parse_shared
from trio_mqtt.protocol.wire import (
    MAX_REPETITIONS,
    MAX_VARIABLE_BYTE_INTEGER,
    encode_variable_byte_integer,
)

MAX_PACKET_SIZE = MAX_VARIABLE_BYTE_INTEGER + 5


class State(Enum):
    """How far a connection has come."""

    OPENED = "opened"  # nothing sent or received
    CONNECTING = "connecting"  # CONNECT is on its way or received, CONNACK is not
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"  # DISCONNECT or a refusal was sent or received


_ACKS: frozenset[type[Packet]] = frozenset({PubAck, PubRec, PubRel, PubComp})
_KIND_OF_RUN: dict[type[Packet], type[Packet]] = {PublishRun: Publish, PubAckRun: PubAck}
# What may come at any time while connected, and as often as the peer likes.
_UNCHECKED: frozenset[type[Packet]] = frozenset({PublishRun, PubAck, PubAckRun, PubComp})
_FROM_CLIENT: frozenset[type[Packet]] = _ACKS | {
    Publish,
    Subscribe,
    Unsubscribe,
    PingReq,
    Disconnect,
}
_FROM_SERVER: frozenset[type[Packet]] = _ACKS | {Publish, SubAck, UnsubAck, PingResp, Disconnect}

# The transitions: what each side may send in each state (MQTT 5.0 §3.1 to §3.15, "direction").
# A client may send on before CONNACK (§3.1.4), unless it authenticates by method (§3.1.2.11.9).
# When AUTH may be sent depends on the AUTH before it: `_auth_problem` says.
CLIENT_MAY_SEND: dict[State, frozenset[type[Packet]]] = {
    State.OPENED: frozenset({Connect}),
    State.CONNECTING: _FROM_CLIENT,
    State.CONNECTED: _FROM_CLIENT,
    State.DISCONNECTED: frozenset(),
}
SERVER_MAY_SEND: dict[State, frozenset[type[Packet]]] = {
    State.OPENED: frozenset(),
    State.CONNECTING: frozenset({ConnAck}),
    State.CONNECTED: _FROM_SERVER,
    State.DISCONNECTED: frozenset(),
}


class _Connection:
    """What both ends have in common."""

    def __init__(
        self,
        decoder: PacketDecoder,
        *,
        receive_maximum: int = 65_535,
        topic_alias_maximum: int = 0,
    ) -> None:
        # These two are for others to read, at every read from the network; methods change them.
        self.state = State.OPENED
        self.violation: RemoteProtocolError | None = None
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
        self._sent_aliases: set[int] = set()
        # What CONNECT said and later packets are held to.
        self._clean_start = True
        self._expires_at_once = True
        self._method: str | None = None
        self._authenticating = False  # a method was named, and CONNACK is still to come
        self._reauthenticating = False  # the client has begun again, and is not told the end yet
        self._challenged = False  # the server's AUTH waits for the client's
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

    @property
    def pending(self) -> bool:
        """Whether more packets may have come than the last `receive` has returned.

        Then `receive(b"")` goes on with them.
        """
        return self._decoder.pending and self.violation is None

    def receive(self, data: bytes) -> list[Packet]:
        """The packets that `data` completes and that the rules allow, in order.

        Where the peer breaks the rules, the packets before that are returned and `violation` is
        the error that says what it did, with the reason code to answer.
        """
        if self.violation is not None:
            return []
        packets = self._decoder.feed(data)
        self.violation = self._decoder.violation
        if (
            len(packets) == 1
            and type(packets[0]) in self._unchecked
            and self.state is State.CONNECTED
        ):
            return packets
        for index, packet in enumerate(packets):
            if not isinstance(packet, Publish):
                if type(packet) in self._unchecked and self.state is State.CONNECTED:
                    continue
                error = self._check(packet)
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
                del packets[index:]
                break
        return packets

    @property
    def unfinished(self) -> int:
        """The bytes that have come of a packet which is not whole yet."""
        return self._decoder.held

    def forget_unfinished(self) -> None:
        """Nothing more is received: let go of what has come of a packet that has no end."""
        self._decoder.forget_unfinished()

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
        self._method = properties.get("authentication_method")
        self._authenticating = self._method is not None

    def _connack_problem(self, packet: ConnAck) -> str | None:
        """What keeps CONNACK from answering the CONNECT before it, or None."""
        if packet.session_present and self._clean_start and self.version != 3:
            return "CONNACK says session present after a clean start"
        method = packet.properties.get("authentication_method")
        if method != self._method and not (method is None and packet.reason_code.is_failure):
            return "CONNACK does not name the authentication method of CONNECT"
        return None

    def _closed_or_connected(self, packet: ConnAck) -> None:
        """CONNACK was sent or received."""
        self.state = State.DISCONNECTED if packet.reason_code.is_failure else State.CONNECTED
        self._authenticating = self._challenged = False

    def _auth_problem(self, packet: Auth, *, from_client: bool) -> str | None:
        """What keeps AUTH from being sent now, or None (§4.12).

        The two take turns: the server continues, the client answers that, and so on until CONNACK,
        or until AUTH says success where it was the client who began again.
        """
        code = packet.reason_code
        if self._method is None:
            return "AUTH must not be sent, as CONNECT named no authentication method"
        if from_client:
            allowed = (code == ReasonCode.CONTINUE_AUTHENTICATION and self._challenged) or (
                code == ReasonCode.RE_AUTHENTICATE
                and self.state is State.CONNECTED
                and not self._reauthenticating
            )
        else:
            allowed = not self._challenged and (
                (code == ReasonCode.SUCCESS and self._reauthenticating)
                or (
                    code == ReasonCode.CONTINUE_AUTHENTICATION
                    and (self._authenticating or self._reauthenticating)
                )
            )
        if not allowed or self.state is State.DISCONNECTED:
            return f"AUTH ({code.sentence}) must not be sent now"
        # Success without properties has no place for the method (§3.15.2.1).
        if packet.properties.get("authentication_method") != self._method and (
            packet.properties or code != ReasonCode.SUCCESS
        ):
            return "AUTH does not name the authentication method of CONNECT"
        return None

    def _send_auth(self, packet: Auth, *, from_client: bool) -> bytes:
        problem = self._auth_problem(packet, from_client=from_client)
        if problem is not None:
            raise LocalProtocolError(problem)
        data = self._encode(packet)
        self._authenticated(packet, from_client=from_client)
        return data

    def _receive_auth(self, packet: Auth, *, from_client: bool) -> RemoteProtocolError | None:
        problem = self._auth_problem(packet, from_client=from_client)
        if problem is not None:
            return RemoteProtocolError(problem)
        self._authenticated(packet, from_client=from_client)
        return None

    def _authenticated(self, packet: Auth, *, from_client: bool) -> None:
        """AUTH was sent or received."""
        self._challenged = not from_client and packet.reason_code != ReasonCode.SUCCESS
        if packet.reason_code != ReasonCode.CONTINUE_AUTHENTICATION:
            self._reauthenticating = packet.reason_code == ReasonCode.RE_AUTHENTICATE

    def _learn(self, properties: Properties) -> None:
        """Keep what CONNECT or CONNACK says about the peer's limits (§3.1.2.11, §3.2.2.3)."""
        self.peer_receive_maximum = properties.get("receive_maximum", 65_535)
        self.peer_maximum_packet_size = properties.get("maximum_packet_size", MAX_PACKET_SIZE)
        self.peer_topic_alias_maximum = properties.get("topic_alias_maximum", 0)


class ServerConnection(_Connection):
    """A broker's end of one connection.

    `maximum_packet_size` bounds what is held before CONNECT is accepted, in bytes; raise it with
    `accept_packets_of` afterwards. `maximum_user_properties` is for one packet or will. `runs` and
    the bounds after it are the decoder's.
    """

    def __init__(
        self,
        *,
        maximum_packet_size: int,
        receive_maximum: int,
        topic_alias_maximum: int,
        runs: bool = False,
        maximum_packet_size_later: int | None = None,
        maximum_user_properties: int = MAX_REPETITIONS,
        packets_at_once: int | None = None,
        maximum_filters: int | None = None,
        maximum_request_size: int | None = None,
    ) -> None:
        super().__init__(
            PacketDecoder(
                PacketType.CONNECT,
                None,
                maximum_packet_size,
                runs=runs,
                maximum_packet_size_later=maximum_packet_size_later,
                # What else repeats, a client must not send more than once.
                maximum_repetitions=maximum_user_properties,
                packets_at_once=packets_at_once,
                maximum_filters=maximum_filters,
                maximum_request_size=maximum_request_size,
            ),
            receive_maximum=receive_maximum,
            topic_alias_maximum=topic_alias_maximum,
        )

    def accept_packets_of(self, maximum_packet_size: int) -> None:
        """From now on, packets of up to so many bytes are received.

        One that is larger and has begun to come is a violation.
        """
        self._decoder.maximum_packet_size = maximum_packet_size
        if self._decoder.wanted > maximum_packet_size and self.violation is None:
            self.violation = RemoteProtocolError(
                f"a packet is larger than {maximum_packet_size} bytes",
                ReasonCode.PACKET_TOO_LARGE,
            )

    def refusal(self, reason_code: ReasonCode, reason: str) -> bytes:
        """The bytes that answer a CONNECT that is not right (MQTT 5.0 §3.1.4, §4.13).

        None at all where it names no version whose CONNACK has a code for it. The reason in words
        is left out where its properties cannot be read: they say how large a packet may be.
        """
        if self._decoder.violation is None or self._decoder.version != ProtocolVersion.V5:
            return b""
        self.state = State.DISCONNECTED
        properties: Properties = {}
        opening = self._decoder.opening
        if opening is not None:
            self._learn(opening)
            if reason and opening.get("request_problem_information", 1) == 1:
                properties = {"reason_string": reason}
        for attempt in (properties, NO_PROPERTIES):
            try:
                return self._encode(ConnAck(reason_code=reason_code, properties=attempt))
            except LocalProtocolError:
                continue
        return b""

    def send(self, packet: Packet) -> bytes:
        """The bytes of a packet that the server may send now.

        Raises LocalProtocolError if it may not, or if the client does not accept its size. Refusing
        CONNACK and DISCONNECT end the connection. A message is sent by its shared encoding instead.
        """
        if isinstance(packet, Auth):
            return self._send_auth(packet, from_client=False)
        kind = type(packet)
        if kind not in SERVER_MAY_SEND[self.state]:
            raise LocalProtocolError(
                f"a server must not send {kind.__name__} while {self.state.value}"
            )
        if isinstance(packet, ConnAck):
            problem = self._connack_problem(packet)
            if problem is not None:
                raise LocalProtocolError(problem)
            data = self._encode(packet)
            self._closed_or_connected(packet)
        elif isinstance(packet, Disconnect):
            if self.version != 5:
                raise LocalProtocolError("an MQTT 3 server says nothing when it disconnects")
            if "session_expiry_interval" in packet.properties:
                raise LocalProtocolError("a server must not send a session expiry interval now")
            data = self._encode(packet)
            self.state = State.DISCONNECTED
        elif isinstance(packet, Publish) and "topic_alias" in packet.properties:
            self._check_alias_to_send(packet)
            data = self._encode(packet)
            self._sent_aliases.add(packet.properties["topic_alias"])
        else:
            data = self._encode(packet)
        return data

    def _check(self, packet: Packet) -> RemoteProtocolError | None:
        if isinstance(packet, Auth):
            return self._receive_auth(packet, from_client=True)
        kind = _KIND_OF_RUN.get(type(packet), type(packet))
        if kind not in CLIENT_MAY_SEND[self.state]:
            return RemoteProtocolError(f"a client must not send {kind.__name__.upper()} now")
        if self._authenticating and not isinstance(packet, Disconnect):
            return RemoteProtocolError("a client that authenticates sends nothing else meanwhile")
        if isinstance(packet, Connect):
            self._opened(packet)
            self._learn(packet.properties)
        elif isinstance(packet, Disconnect):
            if self._expires_at_once and packet.properties.get("session_expiry_interval"):
                # Not a valid DISCONNECT: the will stays (§3.14.2.2.2).
                return RemoteProtocolError(
                    "DISCONNECT must not prolong a session that ends with its connection"
                )
            self.state = State.DISCONNECTED
        return None

    def _check_publish(self, packet: Publish) -> RemoteProtocolError | None:
        if self._authenticating or self.state not in (State.CONNECTING, State.CONNECTED):
            return RemoteProtocolError("a client must not send PUBLISH now")
        if "subscription_identifier" in packet.properties:
            return RemoteProtocolError("a client must not send a subscription identifier")
        return super()._check_publish(packet)


def _has_unwanted_words(packet: Packet) -> bool:
    """Whether a packet explains itself that must not to a client that declined problem information.

    CONNACK and DISCONNECT may; PUBLISH, too, is not asked about here.
    """
    if isinstance(packet, PubAck | PubRec | PubRel | PubComp | SubAck | UnsubAck):
        return "reason_string" in packet.properties or "user_property" in packet.properties
    return False


class ClientConnection(_Connection):
    """A client's end of one connection, in the protocol version of its CONNECT."""

    def __init__(
        self, version: ProtocolVersion, maximum_packet_size: int = MAX_PACKET_SIZE
    ) -> None:
        super().__init__(PacketDecoder(PacketType.CONNACK, version, maximum_packet_size))
        self.maximum_qos = 2
        self.retain_available = True
        self.wildcard_subscription_available = True
        self.subscription_identifier_available = True
        self.shared_subscription_available = True
        self._wants_words = True  # request problem information (§3.1.2.11.7)

    def send(self, packet: Packet) -> bytes:
        """The bytes of a packet that the client may send now.

        Raises LocalProtocolError if it may not, or if the server said that it does not accept it
        (§3.2.2.3: maximum QoS, retain available, maximum packet size, topic alias maximum, and what
        is available for subscriptions).
        """
        if isinstance(packet, Auth):
            return self._send_auth(packet, from_client=True)
        kind = type(packet)
        if kind not in CLIENT_MAY_SEND[self.state]:
            raise LocalProtocolError(
                f"a client must not send {kind.__name__} while {self.state.value}"
            )
        if self._authenticating and not isinstance(packet, Disconnect):
            raise LocalProtocolError(
                "a client must not send this until CONNACK ends authentication"
            )
        if isinstance(packet, Publish):
            self._check_to_send(packet)
            data = self._encode(packet)
            if "topic_alias" in packet.properties:
                self._sent_aliases.add(packet.properties["topic_alias"])
        elif isinstance(packet, Connect):
            if packet.protocol_version != self.version:
                raise LocalProtocolError("CONNECT is of another protocol version")
            data = self._encode(packet)
            self._opened(packet)
            if self._authenticating:
                self._decoder.first = None  # AUTH may come before CONNACK
            properties = packet.properties if self.version == 5 else NO_PROPERTIES
            self.receive_maximum = properties.get("receive_maximum", 65_535)
            self.topic_alias_maximum = properties.get("topic_alias_maximum", 0)
            self._wants_words = properties.get("request_problem_information", 1) == 1
            if not self._wants_words:
                self._unchecked = frozenset()
            self._decoder.maximum_packet_size = min(
                self._decoder.maximum_packet_size,
                properties.get("maximum_packet_size", MAX_PACKET_SIZE),
            )
        elif isinstance(packet, Disconnect):
            if self._expires_at_once and packet.properties.get("session_expiry_interval"):
                raise LocalProtocolError(
                    "DISCONNECT must not prolong a session that ends with its connection"
                )
            data = self._encode(packet)
            self.state = State.DISCONNECTED
        else:
            if isinstance(packet, Subscribe):
                self._check_available(packet)
            data = self._encode(packet)
        return data

    def message_head(
        self, topic: str, size: int, qos: int, retain: bool, properties: Properties
    ) -> tuple[bytes, bytes]:
        """What precedes the payload, of `size` bytes, in a PUBLISH that may be sent now.

        It is cut where at QoS 1 and 2 the packet identifier goes (MQTT 5.0 §3.3). Raises
        LocalProtocolError as `send` does. This is `send` for those who send many messages: the
        payload is not copied.
        """
        if self.state is not State.CONNECTED:
            raise LocalProtocolError(f"a client must not send PUBLISH while {self.state.value}")
        if qos > self.maximum_qos:
            raise LocalProtocolError(
                f"There is no QoS {qos}: it is 0, 1 or 2."
                if qos > 2
                else f"The broker accepts no QoS above {self.maximum_qos}."
            )
        if retain and not self.retain_available:
            raise LocalProtocolError("The broker does not keep retained messages.")
        name = encode_topic_name(topic)
        if self._decoder.version != 5:
            after = b""
        elif properties:
            after = encode_message_properties(properties)
        else:
            after = b"\0"
        length = len(name) + (2 if qos else 0) + len(after) + size
        first = 0x30 | qos << 1 | retain
        if length < 128:
            head = bytes((first, length)) + name
        else:
            head = bytes((first,)) + encode_variable_byte_integer(length) + name
        whole = len(head) - len(name) + length
        if whole > self.peer_maximum_packet_size:
            raise LocalProtocolError(
                f"The message on {topic!r} makes a packet of {whole} bytes, which is larger than"
                f" the {self.peer_maximum_packet_size} that the broker accepts."
            )
        return head, after

    def acknowledge(self, packet_id: int) -> bytes:
        """The PUBACK of a message that came, which counts no longer.

        Raises LocalProtocolError as `send` does. This is `send` for those who receive many
        messages.
        """
        if self.state is State.CONNECTED and self.peer_maximum_packet_size >= 4:
            data = b"\x40\x02" + packet_id.to_bytes(2, "big")
        else:
            data = self.send(PubAck(packet_id))
        self._unacknowledged -= 1
        return data

    def _check_to_send(self, packet: Publish) -> None:
        if packet.qos > self.maximum_qos:
            raise LocalProtocolError(f"The broker accepts no QoS above {self.maximum_qos}.")
        if packet.retain and not self.retain_available:
            raise LocalProtocolError("The broker does not keep retained messages.")
        if packet.properties:
            if "subscription_identifier" in packet.properties:
                raise LocalProtocolError("a client must not send a subscription identifier")
            self._check_alias_to_send(packet)

    def _check_available(self, packet: Subscribe) -> None:
        if packet.properties.get("subscription_identifier") and (
            not self.subscription_identifier_available
        ):
            raise LocalProtocolError("The broker accepts no subscription identifiers.")
        for subscription in packet.subscriptions:
            topic_filter = subscription.topic_filter
            if not self.wildcard_subscription_available and has_wildcard(topic_filter):
                raise LocalProtocolError("The broker accepts no wildcards in topic filters.")
            if not self.shared_subscription_available and parse_shared(topic_filter):
                raise LocalProtocolError("The broker accepts no shared subscriptions.")

    def _check(self, packet: Packet) -> RemoteProtocolError | None:
        if isinstance(packet, Auth):
            return self._receive_auth(packet, from_client=False)
        if type(packet) not in SERVER_MAY_SEND[self.state]:
            return RemoteProtocolError(
                f"a server must not send {type(packet).__name__.upper()} now"
            )
        if not self._wants_words and _has_unwanted_words(packet):
            return RemoteProtocolError(
                f"a server must not explain {type(packet).__name__.upper()} in words now"
            )
        if isinstance(packet, ConnAck):
            problem = self._connack_problem(packet)
            if problem is not None:
                return RemoteProtocolError(problem)
            self._closed_or_connected(packet)
            self._learn(packet.properties)
            told = packet.properties
            self.maximum_qos = told.get("maximum_qos", 2)
            self.retain_available = told.get("retain_available", 1) == 1
            self.wildcard_subscription_available = (
                told.get("wildcard_subscription_available", 1) == 1
            )
            self.subscription_identifier_available = (
                told.get("subscription_identifier_available", 1) == 1
            )
            self.shared_subscription_available = told.get("shared_subscription_available", 1) == 1
        elif isinstance(packet, Disconnect):
            if self.version != 5:
                return RemoteProtocolError("an MQTT 3 server must not send DISCONNECT")
            if "session_expiry_interval" in packet.properties:
                return RemoteProtocolError("a server must not send a session expiry interval now")
            self.state = State.DISCONNECTED
        return None

    def _check_publish(self, packet: Publish) -> RemoteProtocolError | None:
        if self.state is not State.CONNECTED:
            return RemoteProtocolError("a server must not send PUBLISH now")
        return super()._check_publish(packet)
